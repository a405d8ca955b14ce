"""Services end when they are told to and never outlive whoever started them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cdc
from cdc.demo import files
from cdc.demo.fleet import SERVICES, Fleet, ServiceFailed
from tests.support.processes import is_gone
from tests.support.waiting import wait_until

PARENT = """
import sys, time
from pathlib import Path
from cdc.demo import files
from cdc.demo.fleet import Fleet
fleet = Fleet.start(Path(sys.argv[1]), pace=20)
print(*fleet.pids.values(), flush=True)
time.sleep(60)
"""


def written(directory, since):
    """The legacy files that were written after a time in nanoseconds."""
    return [name for name in files.FILES if (directory / name).stat().st_mtime_ns > since]


def test_fleet_reports_what_its_services_did(legacy):
    started = time.time_ns()
    with Fleet.start(legacy, pace=50) as fleet:
        wait_until(lambda: files.PRICE_HISTORY in written(legacy, started))
        assert fleet.failed() == []
    reports = fleet.stop()
    assert tuple(report.service for report in reports) == SERVICES
    assert reports[0].writes > 0
    assert reports[0].slowest_ms > 0
    assert all(is_gone(pid) for pid in fleet.pids.values())


def test_stop_reaches_services_that_are_only_just_starting(legacy):
    fleet = Fleet.start(legacy)
    assert [report.service for report in fleet.stop()] == list(SERVICES)


def test_only_the_services_asked_for_run(legacy):
    with Fleet.start(legacy, services=("price_watcher",)) as fleet:
        assert list(fleet.pids) == ["price_watcher"]


def test_service_that_died_is_named_with_the_end_of_its_log(legacy):
    fleet = Fleet.start(legacy, log_directory=legacy.parent)
    (legacy.parent / "trade_manager.log").write_text("its last words")
    os.kill(fleet.pids["trade_manager"], signal.SIGKILL)
    wait_until(lambda: fleet.failed() == ["trade_manager"])
    with pytest.raises(ServiceFailed, match="trade_manager") as failure:
        fleet.stop()
    assert "its last words" in failure.value.hint
    assert all(is_gone(pid) for pid in fleet.pids.values())


def test_no_service_outlives_a_parent_that_was_killed(legacy):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(legacy)], stdout=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == len(SERVICES)
    assert not any(is_gone(pid) for pid in pids)
    parent.kill()
    parent.communicate()
    wait_until(lambda: all(is_gone(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("service", SERVICES)
def test_signal_ends_a_service_cleanly(legacy, service, number):
    process = subprocess.Popen(
        [sys.executable, "-m", f"cdc.demo.services.{service}", str(legacy), "--pace", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = time.time_ns()
    try:
        wait_until(lambda: written(legacy, started))
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert report["service"] == service
    assert report["writes"] > 0
    assert not [path for path in legacy.iterdir() if path.name.endswith("-journal")]


def test_replicator_s_process_never_imports_sqlite3():
    """Two SQLite libraries on one file in one process would drop each other's locks."""
    program = "import sys, cdc.cli.demo; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_nothing_but_its_command_knows_the_demo():
    package = Path(cdc.__file__).parent
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "cdc.demo" in path.read_text(encoding="utf-8")
    }
    assert {user for user in users if not user.startswith("demo/")} == {
        "cli/demo.py",
        "cli/demo_report.py",
        "cli/demo_story.py",
    }
