"""What `cdc health` says, by what a real server tells, with limits that are easily passed."""

import psycopg
import pytest

from cdc.cutover import health
from tests.support.proxy import Proxy

SHOP = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO items VALUES (1, 'a')"

LIMITS = """
[health]
connections = 100
fail_drifts = 1
warn_dead_rows = 0
warn_query_ms = 0

[[hooks]]
on = "health"
command = ["sh", "-c", "{}"]
"""


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    configure(site, "true")
    site.catch_up()
    return site


def configure(site, script: str, **settings: object) -> None:
    site.configure(more=LIMITS.format(script), **settings)


def look(site, before=None):
    with site.target() as target:
        return health.look(site.config, target, before)


def found(look) -> dict[str, tuple[str, str]]:
    return {f.name: (f.verdict, f.evidence) for f in look.findings}


def drift(site, rows: int) -> None:
    site.postgres(
        "INSERT INTO cdc.drift (source, name, key, what, columns, times_seen)"
        " SELECT 'shop', 'items', i::text, 'different', '[]', 2 FROM generate_series(1, %s) i",
        rows,
    )


def test_each_limit_is_held_against_what_the_server_says(shop):
    first = look(shop)
    assert first.passed
    assert found(first)["target"][0] == found(first)["drift"][0] == "pass"
    assert found(first)["latency"][0] == "warn"  # nothing takes no time
    assert "of 100 in use" in found(first)["connections"][1]
    assert found(first)["errors"] == ("pass", "counted from this look on")
    for _ in range(20):
        with pytest.raises(psycopg.errors.DivisionByZero):
            shop.postgres("SELECT 1 / 0")
    drift(shop, 2)
    with psycopg.connect(shop.dsn) as conn:
        conn.execute("SET LOCAL cdc.session = 'on'")
        conn.execute("UPDATE items SET name = 'b'")
        conn.commit()
        conn.execute("SELECT pg_stat_force_next_flush()")
    second = look(shop, first.counted)
    assert second.verdict == "fail"
    assert found(second)["drift"] == (
        "fail",
        "2 rows found to differ within an hour, and 0 that SQLite could not hold (more than 1)",
    )
    assert second.failures.startswith("drift: 2 rows")
    assert found(second)["errors"][0] == "warn", found(second)
    assert "1 in public.items" in found(second)["dead rows"][1]


def test_what_only_the_services_know_a_hook_tells(shop):
    """By its exit code, and by the values that it prints; a hook that cannot tell is a warning."""
    configure(shop, "echo pool_queue=11; echo pool_use_percent = 95.5; echo other=1; echo words")
    told = found(look(shop))
    assert told["pool queue"] == ("warn", "11 requests wait (more than 10)")
    assert told["pool"] == ("fail", "95.5 % of a pool in use (more than 90)")
    assert "other" not in told
    configure(shop, "echo no trades; exit 1")
    assert found(look(shop))["services"][0] == "fail"
    assert "no trades" in found(look(shop))["services"][1]
    configure(shop, "exit 2")
    look_ = look(shop)
    assert (look_.verdict, found(look_)["services"][0]) == ("warn", "unknown")


def test_a_server_that_does_not_answer_fails(shop):
    """And is an answer, not an error: whoever asks by exit code learns it."""
    proxy = Proxy(shop.dsn)
    configure(shop, "true", dsn=proxy.dsn)
    assert shop.cdc("health", "--json").json["passed"]
    proxy.close()
    asked = shop.cdc("health", "--json")
    assert (asked.code, asked.json["passed"]) == (1, False), asked
    assert asked.json["findings"][0]["name"] == "target"
