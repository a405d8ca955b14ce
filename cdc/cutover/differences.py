"""What SQLite does and PostgreSQL will not: nobody would notice before the switch."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Final

from cdc.config import SourceConfig
from cdc.cutover.lasting import lasting_orphans
from cdc.cutover.relations import Relation, relations_of
from cdc.cutover.sight import Found, Sight
from cdc.pipeline.lag import SourceLag
from cdc.postgres import orphans
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
    present = _present(sight)
    for each, source in zip(sight.lags, sight.config.sources, strict=True):
        judged = {(r.child.source.name, r.what) for r in present if r.source == source.name}
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
    for relation in _present(sight):
        bad = len(lasting_orphans(sight.config, sight.target, relation))
        words = f"{relation}: {bad:,} rows refer to none" if bad else f"{relation}: no orphans"
        yield not bad or relation.policy != "refuse", words + _OF_POLICY[relation.policy][bool(bad)]
    yield True, "no other foreign key is in PostgreSQL"


def _present(sight: Sight) -> list[Relation]:
    """The foreign keys that PostgreSQL has; the differences name the others."""
    with sight.target.lease() as conn:
        return [
            relation
            for relation in relations_of(conn, sight.config)
            if orphans.is_valid(conn, relation.design) is not None
        ]
