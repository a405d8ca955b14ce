"""Transactions that are open while a side is closed: they commit before it, or wait, or fail."""

import threading

import psycopg
import pytest

from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.errors import SourceBusy
from cdc.sqlite import hold
from cdc.sqlite.hold import Hold
from tests.support.waiting import wait_until

from .conftest import run, succeed
from .shop import MORE, moved_over, replicated, returning

LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture
def shop(site):
    return replicated(site)


def both(site, query: str, name: str) -> list[list]:
    """What the two sides say."""
    return [sorted(site.sqlite(query, name=name)), sorted(site.postgres(query))]


def test_a_legacy_transaction_open_across_the_hold(site, service, monkeypatch):
    """One that has written is waited for, and replicated. One that has read and now writes fails
    at once. One that writes for the first time waits, and is told of the freeze.
    """
    # The first attempt that holds the files has to seal them: behind it the one that waits writes.
    monkeypatch.setattr(hold, "FLUSH_SECONDS", 5.0)
    shop = replicated(site, MORE.replace("hold_ms = 2000", "hold_ms = 10_000"))
    early, reader = (service(shop.file(name)) for name in ("shop.db", "other.db"))
    late = service(shop.file("shop.db"), timeout=60.0)
    refused, errors = [], []
    take = Hold.take

    def watched(held) -> None:
        try:
            take(held)
        except SourceBusy:
            refused.append(held)
            if len(refused) == 2:
                assert early("COMMIT").error == ""
            raise

    def at(state: str) -> None:
        if state == "begun":  # behind the gates, whose canary has to come to the file
            assert early("BEGIN IMMEDIATE").error == ""
            assert early("INSERT INTO orders (item) VALUES ('early')").error == ""
            assert reader("BEGIN").error + reader("SELECT * FROM logs").error == ""
            assert late("BEGIN").error == ""
        if state == "held" and not errors:
            errors.append(reader("INSERT INTO logs (line) VALUES ('reader')").error)
            reader("ROLLBACK")
            late.start("INSERT INTO orders (item) VALUES ('late')")

    monkeypatch.setattr(Hold, "take", watched)
    report = run(shop, Cutover, at=at)
    assert (report.outcome, report.trouble) == ("switched", []), report
    assert len(refused) >= 2
    assert errors == ["OperationalError: database is locked"]
    assert late.answer().error.startswith("IntegrityError: cdc froze orders")
    assert both(shop, "SELECT item FROM orders", "shop.db") == [[("a",), ("b",), ("early",)]] * 2
    assert both(shop, "SELECT line FROM logs", "other.db") == [[("x",)]] * 2


class Application:
    """A session of PostgreSQL with a transaction of its own."""

    def __init__(self, dsn: str, level: str, table: str) -> None:
        self.table = table
        self.conn = psycopg.connect(dsn)
        self.conn.isolation_level = psycopg.IsolationLevel[level.replace(" ", "_")]
        # So it has its snapshot from before the gate is closed.
        self.conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()

    def copy(self, line: str) -> None:
        with self.conn.cursor().copy(f"COPY {self.table} (line) FROM STDIN".encode()) as copy:
            copy.write_row((line,))

    def truncate(self, _: str) -> None:
        self.conn.execute(f"TRUNCATE {self.table}".encode())

    def insert(self, line: str) -> None:
        self.conn.execute(f"INSERT INTO {self.table} (line) VALUES (%s)".encode(), (line,))

    def refused(self, line: str) -> list[str]:
        """Which kinds of writes are not refused; each is tried in its own transaction."""
        passed = []
        for write in (self.insert, self.copy, self.truncate):
            try:
                write(line)
                self.conn.commit()
            except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.SerializationFailure):
                self.conn.rollback()
            else:
                passed.append(write.__name__)
        return passed


TABLES = [f"t{i}" for i in range(len(LEVELS))]
CREATE = ";".join(f"CREATE TABLE {t} (id INTEGER PRIMARY KEY, line TEXT)" for t in TABLES)
FILL = ";".join(f"INSERT INTO {t} (line) VALUES ('old')" for t in TABLES)


@pytest.mark.parametrize("write", ["insert", pytest.param("truncate", marks=pytest.mark.soak)])
def test_a_transaction_of_postgresql_open_across_the_rollback(write, site):
    """One that has written is waited for, and brought back; of any other, whatever its snapshot
    and however it writes, nothing is committed.
    """
    site.sqlite(f"{CREATE};{FILL}", name="other.db")
    shop = moved_over(site)
    early, late, passed = [], [], []

    def end_the_early_ones() -> None:
        wait_until(lambda: shop.postgres(CLOSING) == [(1,)])
        for each in early:
            each.conn.commit()

    ending = threading.Thread(target=end_the_early_ones)

    def at(state: str) -> None:
        if state == "begun":
            late.extend(Application(shop.dsn, *each) for each in zip(LEVELS, TABLES, strict=True))
            # Their locks on the tables would be in the way of a TRUNCATE.
            for each in late if write == "truncate" else []:
                each.conn.rollback()
                each.conn.execute("SELECT count(*) FROM orders")
            early.extend(Application(shop.dsn, *each) for each in zip(LEVELS, TABLES, strict=True))
            for each in early:
                getattr(each, write)("early")
                each.copy("copied")
            ending.start()
        if state == "closed":
            passed.extend(name for each in late for name in each.refused("late"))

    report = run(shop, Rollback, at=at)
    ending.join()
    for each in early + late:
        each.conn.close()
    assert (report.outcome, report.trouble) == ("rolled_back", []), report
    assert passed == []
    wanted = ["copied", "early", "old"] if write == "insert" else ["copied"]
    for table in TABLES:
        found = both(shop, f"SELECT line FROM {table}", "other.db")
        assert found == [[(line,) for line in wanted]] * 2
    shop.wait_until_equal()


CLOSING = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND mode = 'ExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

LONG = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'orders'::regclass"


@pytest.mark.soak
def test_a_vacuum_of_a_target_table_delays_nothing(shop):
    """Neither the switch nor the way back waits for one, nor does the daemon that turns."""
    shop.sqlite(
        "WITH RECURSIVE i (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 3000)"
        " INSERT INTO orders (item) SELECT printf('%2000d', i) FROM i"
    )
    wait_until(shop.caught_up)
    with psycopg.connect(shop.dsn, autocommit=True) as conn:
        conn.execute("SET vacuum_cost_delay = '100ms'")
        conn.execute("SET vacuum_cost_limit = 1")
        vacuum = threading.Thread(target=_until_cancelled, args=(conn,))
        vacuum.start()
        try:
            wait_until(lambda: shop.postgres(LONG) == [(1,)])
            succeed(shop, Cutover)
            shop.postgres("UPDATE orders SET price = 7 WHERE item = 'a'")
            wait_until(lambda: returning(shop))
            succeed(shop, Rollback)
            shop.sqlite("UPDATE orders SET price = price + 1 WHERE item = 'a'")
            wait_until(lambda: shop.caught_up() and [lag.state for lag in shop.lags()] == TAILING)
            assert shop.postgres("SELECT price FROM orders WHERE item = 'a'") == [(8.0,)]
            assert shop.postgres(LONG) == [(1,)], "the VACUUM was over too early to tell"
        finally:
            conn.cancel_safe()
            vacuum.join()


TAILING = ["tailing", "tailing"]


def _until_cancelled(conn) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        conn.execute("VACUUM (DISABLE_PAGE_SKIPPING) orders")
