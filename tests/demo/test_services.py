"""Each service writes with the statements, the transactions and the patience of the real one."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from cdc.demo import files
from cdc.demo.fleet import SERVICES
from cdc.demo.history import ACTIVE_TRADES
from cdc.demo.services import presence
from cdc.demo.services.sqlite_desk import DEFAULT_TIMEOUT_SECONDS
from tests.support.waiting import wait_until

TRACED_SERVICE = Path(__file__).with_name("traced_service.py")

PRICE = (
    (
        r"INSERT OR REPLACE INTO price_log \(timestamp, price\)"
        r" VALUES \('\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d', [\d.]+\)"
    ),
    r"DELETE FROM price_log WHERE timestamp < '",
)
LIFE_OF_A_TRADE = (
    r"INSERT INTO trades .*'pending'",
    r"UPDATE trades SET status = 'open'.* WHERE id = \d+",
    r"UPDATE trades SET status = 'error' WHERE id = \d+",
    r"UPDATE trades SET status = 'closing'.* WHERE id = \d+",
    r"UPDATE trades SET status = 'closed'.* WHERE id = \d+",
    r"UPDATE trades SET status = 'expired'.* WHERE ticker = 'KXBTCD-",
    r"DELETE FROM trades WHERE status = 'error'",
)
MOMENTUM_AS_TEXT_AND_AS_NUMBER = (
    r"INSERT INTO trades .*, '-?\d', 0\.\d+, 0\.\d+, 'KXBTCD-",
    r"INSERT INTO trades .*, -?[\d.]+, 0\.\d+, 0\.\d+, 'KXBTCD-",
)
ACTIVE_TRADE = (
    r"INSERT INTO active_trades \(trade_id, ticket_id, ",
    r"UPDATE active_trades SET current_symbol_price = .* WHERE trade_id = \d+",
    r"DELETE FROM active_trades WHERE trade_id = \d+",
)
ACCOUNT = (
    (r"DELETE FROM positions$", r"INSERT INTO positions \(ticker, "),
    (r"INSERT OR REPLACE INTO positions \(ticker, ",),
    (r"INSERT OR IGNORE INTO fills \(trade_id, ",),
    (r"INSERT OR IGNORE INTO orders \(order_id, ",),
    (r"INSERT INTO settlements \(ticker, ",),
    (r"INSERT OR IGNORE INTO settlements \(ticker, ",),
    (r"INSERT OR REPLACE INTO settlements \(ticker, ",),
)
TRANSACTIONS = [
    ("price_watcher", PRICE),
    *(("trade_manager", (step,)) for step in LIFE_OF_A_TRADE),
    *(("trade_manager", (insert,)) for insert in MOMENTUM_AS_TEXT_AND_AS_NUMBER),
    *(("active_trade_supervisor", (step,)) for step in ACTIVE_TRADE),
    *(("account_sync", statements) for statements in ACCOUNT),
]
"""Who commits transactions of exactly such statements."""

ROUNDS = 3


@pytest.fixture
def run():
    """Starts a service, as a person would, until it is stopped."""
    started = []

    def start(directory, service, *options):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", f"cdc.demo.services.{service}", str(directory), *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def report_of(process):
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output)


def stop(process):
    """Have a service finish what it is at; its report."""
    process.terminate()
    return report_of(process)


def rows(directory, file, statement):
    with closing(sqlite3.connect(directory / file)) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def traced(pristine, tmp_path_factory):
    """What all services together executed until each had done all that it does: service -> its
    statements in order, those of one connection after one another; and their reports."""
    directory = tmp_path_factory.mktemp("traced")
    for file in files.FILES:
        (directory / file).write_bytes((pristine / file).read_bytes())
    # A script, unlike -m, does not find packages in the working directory.
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    running = {}
    for service in SERVICES:
        (directory / service).touch()
        command = [sys.executable, str(TRACED_SERVICE), str(directory / service)]
        options = [str(directory), "--pace", "100"]
        running[service] = subprocess.Popen(
            [*command, f"cdc.demo.services.{service}", *options],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def trace(service):
        # Its last line may only have begun.
        return (directory / service).read_text().rpartition("\n")[0].splitlines()

    try:
        for service, patterns in TRANSACTIONS:
            wait_until(
                lambda: committed(trace(service), *patterns),  # noqa: B023  (it is called here)
                60,
                what=f"{service}: {patterns}",
            )
        reports = {service: stop(process) for service, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return {service: trace(service) for service in SERVICES}, reports


def transactions(trace):
    """The statements of every transaction that was committed."""
    current = {}
    for line in trace:
        connection, statement = line.split("\t", 1)
        if statement.startswith("BEGIN"):
            current[connection] = []
        elif statement == "COMMIT":
            yield current.pop(connection)
        elif connection in current:
            current[connection].append(statement)


def committed(trace, *patterns):
    """Whether some transaction is exactly statements of these patterns, repeats folded."""
    for statements in transactions(trace):
        kinds = [next((p for p in patterns if re.match(p, s)), s) for s in statements]
        folded = [kind for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]]
        if folded == list(patterns):
            return True
    return False


def test_no_statement_is_refused_and_every_service_writes(traced):
    for report in traced[1].values():
        assert report["writes"] > 0
        assert report["refused"] == 0
        assert report["slowest_ms"] > 0


def test_price_is_replaced_and_old_ones_deleted_in_one_transaction(traced):
    assert committed(traced[0]["price_watcher"], *PRICE)


def test_price_table_is_created_if_missing_before_each_write(traced):
    trace = [line.split("\t", 1)[1] for line in traced[0]["price_watcher"]]
    before = [trace[i - 1] for i, statement in enumerate(trace) if statement.startswith("BEGIN")]
    assert before
    assert all("CREATE TABLE IF NOT EXISTS price_log" in statement for statement in before)


@pytest.mark.parametrize("pattern", LIFE_OF_A_TRADE)
def test_trade_goes_through_its_life_a_transaction_a_step(traced, pattern):
    assert committed(traced[0]["trade_manager"], pattern)


def test_momentum_is_sometimes_written_as_text(traced):
    for pattern in MOMENTUM_AS_TEXT_AND_AS_NUMBER:
        assert committed(traced[0]["trade_manager"], pattern)


@pytest.mark.parametrize("pattern", ACTIVE_TRADE)
def test_active_trades_follow_the_open_ones(traced, pattern):
    assert committed(traced[0]["active_trade_supervisor"], pattern)


def test_every_active_trade_is_valued_in_each_round(legacy, run):
    with closing(sqlite3.connect(legacy / files.ACTIVE_TRADES)) as connection:
        connection.execute("UPDATE active_trades SET time_since_entry = -1, last_updated = NULL")
        connection.commit()
    service = run(legacy, "active_trade_supervisor", "--pace", "0.01")  # once, and not again
    stale = "SELECT * FROM active_trades WHERE time_since_entry < 0 OR last_updated IS NULL"
    wait_until(lambda: rows(legacy, files.ACTIVE_TRADES, stale) == [])
    assert stop(service)["writes"] == ACTIVE_TRADES


@pytest.mark.parametrize("patterns", ACCOUNT)
def test_account_is_written_in_every_way(traced, patterns):
    assert committed(traced[0]["account_sync"], *patterns)


def test_unique_index_on_positions_is_created_at_run_time(traced):
    trace = "\n".join(traced[0]["account_sync"])
    assert "CREATE UNIQUE INDEX IF NOT EXISTS idx_positions_ticker ON positions (ticker)" in trace


def test_nobody_changes_the_journal_mode(traced):
    statements = "\n".join("\n".join(trace) for trace in traced[0].values()).lower()
    assert "journal_mode" not in statements


def test_effects_of_replace_and_ignore(legacy, run):
    """Positions and corrected settlements take new ids; fills that are sent again do not."""
    fills = rows(legacy, files.FILLS, "SELECT * FROM fills")
    oldest = rows(legacy, files.POSITIONS, "SELECT min(id) FROM positions")
    service = run(legacy, "account_sync", "--pace", "60")
    wait_until(lambda: len(rows(legacy, files.FILLS, "SELECT * FROM fills")) > len(fills))
    wait_until(lambda: rows(legacy, files.POSITIONS, "SELECT min(id) FROM positions") > oldest)
    corrected = "SELECT id FROM settlements WHERE raw_json LIKE '%\"corrected\": true%'"
    wait_until(lambda: rows(legacy, files.SETTLEMENTS, corrected))
    assert stop(service)["refused"] == 0
    assert rows(legacy, files.FILLS, "SELECT * FROM fills")[: len(fills)] == fills


def test_old_column_is_renamed_when_the_supervisor_starts(legacy, run):
    with closing(sqlite3.connect(legacy / files.ACTIVE_TRADES)) as connection:
        connection.execute(
            "ALTER TABLE active_trades RENAME COLUMN current_symbol_price TO current_price"
        )
    service = run(legacy, "active_trade_supervisor")
    wait_until(lambda: presence.look(legacy / "active_trade_supervisor.pid"))  # it has begun
    assert stop(service)["refused"] == 0
    columns = {
        row[1] for row in rows(legacy, files.ACTIVE_TRADES, "PRAGMA table_info(active_trades)")
    }
    assert "current_symbol_price" in columns
    assert "current_price" not in columns


def test_service_that_finds_no_files_makes_them(tmp_path, run):
    """As the real ones do: they are what created the files in the first place."""
    services = [run(tmp_path, service, "--pace", "60") for service in SERVICES]
    wait_until(lambda: len(list(presence.present(tmp_path))) == len(SERVICES))  # all have begun
    wait_until(lambda: rows(tmp_path, files.PRICE_HISTORY, "SELECT * FROM price_log"))
    reports = [stop(service) for service in services]
    assert {path.name for path in tmp_path.iterdir()} >= set(files.FILES)
    columns = rows(tmp_path, files.TRADES, "PRAGMA table_info(trades)")
    assert columns[-1][1] == "ticket_id"
    assert sum(report["writes"] for report in reports) > 0


def test_trade_manager_gives_up_after_a_quarter_second_counts_it_and_goes_on(legacy, run):
    newest = rows(legacy, files.TRADES, "SELECT max(id) FROM trades")
    with closing(sqlite3.connect(legacy / files.TRADES, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        service = run(legacy, "trade_manager", "--pace", "20")
        assert "database is locked" in service.stderr.readline()
        given_up = time.monotonic()
        assert "database is locked" in service.stderr.readline()
        # It has rested for half a second before, and yet: others wait for longer than all that.
        assert time.monotonic() - given_up < DEFAULT_TIMEOUT_SECONDS
        other.execute("ROLLBACK")
    wait_until(lambda: rows(legacy, files.TRADES, "SELECT max(id) FROM trades") > newest)
    report = stop(service)
    assert report["locked"] >= 2
    assert report["writes"] > 0


def test_patient_service_waits_for_a_short_lock(legacy, run):
    with closing(sqlite3.connect(legacy / files.PRICE_HISTORY, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        service = run(legacy, "price_watcher")
        wait_until(lambda: presence.look(legacy / "price_watcher.pid"))  # it is about to write
        with pytest.raises(subprocess.TimeoutExpired):
            service.wait(timeout=1)
        other.execute("ROLLBACK")
    report = stop(service)
    assert report["locked"] == 0
    assert report["writes"] >= 1
    assert report["slowest_ms"] > 100


def test_frozen_file_is_told_from_a_locked_one(legacy, run):
    """A trigger that refuses writes, as a cutover leaves behind, reaches the service as an error
    that it logs and lives with."""
    with closing(sqlite3.connect(legacy / files.PRICE_HISTORY)) as connection:
        connection.execute(
            "CREATE TRIGGER frozen BEFORE INSERT ON price_log"
            " BEGIN SELECT raise(ABORT, 'moved to PostgreSQL'); END"
        )
    service = run(legacy, "price_watcher", "--pace", "10")
    assert "moved to PostgreSQL" in service.stderr.readline()
    report = stop(service)
    assert report["refused"] >= 1
    assert (report["writes"], report["locked"]) == (0, 0)


def test_pace_multiplies_the_rate(legacy, run):
    """Nobody ever writes more than at the pace; a machine with other work writes less."""
    for _ in range(ROUNDS):
        # One after the other: a service looks for its own writes when it begins, and finds no
        # other's.
        slow, fast = (
            report_of(run(legacy, "price_watcher", "--pace", pace, "--seconds", "0.6"))["writes"]
            for pace in ("2", "20")
        )
        assert slow <= 2
        assert fast <= 13
        if slow >= 1 and fast >= 4:
            return
    raise AssertionError(f"each time too few: {slow} and {fast}")


@pytest.mark.parametrize("pace", ["0", "-1", "nan", "inf", "fast"])
def test_impossible_pace_is_wrong_usage(tmp_path, run, pace):
    process = run(tmp_path, "price_watcher", "--pace", pace)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--pace" in errors
