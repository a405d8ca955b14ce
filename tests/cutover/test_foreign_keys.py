"""No row comes to refer to none unnoticed; the operator says what is to become of those that do."""

from contextlib import contextmanager
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.cutover import gates
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.postgres.connection import Target
from tests.support.waiting import wait_until

SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, code TEXT UNIQUE, name TEXT);
INSERT INTO customers VALUES (1, 'a', 'Ann'), (2, 'b', 'Bob'), (3, 'c', 'Cy');
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers,
                     customer_code TEXT REFERENCES customers (code));
INSERT INTO orders VALUES (10, 1, 'a'), (11, 2, 'b'), (12, 9, NULL);
"""

POLICY = """
[sources.tables.orders.orphans]
customer_id = "{}"

[cutover]
hold_ms = 3000
"""


def replicated(site, more, *names):
    site.configure(*names, more=more, poll_ms=100)
    site.daemon()
    wait_until(site.caught_up)
    return site


def prove(site) -> None:
    assert site.prove(full=True).converged


def look(site):
    with site.target() as target:
        return {gate.name: gate for gate in gates.look(site.config, target)}


def run(site, at=lambda _: None, tell=lambda _: None):
    with Target(site.dsn) as target, local_journal(site.config) as journal:
        return Cutover(site.config, target, journal, at=at, tell=tell).run()


def valid(site) -> dict[str, bool]:
    return dict(
        site.postgres("SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f'")
    )


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    return site


def test_a_row_that_refers_to_none_refuses_the_cutover_unless_told_otherwise(shop):
    """It is counted there and then, whatever the catalogue says of the key."""
    replicated(shop, POLICY.format("refuse"))
    prove(shop)
    gate = look(shop)["foreign keys"]
    assert not gate.passed
    assert gate.evidence == ("shop.orders (customer_id) → shop.customers: 1 rows refer to none",)
    assert "orphans" in gate.remedy
    assert run(shop).outcome == "aborted"
    shop.sqlite("DELETE FROM orders WHERE id = 12")
    wait_until(shop.caught_up)
    assert look(shop)["foreign keys"].passed
    shop.postgres("ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_id_fkey")
    shop.sqlite("INSERT INTO orders VALUES (13, 8, NULL)")
    wait_until(shop.caught_up)
    assert valid(shop)["orders_customer_id_fkey"]
    assert not look(shop)["foreign keys"].passed


def test_a_key_may_stay_not_valid_and_still_refuses_what_is_written_from_then_on(shop):
    replicated(shop, POLICY.format("leave not valid"))
    prove(shop)
    found = look(shop)
    assert found["foreign keys"].passed
    assert found["differences"].passed  # although status names the key
    report = run(shop)
    assert report.outcome == "switched", report
    assert not valid(shop)["orders_customer_id_fkey"]
    assert shop.postgres("SELECT count(*) FROM orders") == [(3,)]


def test_orphans_are_set_aside_and_given_up_where_the_configuration_says_so(shop):
    """The key is valid then; one that comes in the last moment goes the same way."""
    replicated(shop, POLICY.format("quarantine"))
    prove(shop)
    late = iter(["INSERT INTO orders VALUES (13, 8, NULL)"])

    def tell(words: str) -> None:
        if words.startswith("holding"):
            shop.sqlite(next(late))
            wait_until(shop.caught_up)

    report = run(shop, tell=tell)
    assert report.outcome == "switched", report
    assert shop.postgres("SELECT id FROM orders ORDER BY id") == [(10,), (11,)]
    assert valid(shop)["orders_customer_id_fkey"]
    aside = shop.postgres("SELECT reason, dropped_at IS NULL FROM cdc.quarantine")
    assert aside == [("it refers to no row of customers", False)] * 2
    assert len(shop.sqlite("SELECT id FROM orders")) == 4


LATE = {
    "DELETE FROM customers WHERE id = 1": "INSERT INTO customers VALUES (1, 'a', 'Ann')",
    "UPDATE customers SET code = 'z' WHERE id = 2": "UPDATE customers SET code = 'b' WHERE id = 2",
    "INSERT INTO orders VALUES (14, 7, NULL)": "DELETE FROM orders WHERE id = 14",
    "UPDATE orders SET customer_code = 'none' WHERE id = 10": "DELETE FROM orders WHERE id = 10",
}
"""What makes orphans, and what undoes it."""


def test_what_loses_its_parent_after_the_last_look_is_found_in_the_hold(shop):
    shop.sqlite("DELETE FROM orders WHERE id = 12")
    replicated(shop, POLICY.format("refuse"))
    prove(shop)
    for change, undo in LATE.items():
        late, seen = iter([change]), []

        def at(state: str, late=late, seen=seen) -> None:
            seen.append(state)
            if state == "looked":
                for statement in late:
                    shop.sqlite(statement)

        report = run(shop, at=at)
        assert report.outcome == "aborted", report
        assert "refer to none" in report.reason, change
        assert "drained" in seen
        assert "proven" not in seen
        shop.sqlite(undo)
        wait_until(shop.caught_up)
    report = run(shop)
    assert report.outcome == "switched", report


def test_keys_that_had_to_wait_for_the_switch_are_made_behind_it(shop):
    """Of a role whose own writes a foreign key would refuse; nobody is asked to accept that."""
    shop.sqlite("DELETE FROM orders WHERE id = 12")
    with plain_role(shop):
        replicated(shop, POLICY.format("refuse"))
        prove(shop)
        assert valid(shop) == {}
        found = look(shop)
        assert found["differences"].passed
        assert found["foreign keys"].evidence[0].endswith("the key is made after the switch")
        report = run(shop)
        assert (report.outcome, report.trouble) == ("switched", []), report
        assert set(valid(shop).values()) == {True}
        assert len(valid(shop)) == 2
        shop.cdc.last_daemon.stop()


@contextmanager
def plain_role(site):
    """Within, the site's user is one who may not set session_replication_role."""
    role = f"cdc_test_{uuid4().hex}"
    site.postgres(f"CREATE ROLE {role} LOGIN PASSWORD 'custard'")
    site.postgres(f"GRANT CREATE ON DATABASE {conninfo_to_dict(site.dsn)['dbname']} TO {role}")
    site.postgres(f"GRANT CREATE ON SCHEMA public TO {role}")
    admin, site.dsn = site.dsn, make_conninfo(site.dsn, user=role, password="custard")
    try:
        yield
    finally:
        site.dsn = admin
        site.postgres(f"DROP OWNED BY {role} CASCADE")
        site.postgres(f"DROP ROLE {role}")
