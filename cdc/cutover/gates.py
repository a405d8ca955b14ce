"""What must hold before a cutover, as named gates: each with its evidence, and what to do.

A gate looks. The canary writes, too, a row of cdc's own that is gone afterwards; the others change
nothing. All are looked at, whatever the others find.
"""

from collections.abc import Collection
from typing import Final

from cdc.config import Config
from cdc.cutover import differences, premises, standing, way_back
from cdc.cutover.sight import Gate, Look, Sight
from cdc.errors import CdcError
from cdc.pipeline.lag import measure
from cdc.postgres.connection import Target


def look(config: Config, target: Target, *, but: Collection[str] = ()) -> list[Gate]:
    """Look at every gate of a cutover, but for those of these names. A gate that cannot be looked
    at does not pass.

    Raises TargetError where PostgreSQL does not answer, SourceError where a file does not.
    """
    lags = measure(config, target)
    sight = Sight(config, target, lags)
    return [_look(name, gate, remedy, sight) for name, gate, remedy in GATES if name not in but]


def _look(name: str, gate: Look, remedy: str, sight: Sight) -> Gate:
    try:
        found = list(gate(sight))
    except CdcError as error:
        return Gate(name, passed=False, evidence=(str(error),), remedy=error.hint or remedy)
    passed = all(good for good, _ in found)
    shown = [words for good, words in found if passed or not good]
    return Gate(name, passed, tuple(shown), "" if passed else remedy)


GATES: Final[tuple[tuple[str, Look, str], ...]] = (
    (
        "master",
        standing.master,
        "End what was begun with cdc cutover or cdc rollback; lift a freeze with cdc thaw.",
    ),
    ("daemon", standing.daemon, "Start cdc run, and wait until every source is tailing."),
    ("tables", standing.tables, "See cdc status: it names the remedy of each stopped table."),
    ("capture", standing.capture, "Restart cdc run: it mends the capture and copies what it must."),
    (
        "configuration",
        standing.configuration,
        "Restart cdc run, which takes up both; then run cdc verify --full.",
    ),
    ("lag", standing.lag, "Wait, or raise max_lag_events and max_lag_seconds in [cutover]."),
    ("quarantine", standing.quarantine, "See cdc quarantine list: mend, retry or drop these rows."),
    ("proof", standing.proof, "Run cdc verify --full."),
    (
        "differences",
        differences.differences,
        "Make up for it in PostgreSQL; then put SOURCE.NAME into accepted in [cutover].",
    ),
    (
        "foreign keys",
        differences.foreign_keys,
        "Mend these rows in SQLite, or say in orphans what is to become of them.",
    ),
    (
        "canary",
        way_back.canary,
        "Give these columns types whose values SQLite can hold, or change the rows.",
    ),
    ("way back", way_back.way_back, "Restart cdc run, which makes what a rollback would lack."),
    ("limits", way_back.limits, ""),
    ("disk", premises.disk, "Make room, or lower min_free_disk_mb in [replication]."),
    ("environment", premises.environment, "Correct env_file in [cutover], or the [[hooks]]."),
    ("open files", premises.open_files, ""),
)
"""Name, look and remedy. A look yields for each finding whether it is good, and what it is."""
