"""What `lag` and `status` say, in words and in JSON, and by their exit codes."""

import subprocess
import sys

import pytest

from cdc import __version__

LAG_KEYS = {"name", "captured_seq", "applied_seq", "lag_events", "lag_seconds", "state"}


@pytest.fixture
def behind(shop):
    """The shop with three events that are not applied yet."""
    shop.catch_up()
    shop.sqlite("INSERT INTO staff VALUES (2, 'B'), (3, 'C'); DELETE FROM staff WHERE id = 2")
    return shop


def test_lag_as_json_keeps_its_contract(behind):
    """These keys are parsed by others: added to freely, never renamed."""
    report = behind.cdc("lag", "--json").json
    assert report.keys() >= {"sources", "max_lag_events", "max_lag_seconds"}
    [source] = report["sources"]
    assert source.keys() >= LAG_KEYS
    assert (source["name"], source["state"]) == ("shop", "stopped")
    assert (source["captured_seq"], source["applied_seq"], source["lag_events"]) == (3, 0, 3)
    assert report["max_lag_events"] == 3
    assert 0 < source["lag_seconds"] < 600
    assert report["max_lag_seconds"] == source["lag_seconds"]


def test_status_as_json_keeps_its_contract(behind):
    """It says all that `lag` says, and where everything is."""
    report = behind.cdc("status", "--json").json
    [source] = report["sources"]
    assert source.keys() >= LAG_KEYS | {"path", "message", "holder", "tables"}
    assert source["path"] == str(behind.file())
    assert source["holder"] is None
    [table] = source["tables"]
    assert table == table | {"name": "staff", "target": "public.staff", "live": True, "rows": 1}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0),  # within the 100 events of [cutover], but see below
        (("--max-events", "2"), 1),
        (("--max-events", "3"), 0),
        (("--max-seconds", "0"), 1),
        (("--max-events", "0", "--max-seconds", "86400"), 1),
    ],
)
def test_lag_is_a_gate(behind, options, code):
    """Exit code 0 within the bounds, 1 beyond; data on standard output either way."""
    # The age of the events is beyond the default bound on a slow machine.
    generous = () if "--max-seconds" in options else ("--max-seconds", "86400")
    outcome = behind.cdc("lag", *options, *generous)
    assert outcome.code == code
    assert "shop" in outcome.out


def test_gate_of_the_configuration(behind):
    """[cutover] holds where no option says otherwise."""
    text = behind.config_path.read_text()
    behind.config_path.write_text(
        f"{text}\n[cutover]\nmax_lag_events = 2\nmax_lag_seconds = 9999\n"
    )
    assert behind.cdc("lag").code == 1
    behind.config_path.write_text(
        f"{text}\n[cutover]\nmax_lag_events = 3\nmax_lag_seconds = 9999\n"
    )
    assert behind.cdc("lag").code == 0


def test_lag_of_an_idle_source_is_zero(shop):
    """Nothing to apply is no lag, however long ago the last event was."""
    shop.catch_up()
    shop.sqlite("INSERT INTO staff VALUES (2, 'B')")
    shop.catch_up()
    outcome = shop.cdc("lag", "--json", "--max-events", "0", "--max-seconds", "0")
    assert outcome.code == 0
    assert outcome.json["max_lag_seconds"] == 0
    assert outcome.json["sources"][0]["captured_seq"] == 1


def test_source_that_was_never_copied_is_not_within_the_gate(shop):
    """Before the first run there is nothing to cut over to."""
    outcome = shop.cdc("lag", "--json", "--max-events", "1000", "--max-seconds", "1000")
    assert outcome.code == 1
    assert outcome.json["sources"][0]["state"] == "new"
    assert shop.cdc("status").code == 0


def test_status_while_the_daemon_runs(shop):
    """It names the process, and what the source is doing."""
    daemon = shop.daemon()
    report = shop.cdc("status", "--json").json
    [source] = report["sources"]
    assert source["state"] == "tailing"
    assert source["holder"]["pid"] == daemon.pid
    assert source["holder"]["command"] == "cdc run"
    assert f"process {daemon.pid}" in shop.cdc("status").out
    daemon.kill()
    [source] = shop.cdc("status", "--json").json["sources"]
    assert (source["state"], source["holder"]) == ("stopped", None)


def test_reports_write_nothing(shop):
    """Looking changes neither side."""
    before = shop.file().read_bytes()
    for command in (("status",), ("lag",), ("status", "--json")):
        shop.cdc(*command)
    assert shop.file().read_bytes() == before
    assert shop.postgres("SELECT 1 FROM pg_namespace WHERE nspname = 'cdc'") == []


def test_version(shop):
    """`--version` says which one it is, on standard output."""
    outcome = shop.cdc("--version")
    assert (outcome.code, outcome.out) == (0, f"cdc {__version__}\n")


OPTIONS = {
    (): ("--debug", "--version", "--help", "Exit codes"),
    ("init",): ("FILE", "--dsn", "--config"),
    ("plan",): ("--config", "--source", "--table", "--json", "--ddl", "Exit code"),
    ("install",): ("--config", "--source"),
    ("uninstall",): ("--config", "--source", "--table"),
    ("run",): ("--config", "--until-caught-up", "--log-format", "SIGTERM"),
    ("status",): ("--config", "--json"),
    ("lag",): ("--config", "--max-events", "--max-seconds", "--json", "Exit code"),
    ("events",): (
        "--source",
        "--from",
        "--to",
        "--table",
        "--key",
        "--since",
        "--until",
        "--follow",
    ),
    ("history",): ("TABLE", "KEY", "--config", "--source", "--whole", "--json", "Exit code"),
    ("quarantine",): ("list", "show", "retry", "drop"),
    ("quarantine", "list"): ("--config", "--source", "--table", "--dropped", "--json"),
    ("quarantine", "show"): ("ID", "--config", "--json"),
    ("quarantine", "retry"): ("ID", "--source", "--table", "--all", "--wait", "Exit code"),
    ("quarantine", "drop"): ("ID", "--source", "--table", "--all", "--json"),
    ("archive",): ("status", "verify", "baseline", "restart"),
    ("archive", "status"): ("--config", "--json", "Exit code"),
    ("archive", "verify"): ("--config", "--source", "--json", "Exit code"),
    ("archive", "baseline"): ("--config", "--source", "--table", "--json"),
    ("archive", "restart"): ("--config", "--source", "--json"),
    ("demo",): ("--directory", "--seconds", "--pace"),
}


@pytest.mark.parametrize("command", OPTIONS, ids=" ".join)
def test_help_tells_the_options(shop, command):
    """`--help` works everywhere, and mentions what there is."""
    outcome = shop.cdc(*command, "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    for word in OPTIONS[command]:
        assert word in outcome.out
    for name in (c[0] for c in OPTIONS if c and not command):
        assert name in outcome.out


def test_a_command_imports_no_other():
    """A gate that is asked twice a second does not pay for the plan and the demo."""
    words = (
        "import sys; from cdc.cli.main import COMMANDS, build_app; build_app(['--debug', 'lag']);"
        "print(*(c for c in COMMANDS if f'cdc.cli.{c}' in sys.modules))"
    )
    command = [sys.executable, "-c", words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["lag"]
