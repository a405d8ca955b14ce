"""The files have the sizes and the shapes of the real ones."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from cdc.demo import files
from cdc.demo.clock import new_york
from cdc.demo.fleet import ServiceFailed, make_history
from cdc.demo.history import ACTIVE_TRADES, TRADES, TRADES_BEFORE_TICKETS, create

TABLES = {
    files.TRADES: "trades",
    files.ACTIVE_TRADES: "active_trades",
    files.POSITIONS: "positions",
    files.FILLS: "fills",
    files.ORDERS: "orders",
    files.SETTLEMENTS: "settlements",
    files.PRICE_HISTORY: "price_log",
}


def rows(directory, file, statement):
    with closing(sqlite3.connect(directory / file)) as connection:
        return connection.execute(statement).fetchall()


def test_every_file_holds_its_one_table_in_the_default_journal_mode(pristine):
    for file, table in TABLES.items():
        tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'"
        assert rows(pristine, file, tables) == [(table,)]
        assert rows(pristine, file, "PRAGMA journal_mode") == [("delete",)]
        assert rows(pristine, file, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("file", "kilobytes"),
    [
        (files.FILLS, 792),
        (files.ORDERS, 1_500),
        (files.SETTLEMENTS, 288),
        (files.PRICE_HISTORY, 4_600),
    ],
)
def test_file_is_as_large_as_the_real_one(pristine, file, kilobytes):
    assert (pristine / file).stat().st_size == pytest.approx(kilobytes * 1000, rel=0.2)


def test_all_files_together_are_about_seven_megabytes(pristine):
    size = sum((pristine / file).stat().st_size for file in files.FILES)
    assert size == pytest.approx(7e6, rel=0.2)


def test_row_counts(pristine):
    counts = {
        table: rows(pristine, file, f"SELECT count(*) FROM {table}")[0][0]
        for file, table in TABLES.items()
    }
    assert counts["trades"] == TRADES == 129
    assert counts["active_trades"] == ACTIVE_TRADES == 7
    assert counts["price_log"] == pytest.approx(100_000, rel=0.2)
    assert min(counts.values()) > 0


def test_trades_look_like_trades(pristine):
    statuses = dict(rows(pristine, files.TRADES, "SELECT status, count(*) FROM trades GROUP BY 1"))
    assert statuses.keys() == {"open", "closed", "expired"}
    assert statuses["open"] == ACTIVE_TRADES
    for ticker, strike in rows(pristine, files.TRADES, "SELECT ticker, strike FROM trades"):
        day, dollars = ticker.split("-")[1:]
        assert ticker.startswith("KXBTCD-")
        assert datetime.strptime(day, "%y%b%d%H").replace(tzinfo=UTC)
        assert f"${float(dollars[1:]) + 0.01:,.0f}" == strike


def test_text_written_to_momentum_became_a_real(pristine):
    """The column's affinity converts '0'; nothing but numbers is ever stored."""
    kinds = rows(pristine, files.TRADES, "SELECT DISTINCT typeof(momentum) FROM trades")
    assert kinds == [("real",)]
    assert rows(pristine, files.TRADES, "SELECT count(*) FROM trades WHERE momentum = 0")[0][0]


def test_ticket_id_came_after_the_first_trades(pristine):
    without = rows(pristine, files.TRADES, "SELECT max(id) FROM trades WHERE ticket_id IS NULL")
    having = rows(pristine, files.TRADES, "SELECT min(id) FROM trades WHERE ticket_id IS NOT NULL")
    columns = rows(pristine, files.TRADES, "PRAGMA table_info(trades)")
    assert without[0][0] == TRADES_BEFORE_TICKETS
    assert having[0][0] > TRADES_BEFORE_TICKETS
    assert columns[-1][1] == "ticket_id"


def test_refused_orders_left_gaps_in_the_ids(pristine):
    assert rows(pristine, files.TRADES, "SELECT max(id) FROM trades")[0][0] > TRADES


def test_active_trades_are_the_open_ones(pristine):
    open_trades = rows(pristine, files.TRADES, "SELECT id FROM trades WHERE status = 'open'")
    active = rows(pristine, files.ACTIVE_TRADES, "SELECT trade_id FROM active_trades")
    first_id = rows(pristine, files.ACTIVE_TRADES, "SELECT min(id) FROM active_trades")[0][0]
    assert sorted(active) == sorted(open_trades)
    assert first_id > ACTIVE_TRADES


def test_positions_are_unique_by_an_index_that_came_later(pristine):
    indexes = rows(pristine, files.POSITIONS, "PRAGMA index_list(positions)")
    assert [(unique, origin) for _, _, unique, origin, _ in indexes] == [(1, "c")]


def test_raw_json_is_the_exchange_s_object(pristine):
    for file in (files.FILLS, files.ORDERS, files.SETTLEMENTS, files.POSITIONS):
        texts = [row[0] for row in rows(pristine, file, f"SELECT raw_json FROM {TABLES[file]}")]
        assert all(isinstance(json.loads(text), dict) for text in texts)
        assert 200 <= min(map(len, texts)) <= max(map(len, texts)) < 6_000
    longest = rows(pristine, files.ORDERS, "SELECT max(length(raw_json)) FROM orders")[0][0]
    assert longest > 3_000


@pytest.fixture
def few_prices(monkeypatch):
    """A history that is made quickly."""
    monkeypatch.setattr("cdc.demo.history.WATCHED_SECONDS_A_DAY", 60)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(datetime(2025, 7, 31, 21, 0, 7, 900_000, tzinfo=UTC), id="summer"),
        pytest.param(datetime(2025, 11, 20, 21, 0, 7, tzinfo=UTC), id="clocks went back"),
        pytest.param(datetime(2026, 3, 20, 21, 0, 7, tzinfo=UTC), id="clocks went forward"),
    ],
)
def test_prices_begin_where_the_watcher_s_thirty_days_end(few_prices, tmp_path, now):
    """So the watcher deletes a price a second from its first second on."""
    create(tmp_path, now=now)
    first_and_last = "SELECT min(timestamp), max(timestamp) FROM price_log"
    times = rows(tmp_path, files.PRICE_HISTORY, first_and_last)[0]
    first, last = (datetime.fromisoformat(text) for text in times)
    assert last == new_york(now).replace(microsecond=0)
    assert last - first == timedelta(days=30, seconds=-1)


def test_times_are_new_york_s_but_for_last_updated(few_prices, tmp_path):
    now = datetime(2025, 7, 31, 21, 0, 7, tzinfo=UTC)
    create(tmp_path, seed=1, now=now)
    priced = rows(tmp_path, files.PRICE_HISTORY, "SELECT max(timestamp) FROM price_log")
    valued = rows(tmp_path, files.ACTIVE_TRADES, "SELECT last_updated FROM active_trades")
    assert priced == [("2025-07-31T17:00:07",)]
    assert set(valued) == {("2025-07-31 21:00:07",)}


def test_same_seed_and_time_give_the_same_rows(few_prices, tmp_path):
    now = datetime(2025, 7, 31, 21, 0, 7, tzinfo=UTC)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        create(tmp_path / name, seed=seed, now=now)
    for file, table in TABLES.items():
        a, b, c = (rows(tmp_path / name, file, f"SELECT * FROM {table}") for name in "abc")
        assert a == b
        assert a != c


def test_existing_file_is_never_touched(tmp_path):
    (tmp_path / files.ORDERS).write_bytes(b"precious")
    with pytest.raises(ServiceFailed, match=files.ORDERS):
        make_history(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [files.ORDERS]
    assert (tmp_path / files.ORDERS).read_bytes() == b"precious"
