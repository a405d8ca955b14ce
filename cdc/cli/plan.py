"""`cdc plan`: what will cross, what will not, and why, before anything is written."""

from typing import Annotated

import typer

from cdc.cli.options import (
    EMBEDDED_DIRECTORY,
    ConfigOption,
    JsonOption,
    SourceOption,
    load_config,
    open_target,
)
from cdc.cli.output import ERRORS, put_json
from cdc.cli.plan_ddl import print_ddl
from cdc.cli.plan_json import as_json
from cdc.cli.plan_progress import PlanProgress
from cdc.cli.plan_report import print_plan
from cdc.config import Config
from cdc.errors import ConfigError, TargetError
from cdc.plan.making import Selection, make_plans
from cdc.plan.plan import Plan
from cdc.plan.target import KnownTarget, ask


def plan(
    config: ConfigOption = None,
    source: SourceOption = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="T", help="This table only.")
    ] = None,
    json: JsonOption = False,
    ddl: Annotated[
        bool, typer.Option("--ddl", help="Print the SQL that makes the target tables.")
    ] = False,
) -> None:
    """Say what each column becomes, which values would not fit, and what is left behind.

    Looks at every row of the SQLite files, never holds their lock for long, and writes nothing on
    either side; PostgreSQL need not be there yet. Exit code 1 when `cdc run` would refuse something
    under this configuration.
    """
    if json and ddl:
        raise ConfigError("--json and --ddl ask for two kinds of output: give one of them.")
    loaded = load_config(config)
    selection = Selection(source, table)
    known, unasked = _ask(loaded, selection)
    with PlanProgress(ERRORS, live=ERRORS.is_terminal) as progress:
        sources = make_plans(loaded, selection, known, progress.watch)
    made = Plan(sources, unasked)
    if json:
        put_json(as_json(made))
    elif ddl:
        print_ddl(made)
    else:
        print_plan(made)
    raise typer.Exit(1 if made.problems else 0)


def _ask(config: Config, selection: Selection) -> tuple[KnownTarget, str]:
    """What the target holds, and why it was not asked, "" where it was."""
    if config.postgres.embedded and not (config.path.parent / EMBEDDED_DIRECTORY).exists():
        return KnownTarget(), "the embedded server is made by the first `cdc run`"
    try:
        with open_target(config) as target, target.lease() as conn:
            return ask(conn, config, selection.sources(config)), ""
    except TargetError as error:
        return KnownTarget(), str(error)
