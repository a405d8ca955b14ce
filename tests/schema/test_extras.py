"""What a target table has besides the columns of its source, as the configuration asks for it."""

import re

import pytest

from cdc.errors import ConfigError
from cdc.mapping.extras import STORAGE as STORAGE_PARAMETERS
from cdc.mapping.extras import check_storage
from cdc.postgres import left_out
from cdc.postgres.extras import storage_text
from tests.support.sites import Site

SHOP = """
CREATE TABLE trade (
    id INTEGER PRIMARY KEY,
    "Day" TEXT,
    status TEXT NOT NULL DEFAULT 'open',
    price REAL
);
CREATE INDEX by_price ON trade (price);
INSERT INTO trade ("Day", status) VALUES ('2025-01-02', 'open'), ('2025-01-02', 'closed');
"""
STORAGE = "[sources.tables.trade]\nstorage = {{ {} }}\n"
INDEX = "[[sources.tables.trade.indexes]]\ncolumns = [{}]\n"


@pytest.fixture
def shop(site: Site) -> Site:
    site.sqlite(SHOP)
    return site


def _indexes(site: Site) -> dict[str, str]:
    return dict(
        site.postgres(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = 'trade' AND indexname NOT LIKE '%pkey'"
        )
    )


def _storage(site: Site) -> set[str]:
    ((options,),) = site.postgres("SELECT reloptions FROM pg_class WHERE relname = 'trade'")
    return set(options or ())


def test_a_table_is_made_with_its_storage_parameters(shop: Site) -> None:
    parameters = "fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = false"
    shop.configure(more=STORAGE.format(parameters))
    shop.catch_up()
    assert _storage(shop) == {
        "fillfactor=90",
        "autovacuum_vacuum_scale_factor=0.02",
        "vacuum_truncate=false",
    }
    shop.assert_equal()


def test_the_table_of_long_values_has_parameters_of_its_own(shop: Site) -> None:
    """They are set with the table, and follow a change like the others."""
    query = (
        "SELECT t.reloptions FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid"
        " WHERE c.relname = 'trade'"
    )
    shop.configure(more=STORAGE.format('"toast.autovacuum_enabled" = false, fillfactor = 80'))
    shop.catch_up()
    assert shop.postgres(query) == [(["autovacuum_enabled=false"],)]
    shop.configure(more=STORAGE.format('"toast.autovacuum_vacuum_threshold" = 7'))
    shop.catch_up()
    assert shop.postgres(query) == [(["autovacuum_vacuum_threshold=7"],)]
    assert _storage(shop) == set()


def test_an_index_on_an_added_column(shop: Site) -> None:
    """Also together with a column of SQLite."""
    added = '[sources.tables.trade.added.made]\ntype = "timestamptz"\ndefault = "now()"\n'
    shop.configure(more=INDEX.format('"made", "status"') + added)
    shop.catch_up()
    shop.assert_equal()
    assert "(made, status)" in _indexes(shop)["trade_made_status_idx"]


def test_a_change_of_storage_is_carried_out_at_the_next_start(shop: Site) -> None:
    """Without making the table anew; what is not asked for any more is taken back."""
    shop.configure(more=STORAGE.format("fillfactor = 90, parallel_workers = 2"))
    shop.catch_up()
    before = shop.created()
    shop.configure(more=STORAGE.format("fillfactor = 70"))
    shop.catch_up()
    assert _storage(shop) == {"fillfactor=70"}
    shop.configure()
    shop.catch_up()
    assert _storage(shop) == set()
    assert shop.created() == before


def test_a_table_that_is_copied_again_takes_its_new_storage(shop: Site) -> None:
    shop.configure(more=STORAGE.format("fillfactor = 90"))
    shop.catch_up()
    before = shop.created()
    shop.sqlite("CREATE UNIQUE INDEX only_one ON trade (price)")
    shop.configure(more=STORAGE.format("fillfactor = 70"))
    shop.catch_up()
    assert _storage(shop) == {"fillfactor=70"}
    assert shop.created() == before
    shop.assert_equal()


def test_indexes_are_made_beside_those_of_sqlite(shop: Site) -> None:
    shop.configure(more=INDEX.format('"STATUS", "day"') + 'name = "by_day"')
    shop.catch_up()
    found = _indexes(shop)
    assert set(found) == {"by_price", "by_day"}
    assert found["by_day"].endswith('(status, "Day")')


