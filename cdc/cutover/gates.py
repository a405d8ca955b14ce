"""What must hold before a cutover, as named gates: each with its evidence, and what to do.

A gate looks and changes nothing. All are looked at, whatever the others find.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.cutover import envfile, hooks
from cdc.cutover.openers import openers
from cdc.cutover.relations import relations_of
from cdc.errors import CdcError
from cdc.pipeline.lag import SourceLag, measure
from cdc.pipeline.pairs import pairs
from cdc.pipeline.progress import SourceState
from cdc.pipeline.terms import differing, terms_of
from cdc.postgres import orphans, queue, reverse, terms
from cdc.postgres.connection import Connection, Target
from cdc.postgres.gate import read_gate
from cdc.postgres.standing import proof_standing
from cdc.sqlite import direction, freeze, introspect, surroundings
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.constraints import application_triggers
from cdc.sqlite.moves import application_schema
from cdc.sqlite.verification import Finding, verify

LAG_LOOKS: Final = 3
LAG_PAUSE_SECONDS: Final = 0.5
"""The lag has to be below its gate at each look; one alone may hit a lucky moment."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: `evidence` says what was found, `remedy` what to do where it does not pass."""

    name: str
    passed: bool
    evidence: tuple[str, ...]
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the gates look at."""

    config: Config
    target: Target
    conn: Connection
    lags: list[SourceLag]


def look(config: Config, target: Target) -> list[Gate]:
    """Look at every gate of a cutover. A gate that cannot be looked at does not pass.

    Raises TargetError where PostgreSQL does not answer, SourceError where a file does not.
    """
    lags = measure(config, target)
    with target.lease() as conn:
        sight = Sight(config, target, conn, lags)
        return [_look(name, gate, remedy, sight) for name, gate, remedy in GATES]


def _look(name: str, gate: "_Look", remedy: str, sight: Sight) -> Gate:
    try:
        found = list(gate(sight))
    except CdcError as error:
        return Gate(name, passed=False, evidence=(str(error),), remedy=error.hint or remedy)
    passed = all(good for good, _ in found)
    shown = [words for good, words in found if passed or not good]
    return Gate(name, passed, tuple(shown), "" if passed else remedy)


def _master(sight: Sight) -> Iterator[tuple[bool, str]]:
    gate = read_gate(sight.conn)
    yield not gate.open, f"the gate is {'open' if gate.open else 'closed'}, at epoch {gate.epoch}"
    for source in sight.config.sources:
        with SourceFile(source.path) as file, file.reading():
            frozen, armed = freeze.read(file), direction.read(file)
        yield not (frozen or armed), f"{source.name} {'is frozen' if frozen else 'takes writes'}"


def _daemon(sight: Sight) -> Iterator[tuple[bool, str]]:
    for each in sight.lags:
        running = each.holder is not None and each.state == SourceState.TAILING
        who = each.holder or "no daemon"
        yield (
            running,
            f"{each.name} is {each.state}, held by {who}"
            + (f": {each.message}" if each.message else ""),
        )


def _tables(sight: Sight) -> Iterator[tuple[bool, str]]:
    for each in sight.lags:
        for table in each.stopped:
            yield False, f"{each.name}: {table.name} is stopped: {table.reason}"
        for copied in each.tables:
            if not copied.live:
                yield False, f"{each.name}: {copied.name} is not copied yet"
        yield each.settled, f"{each.name}: {len(each.tables)} tables"


def _capture(sight: Sight) -> Iterator[tuple[bool, str]]:
    for source in sight.config.sources:
        with SourceFile(source.path) as file:
            with file.reading():
                names = [n for n in introspect.table_names(file) if source.captures(n)]
                found = verify(file, names)
            for name, finding in found.items():
                if finding is not Finding.INTACT:
                    yield False, f"{source.name}: the capture of {name} is {finding.value}"
            same = pairs(sight.conn, file, source.name)
        yield True, f"{source.name}: {len(same)} tables captured, and of one shape on both sides"


def _configuration(sight: Sight) -> Iterator[tuple[bool, str]]:
    """Whether the daemon replicates by the very words that the command has read, and its file."""
    for source in sight.config.sources:
        known = terms.read(sight.conn, source.name)
        if known is None:
            yield False, f"{source.name} was never replicated by this version of cdc"
            continue
        changed = list(differing(known.configuration, terms_of(sight.config, source)))
        for name in changed:
            yield False, f"{source.name}: {name} was changed since {known.at:%Y-%m-%d %H:%M} UTC"
        with SourceFile(source.path) as file, file.reading():
            same = application_schema(file) == known.application_schema
        words = "the schema is that" if same else "the schema was changed since that"
        yield same, f"{source.name}: {words} of {known.at:%Y-%m-%d %H:%M} UTC"


def _lag(sight: Sight) -> Iterator[tuple[bool, str]]:
    limits = sight.config.cutover
    lags = sight.lags
    for at in range(LAG_LOOKS):
        if at:
            time.sleep(LAG_PAUSE_SECONDS)
            lags = measure(sight.config, sight.target)
        for each in lags:
            within = (
                each.lag_events <= limits.max_lag_events
                and each.lag_seconds <= limits.max_lag_seconds
            )
            words = f"{each.name}: {each.lag_events:,} events, {each.lag_seconds:.3f} s behind"
            yield within, words


def _quarantine(sight: Sight) -> Iterator[tuple[bool, str]]:
    for each in sight.lags:
        yield each.quarantined == 0, f"{each.name}: {each.quarantined:,} rows in quarantine"


def _proof(sight: Sight) -> Iterator[tuple[bool, str]]:
    oldest = datetime.now(UTC) - timedelta(hours=sight.config.cutover.max_proof_hours)
    for source in sight.config.sources:
        standing = proof_standing(sight.conn, source.name)
        full = standing.clean_full_at
        if full is None:
            yield False, f"{source.name} was never proven in full since the guard was set"
            continue
        words = f"{source.name}: clean full proof of {full:%Y-%m-%d %H:%M} UTC"
        if not standing.last_clean:
            yield False, f"{source.name}: the last proof, of {standing.last_at:%H:%M} UTC, failed"
        yield full >= oldest, words


def _differences(sight: Sight) -> Iterator[tuple[bool, str]]:
    """What PostgreSQL will not do that SQLite does: nobody notices that before the switch."""
    accepted = sight.config.cutover.accepted
    for each, source in zip(sight.lags, sight.config.sources, strict=True):
        judged = {
            (relation.child.source.name, relation.what)
            for relation in relations_of(sight.conn, sight.config)
            if relation.source == source.name
            and orphans.is_valid(sight.conn, relation.design) is not None
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


def _foreign_keys(sight: Sight) -> Iterator[tuple[bool, str]]:
    """Counted here and now: what the daemon has on record may be an hour old."""
    for relation in relations_of(sight.conn, sight.config):
        valid = orphans.is_valid(sight.conn, relation.design)
        if valid is None:
            continue  # the differences name it
        bad = orphans.count(sight.conn, relation.design)
        words = f"{relation}: {bad:,} rows refer to none" if bad else f"{relation}: no orphans"
        yield not bad or relation.policy != "refuse", words + _OF_POLICY[relation.policy][bool(bad)]
    yield True, "no other foreign key is in PostgreSQL"


_OF_POLICY: Final = {
    "refuse": ("", ""),
    "quarantine": ("", ", and will be set aside and given up"),
    "leave not valid": (", and it may stay not valid", "; the key stays not valid"),
}


def _way_back(sight: Sight) -> Iterator[tuple[bool, str]]:
    for source in sight.config.sources:
        with SourceFile(source.path, without_triggers=True) as file:
            tables = [pair.mapped for pair in pairs(sight.conn, file, source.name)]
        waiting = queue.backlog(sight.conn, source.name).entries
        behind = len(reverse.quarantined(sight.conn, source.name))
        followed = queue.followed(sight.conn, source.name, tables)
        yield not waiting, f"{source.name}: {waiting:,} entries in the queue"
        yield not behind, f"{source.name}: {behind:,} rows that SQLite could not hold"
        yield followed == len(tables), f"{source.name}: {followed} of {len(tables)} tables followed"


def _disk(sight: Sight) -> Iterator[tuple[bool, str]]:
    least = sight.config.replication.min_free_disk_mb
    for source in sight.config.sources:
        free = surroundings.free_mb(source.path)
        yield free >= least, f"{source.name}: {free:,} MB free"


def _environment(sight: Sight) -> Iterator[tuple[bool, str]]:
    config = sight.config
    if config.env_file is not None:
        envfile.check(config.env_file)
        yield True, f"{config.env_file} can be changed"
    for hook in config.hooks:
        program = hooks.runnable(config, hook)
        yield program is not None, f"{hook.on}: {program or hook.command[0] + ' is no program'}"
    if config.env_file is None and not config.hooks:
        yield True, "no environment file and no hooks: the services are yours to switch"


def _open_files(sight: Sight) -> Iterator[tuple[bool, str]]:
    found = openers(source.path for source in sight.config.sources)
    daemons = {each.holder.pid for each in sight.lags if each.holder}
    for opener in found:
        if opener.pid not in daemons:
            yield True, str(opener)
    if os.geteuid() != 0:
        yield True, "processes of other users are not seen"
    yield True, f"{len(found)} processes have files open at this moment, the daemon's included"


_Look = Callable[[Sight], Iterator[tuple[bool, str]]]

GATES: Final[tuple[tuple[str, _Look, str], ...]] = (
    (
        "master",
        _master,
        "End what was begun with cdc cutover or cdc rollback; lift a freeze with cdc thaw.",
    ),
    ("daemon", _daemon, "Start cdc run, and wait until every source is tailing."),
    ("tables", _tables, "See cdc status: it names the remedy of each stopped table."),
    ("capture", _capture, "Restart cdc run: it mends the capture and copies what it must."),
    (
        "configuration",
        _configuration,
        "Restart cdc run, which takes up both; then run cdc verify --full.",
    ),
    ("lag", _lag, "Wait, or raise max_lag_events and max_lag_seconds in [cutover]."),
    ("quarantine", _quarantine, "See cdc quarantine list: mend, retry or drop these rows."),
    ("proof", _proof, "Run cdc verify --full."),
    (
        "differences",
        _differences,
        "Make up for it in PostgreSQL; then put SOURCE.NAME into accepted in [cutover].",
    ),
    (
        "foreign keys",
        _foreign_keys,
        "Mend these rows in SQLite, or say in orphans what is to become of them.",
    ),
    ("way back", _way_back, "Restart cdc run, which makes what a rollback would lack."),
    ("disk", _disk, "Make room, or lower min_free_disk_mb in [replication]."),
    ("environment", _environment, "Correct env_file in [cutover], or the [[hooks]]."),
    ("open files", _open_files, ""),
)
"""Name, look and remedy. A look yields for each finding whether it is good, and what it is."""
