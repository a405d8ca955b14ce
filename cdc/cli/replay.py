"""`cdc replay`: a state rebuilt from what was recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
from cdc.cli.output import ERRORS, put_json, tell
from cdc.cli.replay_progress import ReplayBars
from cdc.cli.replay_report import as_json, print_outcome
from cdc.config import Config
from cdc.crossing.names import TargetNames
from cdc.errors import ConfigError, TargetError
from cdc.postgres.connection import Target
from cdc.rebuild.source_replay import SourceReplay
from cdc.replay.goal import Until
from cdc.replay.instants import parse_instant
from cdc.replay.reader import sources_of
from cdc.replay.request import Into, IntoDatabase, IntoFile, IntoSchema, IntoTarget, Request
from cdc.stop import Stop


def replay(
    *,
    config: ConfigOption = None,
    until_seq: Annotated[
        int | None,
        typer.Option("--until-seq", min=0, metavar="N", help="Up to and with this event."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Up to a time, at the last moment between two transactions:"
            ' "2025-07-31 12:00 America/New_York".',
        ),
    ] = None,
    source: SourceOption = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="T", help="This table only; may be given more than once."),
    ] = None,
    into_schema: Annotated[
        str | None,
        typer.Option("--into-schema", metavar="S", help="Into a schema beside the target."),
    ] = None,
    into_dsn: Annotated[
        str | None, typer.Option("--into-dsn", metavar="DSN", help="Into another database.")
    ] = None,
    into_sqlite: Annotated[
        Path | None,
        typer.Option("--into-sqlite", metavar="FILE", help="Into a SQLite file that is not there."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Without --into-…: drop what the target holds, and rebuild it."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be read, and write nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Rebuild tables from their baselines and the events since, to the end or to an earlier moment.

    What was begun and ended before its time goes on where it ended, by the same command. At the end
    the rows are compared with the source, as far as they have not changed since.

    Exit code 0 when all is rebuilt, 1 when the state is not kept or a difference was found, 2 when
    the destination holds something else, 3 when a database could not be used.
    """
    loaded = load_config(config)
    request = Request(
        until=_until(until_seq, until),
        into=_into(into_schema, into_dsn, into_sqlite),
        tables=tuple(table or ()),
        dry_run=dry_run,
    )
    _check(loaded, request, source, yes=yes)
    stop = Stop()
    stop.ask_on_signals()
    with _target(loaded, request) as target:
        names = TargetNames()
        replays = [
            SourceReplay(loaded, each, request, target, names=names, stop=stop)
            for each in sources_of(loaded, source)
        ]
        outcomes = []
        for each in replays:
            with ReplayBars(ERRORS, each.progress, live=ERRORS.is_terminal and not dry_run):
                outcomes.append(each.run())
            if not json:
                print_outcome(outcomes[-1], request)
    if json:
        put_json({"dry_run": dry_run, "sources": [as_json(outcome) for outcome in outcomes]})
    raise typer.Exit(0 if all(outcome.equal for outcome in outcomes) else 1)


def _until(seq: int | None, time: str | None) -> Until:
    if seq is not None and time is not None:
        raise ConfigError("--until-seq and --until exclude each other.")
    return Until(seq, None if time is None else parse_instant(time))


def _into(schema: str | None, dsn: str | None, file: Path | None) -> Into:
    given = [each for each in (schema, dsn, file) if each is not None]
    if len(given) > 1:
        raise ConfigError("--into-schema, --into-dsn and --into-sqlite exclude each other.")
    if schema is not None:
        return IntoSchema(schema)
    if dsn is not None:
        return IntoDatabase(dsn)
    return IntoTarget() if file is None else IntoFile(file)


def _check(config: Config, request: Request, source: str | None, *, yes: bool) -> None:
    several = source is None and len(config.sources) > 1
    if several and request.until.seq is not None:
        raise ConfigError("Each source counts its own events: --until-seq needs --source.")
    if several and isinstance(request.into, IntoFile):
        raise ConfigError(
            "A SQLite file takes the tables of one source: --into-sqlite needs --source."
        )
    if several and request.tables:
        raise ConfigError("--table needs --source: there are several sources.")
    if not isinstance(request.into, IntoTarget):
        if yes:
            raise ConfigError("--yes is for the target itself: it does not go with --into-….")
        return
    if request.tables and not request.dry_run:
        raise ConfigError(
            "The target is rebuilt as a whole: --table needs --into-….",
            hint="Replay the table --into-schema; rows that differ are written again by cdc verify"
            " --repair.",
        )
    if not yes and not request.dry_run:
        raise ConfigError(
            "Without --into-… all that the target holds would be dropped and rebuilt.",
            hint="--yes says that this is meant, --dry-run shows what it would take; or give"
            " --into-schema, --into-dsn or --into-sqlite.",
        )


@contextmanager
def _target(config: Config, request: Request) -> Iterator[Target | None]:
    """The configured target; None where it cannot be asked and is not needed."""
    needed = isinstance(request.into, IntoTarget | IntoSchema) and not request.dry_run
    made = config.path.parent / EMBEDDED_DIRECTORY
    if not needed and config.postgres.embedded and not made.exists():
        yield None
        return
    with open_target(config) as target:
        yield target if needed or _answers(target) else None


def _answers(target: Target) -> bool:
    try:
        with target.lease():
            return True
    except TargetError as error:
        tell(f"PostgreSQL cannot be asked, and is not needed: {error.line}")
        return False
