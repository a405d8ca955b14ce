"""Columns that SQLite does not have keep what they hold, however their rows are written."""

from datetime import datetime

import pytest

from cdc.errors import CdcError, ConfigError
from cdc.postgres import apply
from tests.support.sites import Site

SHOP = """
CREATE TABLE trade (id INTEGER PRIMARY KEY, ticker TEXT UNIQUE, price REAL);
CREATE TABLE fill (trade TEXT, number TEXT, size INTEGER, PRIMARY KEY (trade, number));
INSERT INTO trade VALUES (1, 'a', 1.5), (2, 'b', 2.5);
INSERT INTO fill VALUES ('x', '1', 10), ('x', '2', 20);
"""
ADDED = """
[sources.tables.{0}.added.created_at]
type = "timestamptz"
default = "clock_timestamp()"

[sources.tables.{0}.added.updated_at]
type = "timestamptz"
default = "clock_timestamp()"
on_update = "clock_timestamp()"
"""
BOTH = ADDED.format("trade") + ADDED.format("fill")
Stamps = dict[object, tuple[datetime, datetime]]


@pytest.fixture(params=[1, 10**9], ids=["many rows", "few rows"])
def shop(site: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Once with every batch written as many rows, once as a few."""
    monkeypatch.setattr(apply.Applier.__init__, "__kwdefaults__", _defaults(request.param))
    site.sqlite(SHOP)
    site.configure(more=BOTH)
    site.catch_up()
    return site


def _defaults(bulk_rows: int) -> dict[str, object]:
    known = apply.Applier.__init__.__kwdefaults__
    assert known is not None
    return dict(known) | {"bulk_rows": bulk_rows}


def _stamps(site: Site, table: str = "trade", key: str = "id") -> Stamps:
    rows = site.postgres(f"SELECT {key}, created_at, updated_at FROM {table}")
    return {row[0]: row[1:] for row in rows}


def test_the_first_copy_gives_them_their_defaults(shop: Site) -> None:
    shop.assert_equal()
    assert all(None not in stamps for stamps in _stamps(shop).values())
    ((comment,),) = shop.postgres("SELECT col_description('trade'::regclass, 4)")
    assert "not in SQLite" in comment


def test_an_update_keeps_what_is_not_to_change(shop: Site) -> None:
    before = _stamps(shop)
    shop.sqlite("UPDATE trade SET price = 9 WHERE id = 1; INSERT INTO trade VALUES (3, 'c', 3)")
    shop.catch_up()
    shop.assert_equal()
    after = _stamps(shop)
    assert after[1][0] == before[1][0]
    assert after[1][1] > before[1][1]
    assert after[2] == before[2]
    assert None not in after[3]


def test_a_composite_key_keeps_them_too(shop: Site) -> None:
    before = _stamps(shop, "fill", "number")
    shop.sqlite("UPDATE fill SET size = 11 WHERE number = '1'; DELETE FROM fill WHERE size = 20")
    shop.catch_up()
    shop.assert_equal()
    after = _stamps(shop, "fill", "number")
    assert set(after) == {"1"}
    assert after["1"][0] == before["1"][0]
    assert after["1"][1] > before["1"][1]


def test_rows_that_swap_unique_values_keep_them(shop: Site) -> None:
    """All rows of the batch are deleted and written anew: only to make room for each other."""
    before = _stamps(shop)
    shop.sqlite(
        "BEGIN; UPDATE trade SET ticker = 'x' WHERE id = 1;"
        "UPDATE trade SET ticker = 'a' WHERE id = 2; UPDATE trade SET ticker = 'b' WHERE id = 1;"
        "INSERT INTO trade VALUES (3, 'c', 3); UPDATE fill SET size = 12; COMMIT"
    )
    shop.catch_up()
    shop.assert_equal()
    after = _stamps(shop)
    assert [after[key][0] for key in (1, 2)] == [before[key][0] for key in (1, 2)]
    assert None not in after[3]


def test_rows_beside_one_that_the_server_refuses_keep_them(shop: Site) -> None:
    before = _stamps(shop, "fill", "number")
    shop.configure(more=BOTH, on_error="quarantine")
    shop.sqlite(
        "BEGIN; UPDATE fill SET size = 11 WHERE number = '1';"
        "INSERT INTO fill VALUES (hex(randomblob(9000)), '3', 1); COMMIT"  # too long for an index
    )
    shop.catch_up()
    assert shop.postgres("SELECT count(*) FROM cdc.quarantine") == [(1,)]
    after = _stamps(shop, "fill", "number")
    assert after["1"][0] == before["1"][0]
    assert after["1"][1] > before["1"][1]
    assert after["2"] == before["2"]


def test_a_resync_keeps_them(shop: Site) -> None:
    """A row that is equal already is not written, and not stamped."""
    before = _stamps(shop)
    made = shop.created()
    shop.sqlite("CREATE UNIQUE INDEX once ON trade (price)")
    shop.sqlite("UPDATE trade SET price = 7 WHERE id = 1")
    shop.catch_up()
    shop.assert_equal()
    after = _stamps(shop)
    assert shop.created() == made
    assert after[2] == before[2]
    assert after[1][0] == before[1][0]
    assert after[1][1] > before[1][1]


def test_a_migration_of_the_application_keeps_them(shop: Site) -> None:
    before = _stamps(shop)
    shop.sqlite("ALTER TABLE trade ADD COLUMN note TEXT DEFAULT 'n'")
    shop.catch_up()
    shop.assert_equal()
    assert {key: stamps[0] for key, stamps in _stamps(shop).items()} == {
        key: stamps[0] for key, stamps in before.items()
    }


def test_a_change_of_the_configuration_alters_the_table(site: Site) -> None:
    """Columns come, go and get another default; the others and the rows stay as they are."""
    site.sqlite(SHOP)
    site.configure()
    site.catch_up()
    made = site.created()
    site.configure(more=ADDED.format("trade"))
    site.catch_up()
    before = _stamps(site)
    assert all(None not in stamps for stamps in before.values())
    site.configure(
        more=ADDED.format("trade").replace("clock_timestamp()", "'2020-01-01Z'")
        + '[sources.tables.trade.added.origin]\ntype = "text"\ndefault = "\'legacy\'"\n'
    )
    site.sqlite("INSERT INTO trade VALUES (3, 'c', 3)")
    site.catch_up()
    after = _stamps(site)
    assert {key: after[key] for key in before} == before
    assert after[3][0].year == 2020
    assert set(site.postgres("SELECT origin FROM trade")) == {("legacy",)}
    site.configure()
    site.catch_up()
    assert set(site.columns("trade")) == {"id", "ticker", "price"}
    assert site.created() == made
    site.assert_equal()


def test_the_ddl_of_the_plan_has_them(site: Site) -> None:
    site.sqlite(SHOP)
    site.configure(more=ADDED.format("trade"))
    assert "created_at timestamptz" in site.cdc("plan").out
    site.postgres(site.cdc("plan", "--ddl").out)
    assert site.columns("trade")["updated_at"] == "timestamp with time zone"


@pytest.mark.parametrize(
    ("column", "settings", "message"),
    [
        ("price", 'type = "text"', "SQLite's column is called so, too"),
        ("at", 'type = "literal"', 'type = "literal": must be one of'),
        ("at", 'type = "date"\ndefault = "now(); DROP TABLE trade"', "without comments"),
        ("at", 'type = "date"\non_update = "now() -- today"', "without comments"),
        ("at", 'default = "now()"', 'lacks the key "type"'),
        ("a" * 64, 'type = "date"', "1 to 63 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(
    site: Site, column: str, settings: str, message: str
) -> None:
    site.sqlite(SHOP)
    site.configure(more=f"[sources.tables.trade.added.{column}]\n{settings}\n")
    with pytest.raises(ConfigError) as caught:
        site.catch_up()
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["default", "on_update"])
def test_an_expression_that_postgresql_does_not_take_is_found_at_the_start(
    site: Site, key: str
) -> None:
    site.sqlite(SHOP)
    site.configure(more=f'[sources.tables.trade.added.at]\ntype = "date"\n{key} = "nwo()"\n')
    with pytest.raises(CdcError, match=r"function nwo\(\) does not exist"):
        site.catch_up()
