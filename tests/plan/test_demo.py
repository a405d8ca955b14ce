"""What the plan says of the demo's files is what becomes of them."""

from pathlib import Path

import pytest

from cdc.cli.plan_json import as_json
from cdc.demo.fleet import make_history
from tests.support.sites import Site

CONFIG = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def exchange(site: Site) -> Site:
    """The demo's files under the demo's configuration, and the test's database."""
    make_history(site.folder / "rec_io", seed=1)
    text = CONFIG.read_text(encoding="utf-8")
    embedded = 'dsn = "embedded"'
    assert text.count(embedded) == 1
    site.config_path.write_text(text.replace(embedded, f'dsn = "{site.dsn}"'), encoding="utf-8")
    return site


def changed(plan):
    """Every value of which the plan shows what will be stored, by table, column and key."""
    return {
        (table["target"], column["target"], example["key"][0]): example["stored"]
        for source in plan["sources"]
        for table in source["tables"]
        for column in table["columns"]
        for example in column["altered"]["examples"] + column["settled"]["examples"]
    }


def test_the_plan_of_the_demo_comes_true(exchange):
    """A strike in dollars, a momentum of '0', a price with more digits than its column, and a time
    in the hour that the clocks show twice: all of trade 1. The key between two files holds.
    """
    plan = as_json(exchange.plan())
    assert plan["fits"], plan
    predicted = changed(plan)
    assert predicted["public.trades", "buy_price", "1"] == "0.3733"
    closed = predicted["public.trades", "closed_at", "1"]
    assert closed.endswith("05:30:00+00:00")
    exchange.catch_up()
    exchange.assert_equal()
    for (table, column, key), stored in predicted.items():
        # The key of a price is the time itself, as the plan says that it will be.
        where = f"{column} = %s" if table == "public.price_log" else f"id = {key}"
        parameters = [stored, stored] if "%s" in where else [stored]
        query = f"SELECT {column} = %s FROM {table} WHERE {where}"
        assert exchange.postgres(query, *parameters) == [(True,)], (table, column, key)
    assert exchange.postgres("SELECT strike, momentum FROM trades WHERE id = 1") == [
        ("$117,750", 0)
    ]
    rows = {t["target"]: t["rows"] for source in plan["sources"] for t in source["tables"]}
    for table, count in rows.items():
        assert exchange.postgres(f"SELECT count(*) FROM {table}") == [(count,)]
    keys = exchange.postgres(
        "SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated"
        " FROM pg_constraint WHERE contype = 'f'"
    )
    assert keys == [("active_trades", "trades", True)]
