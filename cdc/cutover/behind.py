"""What comes behind a switch: the services' environment, and the operator's hooks.

Nothing here undoes a switch; what fails is told, so that somebody sees to it.
"""

from collections.abc import Mapping

from cdc.config import Config
from cdc.config.cutover import Moment
from cdc.cutover import envfile, hooks
from cdc.cutover.phases import Report, problems
from cdc.errors import CdcError


def run_hooks(config: Config, report: Report, on: Moment) -> list[str]:
    """Run the hooks of a moment, into the report; what is wrong with them."""
    facts = {"RUN": report.run, "OUTCOME": report.outcome, "REASON": report.reason}
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
