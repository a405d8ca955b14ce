"""What SQLite does and PostgreSQL will not: nobody would notice before the switch."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Final

from cdc.config import SourceConfig
from cdc.cutover.lasting import lasting_orphans
from cdc.cutover.relations import made, waits
from cdc.cutover.sight import Found, Sight
from cdc.pipeline.lag import SourceLag
from cdc.sqlite import introspect
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.constraints import application_triggers

_OF_POLICY: Final = {
    "refuse": ("", ""),
    "quarantine": ("", ", and will be set aside and given up"),
    "leave not valid": (", and it may stay not valid", "; the key stays not valid"),
}


def differences(sight: Sight) -> Found:
    """What PostgreSQL will not do that SQLite does: nobody notices that before the switch."""
    accepted = sight.config.cutover.accepted
    present = made(sight.config, sight.target)
    for each, source in zip(sight.lags, sight.config.sources, strict=True):
        judged = {
            (relation.child.source.name, what)
            for relation in present
            if relation.source == source.name
            for what in relation.called
        }
        for name, words in _lacking(each, source, judged):
            known = any(fnmatchcase(f"{source.name}.{name}", pattern) for pattern in accepted)
            yield known, f"{source.name}.{name}: {words}" + (" (accepted)" if known else "")
    yield True, "nothing else is missing"


def _lacking(
    lag: SourceLag, source: SourceConfig, judged: Collection[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """What is missing, but for the foreign keys that are `judged` by their own gate."""
    for missing in lag.left_out:
        if (missing.table, missing.what) in judged:
            continue
        yield missing.table, f"{missing.what} is not in PostgreSQL: {missing.reason}"
    with SourceFile(source.path) as file, file.reading():
        triggers, others = application_triggers(file), introspect.uncaptured(file)
    for trigger in triggers:
        yield trigger.name, f"trigger of {trigger.table}, which PostgreSQL does not have"
    for name, kind in others:
        if kind != "shadow":
            yield name, f"{kind}, which PostgreSQL does not have"


def foreign_keys(sight: Sight) -> Found:
    """Counted here and now: what the daemon has on record may be an hour old."""
    after = ", and the key is made after the switch" if waits(sight.target) else ""
    for relation in made(sight.config, sight.target):
        bad = len(lasting_orphans(sight.config, sight.target, relation))
        words = f"{relation}: {bad:,} rows refer to none" if bad else f"{relation}: no orphans"
        words += _OF_POLICY[relation.policy][bool(bad)] + after
        yield not bad or relation.policy != "refuse", words
    yield True, "no other foreign key is in PostgreSQL"
