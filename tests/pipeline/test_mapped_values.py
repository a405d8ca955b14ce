"""Mapped columns from real triggers to PostgreSQL, by the copy and by the log, and compared."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from cdc.errors import ConfigError, ValueDoesNotFit

TRADES = (
    "CREATE TABLE trades (id INTEGER PRIMARY KEY, price REAL, strike TEXT, date TEXT, time TEXT,"
    " closed_at TEXT, momentum REAL, won, notes TEXT, sent INTEGER, raw TEXT)"
)
INSERT = "INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ROW = (1, 0.5, "$117,750", "2025-08-01", "09:30:00", "2025-08-01T09:30:00", "0", 1, "secret",
       1722510000123, '{"a":  1}')  # fmt: skip

COLUMN = "\n[sources.tables.trades.columns.{}]\n{}\n"
TYPES = {
    "price": 'type = "numeric(10,4)"',
    "strike": 'type = "varchar(20)"\nname = "strike_price"',
    "date": 'type = "date"',
    "time": 'type = "time"',
    "closed_at": 'type = "timestamptz"\ntimezone = "America/New_York"',
    "momentum": 'type = "numeric(10,4)"',
    "won": 'type = "boolean"',
    "notes": "skip = true",
    "sent": 'type = "timestamptz"\nepoch = "ms"',
    "raw": 'type = "json"',
}


def configure(site, **changes):
    wanted = TYPES | changes
    site.configure(more="".join(COLUMN.format(*item) for item in wanted.items()))


@pytest.mark.parametrize("copied", [True, False], ids=["copied", "applied"])
@pytest.mark.parametrize("count", [1, 3000], ids=["few", "many"])
def test_every_type_arrives(site, copied, count):
    """By every way a row is what its mapping says, under the names of the configuration."""
    site.sqlite(TRADES)
    configure(site)
    if not copied:
        site.catch_up()
    site.sqlite(INSERT, *((i, *ROW[1:]) for i in range(1, count + 1)))
    site.catch_up()
    site.assert_equal()
    assert list(site.columns("trades")) == [
        *("id", "price", "strike_price", "date", "time", "closed_at", "momentum", "won"),
        *("sent", "raw"),
    ]
    assert site.postgres("SELECT *, raw::text FROM trades WHERE id = 1")[0][1:9] == (
        Decimal("0.5000"),
        "$117,750",
        date(2025, 8, 1),
        time(9, 30),
        datetime(2025, 8, 1, 13, 30, tzinfo=UTC),
        Decimal("0.0000"),
        True,
        datetime(2024, 8, 1, 11, 0, 0, 123_000, tzinfo=UTC),
    )
    assert site.postgres("SELECT raw::text FROM trades WHERE id = 1") == [('{"a":  1}',)]
    site.sqlite("UPDATE trades SET price = 0.25 WHERE id = 1; DELETE FROM trades WHERE id = 2")
    site.catch_up()
    site.assert_equal()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("price", 0.12345, "more than 4 digits behind the point"),
        ("price", "n/a", "it is no number"),
        ("strike", "x" * 21, "21 characters, and the column takes 20"),
        ("closed_at", "2025-11-02T01:30:00", "shows this time twice"),
        ("raw", "{", "it is no JSON"),
    ],
)
def test_a_misfit_stops_its_source_and_says_why(site, column, value, reason):
    """Nothing of the batch is written, and the message gives the true reason."""
    site.sqlite(TRADES)
    configure(site)
    site.catch_up()
    site.sqlite(INSERT, ROW)
    site.sqlite(f"UPDATE trades SET {column} = ?", (value,))
    with pytest.raises(ValueDoesNotFit, match=reason):
        site.catch_up()
    assert site.postgres("SELECT count(*) FROM trades") == [(0,)]


def test_what_is_stored_instead_is_what_was_asked_for(site):
    """Rounded, cut, left NULL, or one of two instants; the proof counts it as equal."""
    site.sqlite(TRADES)
    configure(
        site,
        price='type = "numeric(10,4)"\non_misfit = "round"',
        strike='type = "varchar(4)"\non_misfit = "truncate"',
        momentum='type = "numeric(10,4)"\non_misfit = "null"',
        closed_at='type = "timestamptz"\ntimezone = "America/New_York"\nambiguous = "later"',
    )
    site.catch_up()
    site.sqlite(
        INSERT, (1, 0.12345, "$117,750", None, None, "2025-11-02T01:30:00", "n/a", *ROW[7:])
    )
    site.catch_up()
    site.assert_equal()
    assert site.postgres("SELECT price, strike, momentum, closed_at FROM trades") == [
        (Decimal("0.1235"), "$117", None, datetime(2025, 11, 2, 6, 30, tzinfo=UTC))
    ]


def test_a_difference_in_a_mapped_column_is_seen(site):
    """The proof does not take a rounded price for the exact one where nobody asked to round."""
    site.sqlite(TRADES)
    configure(site)
    site.sqlite(INSERT, ROW)
    site.catch_up()
    for change in ("price = 0.5001", "won = false", "closed_at = closed_at + '1 us'"):
        with site.target() as target, target.lease() as conn, conn.transaction():
            conn.execute("SET LOCAL cdc.session = 'on'")
            conn.execute(f"UPDATE public.trades SET {change}".encode())
        assert site.differences()
        site.sqlite("UPDATE trades SET id = id")
        site.catch_up()
        site.assert_equal()


def test_another_mapping_is_followed_in_the_same_table(site):
    """A changed option, a new name and a column that is no longer left out; the table stays."""
    site.sqlite(TRADES)
    site.sqlite(INSERT, ROW)
    configure(site)
    site.catch_up()
    made = site.created()
    configure(site, notes='name = "remarks"', date='type = "text"')
    site.catch_up()
    site.assert_equal()
    assert site.created() == made
    assert site.postgres("SELECT remarks, date FROM trades") == [("secret", "2025-08-01")]


def test_a_column_of_the_key_is_neither_left_out_nor_altered(site):
    """Two rows could become one."""
    site.sqlite("CREATE TABLE trades (ticker TEXT PRIMARY KEY, n INTEGER)")
    for line in ("skip = true", 'type = "varchar(3)"\non_misfit = "truncate"', 'type = "json"'):
        site.configure(more=COLUMN.format("ticker", line))
        with pytest.raises(ConfigError, match="table trades: column ticker"):
            site.catch_up()


def test_an_instant_as_a_key(site):
    """A key of local times comes back bit for bit, or is refused."""
    site.sqlite("CREATE TABLE trades (at TEXT PRIMARY KEY, n INTEGER)")
    wish = 'type = "timestamptz"\ntimezone = "America/New_York"\nambiguous = "earlier"'
    site.configure(more=COLUMN.format("at", wish))
    site.sqlite(
        "INSERT INTO trades VALUES (?, 1)", ("2025-11-02T01:30:00",), ("2025-08-01T00:00:00",)
    )
    site.catch_up()
    site.sqlite("UPDATE trades SET n = 2; DELETE FROM trades WHERE at < '2025-09'")
    site.catch_up()
    site.assert_equal()
    site.sqlite("INSERT INTO trades VALUES ('2025-11-02 01:30:00', 1)")
    with pytest.raises(ValueDoesNotFit, match="come back as '2025-11-02T01:30:00'"):
        site.catch_up()
