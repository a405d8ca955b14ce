"""A target table that was made by hand is compared, filled, and otherwise left alone."""

import pytest

from cdc.errors import TargetRefused
from cdc.postgres.stopped import stopped_tables
from tests.support.sites import Site

MORE = """
[sources.tables.trades]
existing = true

[sources.tables.trades.columns]
ticker = { type = "varchar(12)" }
price = { type = "numeric(10,4)" }
opened = { type = "timestamptz", timezone = "UTC" }
"""

BY_HAND = """
CREATE TABLE trades (
    id integer PRIMARY KEY,
    ticker varchar(10) NOT NULL,
    price numeric(10,2),
    noted text NOT NULL
)
"""

FITTING = """
CREATE TABLE trades (
    created_at timestamptz NOT NULL DEFAULT now(),
    price numeric(10,4) CHECK (price > 0),
    ticker varchar(12) NOT NULL,
    opened timestamptz,
    id bigint CONSTRAINT own_name PRIMARY KEY
)
"""


@pytest.fixture
def desk(site: Site) -> Site:
    site.sqlite(
        "CREATE TABLE trades (id INTEGER PRIMARY KEY, ticker TEXT NOT NULL, price REAL,"
        " opened TEXT);"
        "CREATE INDEX by_ticker ON trades (ticker);"
        "INSERT INTO trades (ticker, price, opened) VALUES"
        " ('A', 1.5, '2025-01-02T03:04:05'), ('B', 2.25, NULL)"
    )
    site.configure(more=MORE)
    return site


def _oid(site: Site) -> int:
    ((oid,),) = site.postgres("SELECT 'trades'::regclass::oid::bigint")
    return int(oid)


def _why_stopped(site: Site, table: str) -> str:
    with site.target() as target, target.lease() as conn:
        return next(t.reason for t in stopped_tables(conn, "shop") if t.name == table)


def test_a_fitting_table_is_filled_and_otherwise_left_alone(desk: Site) -> None:
    """Its key, its columns and its indexes stay; it gets the guard alone."""
    desk.postgres(FITTING)
    before = _oid(desk)
    desk.catch_up()
    desk.assert_equal()
    desk.sqlite("UPDATE trades SET price = 3; INSERT INTO trades (ticker, price) VALUES ('C', 4)")
    desk.catch_up()
    desk.assert_equal()
    assert _oid(desk) == before
    assert desk.postgres("SELECT count(*) FROM trades WHERE created_at IS NULL") == [(0,)]
    indexes = desk.postgres("SELECT indexname FROM pg_indexes WHERE tablename = 'trades'")
    assert indexes == [("own_name",)]
    triggers = desk.postgres(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'trades'::regclass ORDER BY tgname"
    )
    assert triggers == [("_cdc_guard",), ("_cdc_queue",), ("_cdc_queue_all",)]


def test_every_difference_is_in_one_error(desk: Site) -> None:
    desk.postgres(BY_HAND)
    with pytest.raises(TargetRefused) as caught:
        desk.catch_up()
    text = str(caught.value)
    for difference in (
        "column id is integer and has to be bigint",
        "column ticker is character varying(10) and has to be varchar(12)",
        "column price is numeric(10,2) and has to be numeric(10,4)",
        "column opened timestamptz is missing",
        "column noted is not in SQLite, yet NOT NULL and without a default",
    ):
        assert difference in text
    assert caught.value.hint
    assert desk.postgres("SELECT count(*) FROM cdc.captured_table") == [(0,)]
    assert {problem.text for problem in desk.plan().problems} == {
        f"public.trades was made by hand, and {difference}."
        for difference in text.partition("does not fit: ")[2].split("; ")
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP TABLE trades", "there is no such table"),
        ("INSERT INTO trades (id, ticker) VALUES (9, 'Z')", "holds rows already"),
        ("ALTER TABLE trades DROP CONSTRAINT own_name", "primary key is missing"),
        (
            "ALTER TABLE trades ALTER id ADD GENERATED ALWAYS AS IDENTITY",
            "takes no values",
        ),
    ],
)
def test_what_cannot_be_filled_is_refused(desk: Site, change: str, words: str) -> None:
    """The plan says so before, in the same words."""
    desk.postgres(FITTING)
    desk.postgres(change)
    [problem] = desk.plan().problems
    assert words in problem.text
    assert problem.remedies
    with pytest.raises(TargetRefused, match=words) as caught:
        desk.catch_up()
    assert caught.value.hint


def test_text_in_the_key_is_sorted_as_in_sqlite(site: Site) -> None:
    """A chunk of the copy is a range of keys, which has to mean the same rows on both sides."""
    others = site.postgres(
        "SELECT collname FROM pg_collation WHERE collcollate NOT IN ('C', 'POSIX', '')"
        " AND collencoding IN (-1, pg_char_to_encoding('UTF8')) LIMIT 1"
    )
    if not others:
        pytest.skip("this server knows no order but that of bytes")
    site.sqlite("CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('a'), ('B')")
    site.postgres(f'CREATE TABLE t (k text COLLATE "{others[0][0]}" PRIMARY KEY)')
    site.configure(more="[sources.tables.t]\nexisting = true")
    with pytest.raises(TargetRefused, match='has to have COLLATE "C"'):
        site.catch_up()
    site.postgres('ALTER TABLE t ALTER k TYPE text COLLATE "C"')
    site.catch_up()
    site.assert_equal()


def test_a_change_of_the_source_stops_the_table_until_it_fits_again(desk: Site) -> None:
    desk.postgres(FITTING)
    desk.catch_up()
    before = _oid(desk)
    desk.sqlite("ALTER TABLE trades ADD COLUMN note TEXT; UPDATE trades SET note = 'x'")
    desk.catch_up()
    assert "column note text is missing" in _why_stopped(desk, "trades")
    desk.postgres("ALTER TABLE trades ADD note text")
    desk.catch_up()
    desk.assert_equal()
    assert _oid(desk) == before


def test_a_column_of_its_own_that_the_configuration_names_keeps_its_values(desk: Site) -> None:
    """It is there already, so nothing is added."""
    added = '[sources.tables.trades.added.created_at]\ntype = "timestamptz"\ndefault = "now()"\n'
    desk.configure(more=MORE + added)
    desk.postgres(FITTING)
    desk.catch_up()
    before = desk.postgres("SELECT created_at FROM trades ORDER BY id")
    desk.sqlite("UPDATE trades SET price = 9")
    desk.catch_up()
    desk.assert_equal()
    assert desk.postgres("SELECT created_at FROM trades ORDER BY id") == before


def test_what_is_altered_by_hand_later_stops_the_table(desk: Site) -> None:
    desk.postgres(FITTING)
    desk.catch_up()
    desk.postgres("ALTER TABLE trades ALTER price TYPE numeric(10,2)")
    desk.catch_up()
    assert "column price is numeric(10,2)" in _why_stopped(desk, "trades")


def test_it_is_never_dropped(desk: Site) -> None:
    desk.postgres(FITTING)
    desk.catch_up()
    before = _oid(desk)
    desk.sqlite("ALTER TABLE trades RENAME TO deals")
    desk.configure()
    desk.catch_up()
    assert "was made by hand" in _why_stopped(desk, "deals")
    assert _oid(desk) == before


def test_the_plan_does_not_take_it_for_a_stranger(desk: Site) -> None:
    desk.postgres(FITTING)
    assert desk.cdc("plan").code == 0
    desk.catch_up()
    assert desk.plan().problems == []
