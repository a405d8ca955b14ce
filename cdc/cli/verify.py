"""`cdc verify`: the proof that both sides hold the same rows."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config, open_target
from cdc.cli.output import ERRORS, put_json, tell
from cdc.cli.page import Circumstances, check_place, write_page
from cdc.cli.verify_html import as_html
from cdc.cli.verify_progress import VerifyProgress
from cdc.cli.verify_report import as_json, print_verdict
from cdc.pipeline.repairing import prove_and_repair
from cdc.proof.outcome import Verdict
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.stop import Stop


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
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Write the rows that differ again, and prove them again."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the report as a page that can be kept."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Prove that PostgreSQL holds the same rows as SQLite, while both go on.

    Rows that were proven before, and that nothing has touched since, are not compared again, unless
    --full asks for it. With --repair a running daemon is asked to write the rows that differ;
    without one the command does it itself.

    Exit code 0 when both sides are equal (after the repair, where that was asked for), 1 when they
    are not, or when that could not be told, 3 when a database could not be used.
    """
    loaded = load_config(config)
    if html is not None:
        check_place(html)
    max_age = timedelta(hours=loaded.verify.max_age_hours)
    request = Request(full=full, source=source, table=table, max_age=max_age)
    stop = Stop()
    stop.ask_on_signals()
    with open_target(loaded) as target:
        about = Circumstances.of(loaded, target) if html is not None else None
        first, verdict = (prove_and_repair if repair else _prove_only)(
            loaded,
            target,
            request,
            wait=stop.wait,
            watch=lambda proofs: VerifyProgress(ERRORS, proofs, live=ERRORS.is_terminal),
        )
    if html is not None and about is not None:
        write_page(html, as_html(verdict, about, None if first is verdict else first))
    if json:
        put_json(as_json(verdict) | ({"before": as_json(first)} if repair else {}))
    else:
        if first is not verdict:
            print_verdict(first)
            tell("The rows that differed were written again, and both sides compared again:")
        print_verdict(verdict)
    raise typer.Exit(verdict.exit_code)


def _prove_only(*arguments: Any, **options: Any) -> tuple[Verdict, Verdict]:
    verdict = prove(*arguments, **options)
    return verdict, verdict
