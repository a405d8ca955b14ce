"""What comes behind a switch: the services' environment, and the operator's hooks.

Nothing here undoes a switch; what fails is told, so that somebody sees to it.
"""

from collections.abc import Mapping

from cdc.config import Config
from cdc.config.cutover import Moment
from cdc.cutover import envfile, hooks
from cdc.cutover.intent import LocalJournal
from cdc.cutover.openers import openers
from cdc.cutover.phases import Report, problems
from cdc.cutover.recovery import Settled
from cdc.errors import CdcError


def run_hooks(config: Config, report: Report, on: Moment) -> list[str]:
    """Run the hooks of a moment, into the report; what is wrong with them."""
    facts = {
        "RUN": report.run,
        "OUTCOME": report.outcome,
        "REASON": report.reason or report.cause,
    }
    ended = list(hooks.run_all(config, on, facts))
    report.hooks += ended
    return problems(ended)


def set_environment(config: Config, report: Report, values: Mapping[str, str]) -> None:
    """Change the environment file, where there is one and something to set."""
    if config.env_file is None or not values:
        return
    try:
        envfile.change(config.env_file, values)
    except CdcError as error:
        report.trouble.append(error.line)


def forget_intent(journal: LocalJournal, report: Report) -> None:
    """Clear the local journal. What stays there is of no account, once PostgreSQL has the end of
    the run on record; and the services wait.
    """
    try:
        journal.clear()
    except CdcError as error:
        report.trouble.append(error.line)


def undone(config: Config, report: Report, earlier: Settled) -> Report:
    """The report of a run that died before its switch: the side that was master goes on, and its
    services, where they were stopped.
    """
    report.outcome = "aborted"
    report.reason = (
        f"an earlier run ({earlier.direction}) had died before its switch and was undone:"
        " run the command again"
    )
    if report.stopped:
        report.trouble += run_hooks(config, report, "start")
    report.trouble += run_hooks(config, report, "notify")
    return report


def openers_now(config: Config) -> list[str]:
    """Who has the files open at this moment, but for ourselves; in words."""
    return [str(opener) for opener in openers(source.path for source in config.sources)]
