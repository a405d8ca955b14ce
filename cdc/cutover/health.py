"""Whether PostgreSQL does well as master: PASS or FAIL, and by what it is known.

What the server counts is asked of the server. What only the services know (the queue and the wait
of their pools) a `health` hook may tell: see `cdc.cutover.wellbeing`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from cdc.config import Config
from cdc.cutover import wellbeing
from cdc.cutover.wellbeing import Finding, graded
from cdc.errors import SourceError, TargetError, TargetRefused
from cdc.pipeline.lag import measure
from cdc.postgres import health as kept
from cdc.postgres import state, vitals
from cdc.postgres.connection import Connection, Target
from cdc.postgres.health import Verdict
from cdc.postgres.vitals import Counters

FRESH_SECONDS: Final = 900.0
"""How old counters may be to be compared with those of now."""


@dataclass(frozen=True, slots=True)
class Health:
    """One look, at `at` (UTC). `counted` is what the next look subtracts; None where the server
    could not be asked.
    """

    at: datetime
    findings: tuple[Finding, ...]
    counted: Counters | None

    @property
    def verdict(self) -> Verdict:
        verdicts = {finding.verdict for finding in self.findings}
        if "fail" in verdicts:
            return "fail"
        return "warn" if verdicts & {"warn", "unknown"} else "pass"

    @property
    def passed(self) -> bool:
        """PASS, with or without warnings, or FAIL."""
        return self.verdict != "fail"

    @property
    def failures(self) -> str:
        """What has failed, in one line."""
        return "; ".join(f"{f.name}: {f.evidence}" for f in self.findings if f.verdict == "fail")


def look(config: Config, target: Target, before: Counters | None = None) -> Health:
    """Look once. `before` are the counters of an earlier look; without them those that the daemon
    has kept are taken, where they are fresh. A server that does not answer is a finding.
    """
    counted: Counters | None = None
    findings: list[Finding] = []
    try:
        with target.lease() as conn:
            known = state.identity(conn)
            if known is None or known.version < kept.SINCE_VERSION:
                raise TargetRefused(
                    "cdc keeps nothing in this database, or an older version did",
                    hint="Start cdc run.",
                )
            counted = vitals.counters(conn)
            findings += _of_server(conn, config, counted, before or _kept(conn))
        findings += _of_way_back(config, target)
        findings.insert(0, Finding("target", "pass", "PostgreSQL answers"))
    except TargetError as error:
        return unreachable(config, error)
    findings += wellbeing.of_services(config)
    return Health(datetime.now(UTC), tuple(findings), counted)


def unreachable(config: Config, error: TargetError) -> Health:
    """A look at a server that does not answer, or says no."""
    findings = (Finding("target", "fail", error.line), *wellbeing.of_services(config))
    return Health(datetime.now(UTC), findings, None)


def keep(config: Config, target: Target, health: Health) -> None:
    """Keep a look in the target. Raises TargetError."""
    with target.lease() as conn:
        kept.keep(
            conn,
            health.verdict,
            [asdict(finding) for finding in health.findings],
            {} if health.counted is None else msgspec.to_builtins(health.counted),
            hours=config.health.keep_hours,
        )


def _kept(conn: Connection) -> Counters | None:
    last = kept.last(conn)
    if last is None or not last.counted or last.age_seconds > FRESH_SECONDS:
        return None
    return msgspec.convert(last.counted, Counters)


def _of_server(
    conn: Connection, config: Config, now: Counters, before: Counters | None
) -> Iterator[Finding]:
    settings = config.health
    drifts, unheld = vitals.drifted(conn)
    yield graded(
        "drift",
        drifts + unheld,
        f"{drifts} rows found to differ within an hour, and {unheld} that SQLite could not hold",
        fail=settings.fail_drifts,
    )
    there = vitals.sessions(conn)
    used, limit = (
        (there.others, settings.connections) if settings.connections else (there.all, there.limit)
    )
    percent = 100 * used / max(1, limit)
    yield graded(
        "connections",
        percent,
        f"{used} of {limit} in use, {percent:.0f} %",
        fail=settings.fail_connections_percent,
        warn=settings.warn_connections_percent,
    )
    yield from _since(config, now, before)
    milliseconds = vitals.query_seconds(conn) * 1000
    words = f"a small query takes {milliseconds:.1f} ms"
    yield graded("latency", milliseconds, words, warn=settings.warn_query_ms)
    tables = state.captured_tables(conn)
    table, dead = vitals.dead_rows(
        conn, [t.target_schema for t in tables], [t.target_name for t in tables]
    )
    words = f"{dead:,} in {table}, the most of all tables" if table else "no table"
    yield graded("dead rows", dead, words, warn=settings.warn_dead_rows)


def _since(config: Config, now: Counters, before: Counters | None) -> Iterator[Finding]:
    if before is None or before.since != now.since:
        for name in ("errors", "deadlocks"):
            yield Finding(name, "pass", "counted from this look on")
        return
    settings = config.health
    seconds = (now.at - before.at).total_seconds()
    failed = now.rollbacks - before.rollbacks
    ended = failed + now.commits - before.commits
    percent = 100 * failed / max(1, ended)
    words = f"{failed:,} of {ended:,} transactions rolled back in {seconds:.0f} s, {percent:.1f} %"
    yield graded("errors", percent, words, warn=settings.warn_error_percent)
    deadlocks = now.deadlocks - before.deadlocks
    words = f"{deadlocks:,} in {seconds:.0f} s"
    yield graded("deadlocks", deadlocks, words, warn=settings.warn_deadlocks)


def _of_way_back(config: Config, target: Target) -> Iterator[Finding]:
    """Whether what is written to PostgreSQL reaches the files; nothing while SQLite is master."""
    try:
        lags = [lag for lag in measure(config, target) if lag.returning]
    except SourceError as error:
        yield Finding("way back", "unknown", error.line)
        return
    if not lags:
        return
    if alone := [lag.name for lag in lags if lag.holder is None]:
        yield Finding("way back", "warn", f"no daemon brings back what {', '.join(alone)} lacks")
        return
    oldest = max(lags, key=lambda lag: lag.lag_seconds)
    words = f"{oldest.name}: {oldest.lag_events:,} writes wait for {oldest.lag_seconds:.1f} s"
    limit = config.health.warn_way_back_seconds
    yield graded("way back", oldest.lag_seconds, words, warn=limit)
