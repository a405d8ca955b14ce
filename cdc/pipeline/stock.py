"""What the event store holds of each source, and whether it is all there."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc.archive.audit import Finding, audit
from cdc.archive.chain import Chain, logs
from cdc.archive.ends import Ends, check_ends
from cdc.archive.reader import Archive, Baseline
from cdc.config import Config, SourceConfig
from cdc.errors import ArchiveError, SegmentGone
from cdc.event import unix_seconds
from cdc.postgres import archived, hold_back, state
from cdc.postgres.connection import Connection, Target
from cdc.postgres.hold_back import Hold
from cdc.sqlite import log
from cdc.sqlite.captures import captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile

LOOKS: Final = 10


@dataclass(frozen=True, slots=True)
class Stock:
    """One source's part of the store.

    Events `first_seq` to `last_seq` are archived (0 without any), made at `first_at` to `last_at`
    (Unix time); those from `live_seq` on are in the file. `waiting` counts those that are applied
    and not archived. `trouble` says what keeps the store from growing, "" for nothing.
    """

    name: str
    log_id: str
    directory: Path
    segments: int
    size: int
    first_seq: int
    last_seq: int
    first_at: float | None
    last_at: float | None
    live_seq: int
    waiting: int
    baselines: tuple[Baseline, ...]
    without_baseline: tuple[str, ...]
    holds: tuple[Hold, ...]
    trouble: str


@dataclass(frozen=True, slots=True)
class Audited:
    """A chain that was read whole: of which source and log, how many segments, what is wrong."""

    name: str
    log_id: str
    segments: int
    findings: tuple[Finding, ...]


def take_stock(config: Config, target: Target) -> list[Stock]:
    """Each source's part of the store, in the order of the configuration; reads headers alone."""
    with target.lease() as conn:
        return [_settled(conn, config, source) for source in config.sources]


def _settled(conn: Connection, config: Config, source: SourceConfig) -> Stock:
    """The stock of a source, looked at again where segments went meanwhile: the oldest do, by and
    by.
    """
    for _ in range(LOOKS - 1):
        with suppress(SegmentGone):
            known = _known(conn, source.name)
            stock = _stock(config, source, *known)
            if not stock.trouble or _known(conn, source.name)[0] == known[0]:
                return stock
    return _stock(config, source, *_known(conn, source.name))


def _known(conn: Connection, source: str) -> tuple[list[Ends], list[Hold], int]:
    """What PostgreSQL knows: the chains' ends, who holds what back, the last event applied."""
    known = state.identity(conn)
    has_store = known is not None and known.version >= archived.SINCE_VERSION
    ends = archived.read_ends(conn, source) if has_store else []
    holds = hold_back.holds(conn, source) if has_store else []
    applied = state.source(conn, source) if known else None
    return ends, holds, applied.applied_seq if applied else 0


def _stock(
    config: Config, source: SourceConfig, ends: list[Ends], holds: list[Hold], applied: int
) -> Stock:
    with SourceFile(source.path) as file, file.reading():
        own = log.read(file)
        tables = captured(file)
        live = Changelog(file).first() if own else 0
    log_id = own.id if own else ""
    archive = Archive(Chain(config.archive_directory, source.name, log_id))
    segments = archive.chain.segments
    trouble = ""
    try:
        check_ends(archive.chain, next((e for e in ends if e.log_id == log_id), None))
    except ArchiveError as error:
        trouble = error.line
    events = [segment.events for segment in segments if segment.kind == "events"]
    baselines = {b.layout: b for b in archive.baselines()}
    return Stock(
        name=source.name,
        log_id=log_id,
        directory=archive.chain.directory,
        segments=len(segments),
        size=sum(segment.size for segment in segments),
        first_seq=archive.first_seq,
        last_seq=archive.last_seq,
        first_at=unix_seconds(events[0].first_at) if events else None,
        last_at=unix_seconds(events[-1].last_at) if events else None,
        live_seq=live,
        waiting=max(0, applied - archive.last_seq) if config.archive.enabled else 0,
        baselines=tuple(baselines[t.layout] for t in tables if t.layout in baselines),
        without_baseline=tuple(t.name for t in tables if t.layout not in baselines),
        holds=tuple(holds),
        trouble=trouble,
    )


def audit_all(config: Config, target: Target, source: str | None = None) -> Iterator[Audited]:
    """Read every segment of one source, or of all; each chain as soon as it is read."""
    for each in config.sources if source is None else [config.source(source)]:
        ends = _ends(target, each.name)
        for log_id in dict.fromkeys([*ends, *logs(config.archive_directory, each.name)]):
            yield _audit(config, target, each.name, log_id)


def _audit(config: Config, target: Target, source: str, log_id: str) -> Audited:
    while True:
        # PostgreSQL first: what the daemon adds meanwhile goes beyond what is known.
        known = _ends(target, source).get(log_id)
        chain = Chain(config.archive_directory, source, log_id)
        findings = tuple(audit(chain, known))
        now = _ends(target, source).get(log_id)
        if not findings or _first(known) == _first(now):
            return Audited(source, log_id, len(chain.segments), findings)
        # The daemon has deleted old segments meanwhile.


def _first(ends: Ends | None) -> int | None:
    return ends.first_number if ends else None


def _ends(target: Target, source: str) -> dict[str, Ends]:
    with target.lease() as conn:
        known = state.identity(conn)
        if known is None or known.version < archived.SINCE_VERSION:
            return {}
        return {ends.log_id: ends for ends in archived.read_ends(conn, source)}