def test_an_index_without_a_name_is_called_after_its_columns(shop: Site) -> None:
    shop.configure(more=INDEX.format('"status"') + INDEX.format('"id", "Day"') + "unique = true")
    shop.catch_up()
    found = _indexes(shop)
    assert set(found) == {"by_price", "trade_status_idx", "trade_id_Day_key"}
    assert "UNIQUE" in found["trade_id_Day_key"]


def test_an_index_serves_a_plain_query(shop: Site) -> None:
    """In the column's own collation: one of another PostgreSQL would not look at."""
    shop.configure(more=INDEX.format('"status"'))
    shop.catch_up()
    shop.postgres(f"ALTER DATABASE {_database(shop)} SET enable_seqscan = off")
    plan = shop.postgres("EXPLAIN SELECT * FROM trade WHERE status = 'open'")
    assert "trade_status_idx" in str(plan)


def test_an_index_that_is_not_asked_for_any_more_goes(shop: Site) -> None:
    shop.configure(more=INDEX.format('"status"'))
    shop.catch_up()
    shop.configure(more=INDEX.format('"status", "Day"'))
    shop.catch_up()
    assert set(_indexes(shop)) == {"by_price", "trade_status_Day_idx"}
    shop.configure()
    shop.catch_up()
    assert set(_indexes(shop)) == {"by_price"}


def test_a_unique_index_that_the_rows_violate_is_reported(shop: Site) -> None:
    shop.configure(more=INDEX.format('"Day"') + "unique = true")
    shop.catch_up()
    shop.assert_equal()
    assert set(_indexes(shop)) == {"by_price"}
    with shop.target() as target, target.lease() as conn:
        (missing,) = left_out.read(conn, "shop")
    assert missing.what == "index trade_Day_key"
    assert "could not create unique index" in missing.reason


def test_the_ddl_of_the_plan_makes_all_of_it(shop: Site) -> None:
    shop.configure(more=STORAGE.format("fillfactor = 90") + INDEX.format('"status"'))
    ddl = shop.cdc("plan", "--ddl").out
    assert "WITH (fillfactor = 90);" in ddl
    shop.postgres(ddl)
    assert "trade_status_idx" in _indexes(shop)
    assert _storage(shop) == {"fillfactor=90"}


@pytest.mark.parametrize("column", ["ticker", "price"])
def test_an_index_on_a_column_that_is_not_there_is_refused(shop: Site, column: str) -> None:
    skip = "[sources.tables.trade.columns.price]\nskip = true\n"
    shop.configure(more=skip + INDEX.format(f'"{column}"'))
    with pytest.raises(ConfigError, match=rf"table trade: index \({column}\): no column"):
        shop.catch_up()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (STORAGE.format("filfactor = 90"), r'\[sources\.tables\.trade\].* mean "fillfactor"'),
        (STORAGE.format("fillfactor = 9"), "fillfactor must be a whole number from 10 to 100"),
        (STORAGE.format("fillfactor = 90.5"), "whole number"),
        (STORAGE.format("autovacuum_enabled = 1"), "true or false"),
        (STORAGE.format("fillfactor = true"), "whole number"),
        (STORAGE.format('fillfactor = "90"'), "must be a table such as"),
        (INDEX.format(""), r"\[\[sources\.tables\.trade\.indexes\]\] number 1 columns = \[\]"),
        (INDEX.format('"id"') * 2, r"index \(id\) is there twice"),
        (INDEX.format('"id", "id"'), "names a column twice"),
        ("[sources.tables.trade]\nindexes = 1", r"Write \[\[sources\.tables\.trade\.indexes\]\]"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(shop: Site, more: str, message: str) -> None:
    shop.configure(more=more)
    with pytest.raises(ConfigError) as caught:
        shop.catch_up()
    assert re.search(message, f"{caught.value} {caught.value.hint}")


def _database(site: Site) -> str:
    ((name,),) = site.postgres("SELECT quote_ident(current_database())")
    return str(name)


def test_postgresql_takes_every_value_that_the_check_lets_through(site: Site) -> None:
    site.postgres("CREATE TABLE t (a text)")
    for name, bounds in STORAGE_PARAMETERS.items():
        for value in bounds or (True, False):
            check_storage(name, value)
            site.postgres(f"ALTER TABLE t SET ({storage_text([(name, value)])})")
