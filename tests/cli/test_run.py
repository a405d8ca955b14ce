"""`cdc run`: how it ends, and what it says."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.conftest import STAFF
from tests.support.command import ROOT, command
from tests.support.sites import Site
from tests.support.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_it_cleanly(shop, number):
    """Whatever way a person or a service manager asks, it ends within seconds and with 0."""
    daemon = shop.daemon()
    assert daemon.stop(number, seconds=10) == 0
    assert list(shop.folder.glob("*.cdc-lock")) == []
    [lag] = shop.lags()
    assert (lag.state, lag.holder) == ("stopped", None)


def test_second_signal_does_no_harm(shop):
    """Impatience changes nothing."""
    daemon = shop.daemon()
    daemon.send(signal.SIGINT)
    daemon.send(signal.SIGINT)
    assert daemon.stop(signal.SIGTERM, seconds=10) == 0


@pytest.mark.skipif("CDC_TEST_DSN" in os.environ, reason="uses the embedded server")
def test_first_commands_of_a_newcomer(secret):
    """With nothing but a file and two commands there is a PostgreSQL, with the rows in it."""
    # Not below pytest's directory: under root the server is another user, who may not go there.
    with (
        TemporaryDirectory(prefix="cdc-test-first-") as folder,
        command(Path(folder), secret) as cdc,
    ):
        Site(cdc.folder, "", cdc).sqlite(STAFF)
        assert cdc("init", "shop.db").code == 0
        assert cdc("run", "--until-caught-up").code == 0
        outcome = cdc("status")
        assert outcome.code == 0
        assert "staff" in outcome.out
        assert cdc("lag").code == 0


def test_signal_at_any_moment_of_the_start(shop):
    """There is no moment at which a signal leads to anything but an end."""
    for step in range(6):
        daemon = shop.start()
        wait_until(lambda step=step: step == 0 or shop.file("shop.db.cdc-lock").exists())
        daemon.send(signal.SIGTERM)
        # Before its handlers are in place Python itself ends the process.
        assert daemon.ended(20) in (0, -signal.SIGTERM)
    shop.catch_up()
    shop.assert_equal()


def test_log_lines_as_json(shop):
    """Each line is one object, with a stable name for what happened."""
    outcome = shop.cdc("run", "--until-caught-up", "--log-format", "json")
    assert outcome.code == 0
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    assert all(line.keys() >= {"time", "level", "logger", "action", "message"} for line in lines)
    assert {"capture_new", "copied", "tailing"} <= {line["action"] for line in lines}
    assert {line["source"] for line in lines} == {"shop"}


def test_failure_as_json(shop):
    """The reason why it ends is a log line as well."""
    shop.file().unlink()
    outcome = shop.cdc("run", "--log-format", "json")
    assert outcome.code == 3
    [line] = [json.loads(line) for line in outcome.err.splitlines()]
    assert (line["action"], line["level"]) == ("failed", "error")
    assert "does not exist" in line["message"]
    assert "bring the file back" in line["message"]


def test_log_lines_as_text(shop):
    """Without a terminal: plain lines, no colours, nothing on standard output."""
    outcome = shop.cdc("run", "--until-caught-up")
    assert outcome.out == ""
    assert "\x1b" not in outcome.err
    assert "shop: Copied table staff: 1 rows." in outcome.err


def test_hostile_names_forge_no_log_lines(site):
    """A table's name is data: it neither breaks a line nor steers a terminal."""
    site.sqlite('CREATE TABLE "a\nb\x1b[31m" (id INTEGER PRIMARY KEY)')
    site.configure()
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 0
    assert "\x1b" not in outcome.err
    assert all(line[:2] == "20" for line in outcome.err.splitlines())


def test_traceback_is_for_who_asks(shop, refused):
    """`--debug` shows where it came from; without it one message does."""
    shop.file().unlink()
    refused(shop.cdc("run"), 3, "does not exist")
    process = subprocess.run(
        [sys.executable, "-m", "cdc", "--debug", "run"],
        cwd=shop.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 3
    assert "Traceback" in process.stderr
    assert shop.cdc.secret not in process.stderr


def test_display_on_a_terminal(shop):
    """On a terminal it shows what each source is doing, and stops as cleanly."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cdc", "run"],
        cwd=shop.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=secondary,
    )
    os.close(secondary)
    os.set_blocking(primary, False)
    shown = bytearray()

    def shows(*words):
        try:
            shown.extend(os.read(primary, 65536))
        except BlockingIOError:
            pass
        except OSError:  # nobody has the other end any more
            return True
        return all(word in shown for word in words)

    try:
        wait_until(lambda: shows(b"tailing", b"caught up"), what=lambda: bytes(shown))
        process.send_signal(signal.SIGINT)
        wait_until(lambda: shows(b"stopped") and process.poll() is not None)
    finally:
        process.kill()
        process.wait()
        os.close(primary)
    assert process.returncode == 0
    assert shop.cdc.secret.encode() not in shown
