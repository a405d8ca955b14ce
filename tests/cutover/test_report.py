"""The report of a run: kept from its first phase on, and a page that can be trusted."""

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from cdc.cli.cutover_html import as_html
from cdc.cli.cutover_progress import CutoverProgress
from cdc.cli.page import Circumstances
from cdc.cutover.forward import Cutover
from cdc.cutover.hooks import HookRun
from cdc.cutover.phases import Phase, Report
from cdc.cutover.records import MOST_KEPT, Records, records_of
from cdc.cutover.sight import Gate
from tests.support.page import HOSTILE, Page

from .conftest import run
from .shop import MORE, die, masters, replicated

ABOUT = Circumstances("ann", "host", "cdc cutover", "config.toml", "database", "18", {})


def whole(**values: object) -> Report:
    """A report with something of everything."""
    report = Report(
        "run1",
        "forward",
        outcome="switched",
        freeze_seconds=0.4,
        held=[0.1, 0.2],
        phases=[Phase("preflight", 120.0, 1.5, 1), Phase("freeze", 1.0, 2.5, 1)],
        gates=[Gate("lag", True, ("0 events",)), Gate("proof", False, (HOSTILE,), "verify")],
        positions={"shop": 1234},
        proofs=["shop: 17 rows compared"],
        hooks=[HookRun("stop", ("sh", HOSTILE), 0.1, f"said {HOSTILE}", "ended with exit code 7")],
        opened_before=["python trades.py (process 7): trades.db"],
        opened_after=["nobody"],
        trouble=[HOSTILE],
    )
    report.end()
    return replace(report, **values)


def test_the_page_has_all_of_it_and_is_harmless():
    """Phases against their budgets, gates, proofs, positions, hooks, and who had the files open."""
    page = Page(as_html(whole(cause=HOSTILE), ABOUT))
    for words in (
        "PostgreSQL takes the writes.", "preflight", "1.5 s", "2 min 0 s", "pass", "FAIL",
        "0 events", "shop: 17 rows compared", "shop: event 1,234", "ended with exit code 7",
        "trades.py", "nobody", "Nobody could write for", "400 ms", "Run by", "ann on host",
    ):  # fmt: skip
        assert words in page.text, words
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>") == 5
    assert "\u202e" not in page.text
    assert not any("://" in (value or "") for _, value in page.attributes)


def test_a_report_is_read_back_as_it_was(tmp_path):
    records = Records(tmp_path / "runs")
    report = whole()
    records.save(report)
    assert records.find("run1") == records.last() == report
    assert records.find("run2") is None


def test_the_oldest_reports_go_and_half_ones_are_passed_over(tmp_path):
    records = Records(tmp_path)
    for year in range(1000, 1002 + MOST_KEPT):
        records.save(whole(run=f"r{year}", started_at=datetime(year, 1, 1, tzinfo=UTC)))
    assert len(list(tmp_path.iterdir())) == MOST_KEPT
    assert records.find("r1001") is None
    (tmp_path / "9999.json").write_text("{")
    assert records.last().run == f"r{1001 + MOST_KEPT}"


def test_a_report_that_cannot_be_kept_stops_nothing(tmp_path):
    """The report itself says so, once."""
    (tmp_path / "runs").touch()
    report = whole()
    for _ in range(2):
        Records(tmp_path / "runs").save(report)
    assert [each for each in report.trouble if "could not be kept" in each] == [report.trouble[-1]]


def test_a_terminal_shows_the_phases_as_they_go_and_a_file_a_line_for_each():
    live = Console(file=StringIO(), force_terminal=True, width=100)
    with CutoverProgress(live, live=True) as progress:
        progress.watch(whole())
        progress.tell("holding the files")
    shown = live.file.getvalue()
    assert "preflight" in shown
    assert "1.5 s" in shown
    assert "of 1.0 s" in shown
    assert "holding the files" in shown
    plain = Console(file=StringIO(), width=100)
    with CutoverProgress(plain, live=False) as progress:
        progress.watch(whole())
        progress.tell("holding the files")
    assert plain.file.getvalue() == "… holding the files\n"


@pytest.fixture
def shop(site):
    more = '[[hooks]]\non = "{}"\ncommand = ["sh", "-c", "echo {} >> hooks"]\n'
    return replicated(site, MORE + more.format("stop", "stop") + more.format("start", "start"))


def test_of_a_run_that_died_is_told_how_far_it_came(shop):
    """The next one starts the services that it had stopped, and completes its report."""
    die(shop, "cutover", "sealed")
    report = records_of(shop.config).last()
    assert (report.ended_at, report.exit_code) == (None, 3)
    assert [p.name for p in report.phases] == ["preflight", "stop", "proof", "freeze"]
    assert all(gate.passed for gate in report.gates)
    assert set(report.positions) == {"shop", "other"}
    told = shop.cdc("cutover", "--last")
    assert told.code == 3
    assert "Its last phase: freeze" in told.out
    ended = run(shop, Cutover)
    assert (ended.run, ended.outcome) == (report.run, "aborted")
    assert ended.phases[: len(report.phases)] == report.phases
    assert records_of(shop.config).last() == ended
    assert (shop.folder / "hooks").read_text() == "stop\nstart\n"
    assert masters(shop) == (True, False)
