"""The regression suite tells a system that works from one that does not, and leaves no trace."""

import sqlite3
import subprocess
import sys
from contextlib import closing

from cdc.cutover import envfile
from cdc.demo import environment, files

CHECKS = 9


def regression(directory):
    done = subprocess.run(
        [sys.executable, "-m", "cdc.demo.regression", str(directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]
    assert len(lines) == CHECKS, done.stderr
    assert done.returncode == any(line.startswith("FAIL") for line in lines)
    return lines


def rows(directory):
    found = []
    for file, table in zip(files.FILES, TABLES, strict=True):
        with closing(sqlite3.connect(directory / file)) as connection:
            found.append(connection.execute(f"SELECT * FROM {table}").fetchall())
    return found


TABLES = ("trades", "active_trades", "positions", "fills", "orders", "settlements", "price_log")


def test_all_checks_pass_on_sqlite_and_every_row_is_as_before(legacy):
    before = rows(legacy)
    assert all(line.startswith("PASS") for line in regression(legacy))
    assert rows(legacy) == before


def test_what_is_broken_is_named_and_the_other_checks_go_on(legacy):
    with closing(sqlite3.connect(legacy / files.POSITIONS)) as connection:
        connection.execute("DROP INDEX idx_positions_ticker")
    failed = [line for line in regression(legacy) if line.startswith("FAIL")]
    assert len(failed) == 1
    assert "position update" in failed[0]


def test_a_wrong_result_is_no_pass(legacy):
    """A trigger that changes what a trade has brought."""
    with closing(sqlite3.connect(legacy / files.TRADES)) as connection:
        connection.execute(
            "CREATE TRIGGER wrong AFTER UPDATE OF status ON trades WHEN NEW.status = 'closed'"
            " BEGIN UPDATE trades SET pnl = pnl + 1 WHERE id = NEW.id; END"
        )
    failed = [line for line in regression(legacy) if line.startswith("FAIL")]
    assert [("profit and loss" in line) for line in failed] == [True]


def test_a_server_that_is_not_there_fails_every_check_but_is_no_crash(legacy):
    environment.write(legacy, f"host={legacy} connect_timeout=1")
    envfile.change(legacy / environment.FILE, {"DB_ENGINE": "postgresql"})
    lines = regression(legacy)
    assert all(line.startswith("FAIL") for line in lines)
    assert "connectivity" in lines[0]
