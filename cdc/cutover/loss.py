"""Break-glass: SQLite open again while PostgreSQL is gone, with what had come back by then."""

from dataclasses import dataclass
from datetime import UTC, datetime

from cdc.config import Config
from cdc.cutover import behind, files
from cdc.cutover.intent import LocalJournal
from cdc.cutover.phases import Aborted, Report
from cdc.errors import TargetError
from cdc.postgres.connection import Target


@dataclass(frozen=True, slots=True)
class Loss:
    """What is given up: `batches` by source, and when (UTC) the last one came; None without any.

    Whatever was written to PostgreSQL after that is not in SQLite.
    """

    batches: dict[str, int]
    last_at: datetime | None

    @property
    def age_seconds(self) -> float | None:
        """How old the newest row from PostgreSQL may be."""
        if self.last_at is None:
            return None
        return (datetime.now(UTC) - self.last_at).total_seconds()


FENCE = (
    "Fence PostgreSQL before anybody can reach it again: stop the server, or REVOKE CONNECT and end"
    " the sessions. Its gate is open still. Then begin anew in another database, with cdc install."
)


def accept_loss(config: Config, target: Target, journal: LocalJournal, report: Report) -> Loss:
    """Give the files back without PostgreSQL. Raises Aborted where it answers: then nothing needs
    to be lost, and where no file was sealed; SourceError.
    """
    if _answers(target):
        raise Aborted(
            "PostgreSQL answers: nothing needs to be lost",
            hint="Run cdc rollback without --accept-loss.",
        )
    armed = files.armed(config)
    if not armed:
        raise Aborted("no file was sealed by a cutover: SQLite takes the writes already")
    finished = [name for name, stand in armed.items() if stand.finished_at]
    if finished:
        raise Aborted(
            f"the way back was given up for good by cdc finish: {', '.join(finished)} hold what the"
            " old system was at its end, and nothing since",
            hint="Restore PostgreSQL from its backup.",
        )
    loss = Loss({name: stand.batch for name, stand in armed.items()}, files.last_batch(armed))
    files.give_back(config, None)
    journal.clear()
    report.outcome = "rolled_back"
    behind.set_environment(config, report, config.cutover.env_rolled_back)
    report.trouble += behind.run_hooks(config, report, "start")
    report.trouble += behind.run_hooks(config, report, "notify")
    report.trouble.append(FENCE)
    return loss


def _answers(target: Target) -> bool:
    try:
        with target.lease() as conn:
            return not conn.closed
    except TargetError:
        return False
