"""`cdc verify`: the proof that both sides hold the same rows."""

from typing import Annotated

import typer

from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config, open_target
from cdc.cli.output import ERRORS, put_json
from cdc.cli.verify_progress import VerifyProgress
from cdc.cli.verify_report import as_json, print_verdict
from cdc.pipeline.stop import Stop
from cdc.proof.sources import Request, prove


def verify(
    config: ConfigOption = None,
    *,
    full: Annotated[
        bool,
        typer.Option("--full", help="Compare every row, whatever was proven before."),
    ] = False,
    source: SourceOption = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="T", help="This table only.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Prove that PostgreSQL holds the same rows as SQLite, while both go on.

    Exit code 0 when it does, 1 when it does not, or when that could not be told.
    Rows that were proven before, and that nothing has touched since, are not compared again, unless
    --full asks for it.
    """
    loaded = load_config(config)
    request = Request(full=full, source=source, table=table)
    stop = Stop()
    stop.ask_on_signals()
    with open_target(loaded) as target:
        verdict = prove(
            loaded,
            target,
            request,
            wait=stop.wait,
            watch=lambda proofs: VerifyProgress(ERRORS, proofs, live=ERRORS.is_terminal),
        )
    if json:
        put_json(as_json(verdict))
    else:
        print_verdict(verdict)
    raise typer.Exit(0 if verdict.converged else 1)
