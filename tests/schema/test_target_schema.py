"""What stands around the tables of a source is made in the target, or reported with its reason."""

from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.postgres import left_out
from tests.support.sites import Site

SHOP = """
CREATE TABLE customer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL COLLATE NOCASE UNIQUE,
    name TEXT NOT NULL DEFAULT 'nobody',
    level INTEGER DEFAULT 1 CHECK (level BETWEEN 1 AND 9),
    since TEXT DEFAULT CURRENT_TIMESTAMP,
    tag TEXT DEFAULT (hex(randomblob(4))),
    CHECK (name LIKE '%a%' OR 1 = 1)
);
CREATE TABLE "order" (
    id INTEGER PRIMARY KEY,
    customer INTEGER REFERENCES customer ON DELETE CASCADE,
    note TEXT,
    size INTEGER,
    twice INTEGER GENERATED ALWAYS AS (size * 2) STORED,
    form TEXT AS (printf('%d', size))
);
CREATE INDEX "by customer" ON "order" (customer, id DESC);
CREATE INDEX large ON "order" (size) WHERE size > 100;
CREATE INDEX folded ON "order" (lower(note));
CREATE INDEX strange ON "order" (note) WHERE note GLOB 'a*';
INSERT INTO customer (email, name) VALUES ('a@b', 'Ann'), ('c@d', 'Cy');
INSERT INTO "order" (customer, note, size) VALUES (1, 'first', 10), (2, 'Second', 200);
"""


def _indexes(site: Site) -> dict[str, str]:
    return dict(
        site.postgres(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'public' AND indexname NOT LIKE '%pkey'"
        )
    )


def _left_out(site: Site, source: str = "shop") -> dict[str, str]:
    with site.target() as target, target.lease() as conn:
        return {each.what: each.reason for each in left_out.read(conn, source)}


@pytest.fixture
def shop(site: Site) -> Site:
    site.sqlite(SHOP)
    site.configure()
    return site


def test_indexes_are_made_after_the_copy(shop: Site) -> None:
    shop.catch_up()
    shop.assert_equal()
    found = _indexes(shop)
    assert set(found) == {"by customer", "large", "folded", "customer_email_key"}
    assert "(customer NULLS FIRST, id DESC NULLS LAST)" in found["by customer"]
    assert "WHERE (size > 100)" in found["large"]
    assert 'lower((email COLLATE "C"))' in found["customer_email_key"]
    assert "UNIQUE" in found["customer_email_key"]


def test_the_table_itself_keeps_its_constraints(shop: Site) -> None:
    shop.catch_up()
    defaults = dict(
        shop.postgres(
            "SELECT column_name, coalesce(column_default, identity_generation)"
            " FROM information_schema.columns WHERE table_name = 'customer'"
        )
    )
    assert defaults["id"] == "BY DEFAULT"
    assert defaults["name"].startswith("'nobody'")
    assert defaults["level"].strip("()") in ("1", "1::bigint", "'1'::bigint")
    assert "to_char" in defaults["since"]
    assert defaults["tag"] is None
    checks = shop.postgres("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype='c'")
    assert any("level" in check for (check,) in checks)


def test_what_is_left_out_is_reported_with_its_reason(shop: Site) -> None:
    shop.catch_up()
    found = _left_out(shop)
    assert "randomblob()" in found["DEFAULT of tag"]
    assert "case of ASCII letters" in found["CHECK"]
    assert "GLOB" in found["index strange"]
    assert "plain column" in found["generated column form"]
    assert "generated column twice" not in found


def test_foreign_keys_are_made_and_validated(shop: Site) -> None:
    shop.catch_up()
    assert shop.postgres(
        "SELECT conname, convalidated, confdeltype FROM pg_constraint WHERE contype = 'f'"
    ) == [("order_customer_fkey", True, "c")]


def test_orphans_leave_a_foreign_key_not_valid_and_are_counted(shop: Site) -> None:
    shop.sqlite('INSERT INTO "order" (customer) VALUES (99), (98)')
    shop.catch_up()
    shop.assert_equal()
    assert shop.postgres("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == [(False,)]
    assert _left_out(shop)["foreign key order_customer_fkey"].startswith("2 rows refer to none")


def test_what_a_kill_left_unmade_is_made_at_the_next_start(shop: Site) -> None:
    """The catalogue says what is missing; nothing else is remembered."""
    shop.catch_up()
    shop.postgres('DROP INDEX large; ALTER TABLE "order" DROP CONSTRAINT order_customer_fkey')
    shop.catch_up()
    assert "large" in _indexes(shop)
    assert shop.postgres("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(1,)]


def test_an_index_that_changes_in_sqlite_is_made_anew(shop: Site) -> None:
    shop.catch_up()
    shop.sqlite('DROP INDEX large; CREATE INDEX large ON "order" (size, note); DROP INDEX folded')
    shop.catch_up()
    assert "note" in _indexes(shop)["large"]
    assert "folded" not in _indexes(shop)


@pytest.mark.parametrize("batch_events", [1, 2, 3, 50])
def test_swapped_unique_values_cross_wherever_batches_fall(shop: Site, batch_events: int) -> None:
    shop.configure(batch_events=batch_events)
    shop.catch_up()
    shop.sqlite(
        "BEGIN; UPDATE customer SET email = 'x' WHERE id = 1;"
        "UPDATE customer SET email = 'a@b' WHERE id = 2;"
        "UPDATE customer SET email = 'c@d' WHERE id = 1; COMMIT"
    )
    shop.catch_up()
    shop.assert_equal()
    assert "customer_email_key" in _indexes(shop)


def test_a_table_that_others_refer_to_can_be_made_anew(shop: Site) -> None:
    shop.catch_up()
    shop.sqlite("ALTER TABLE customer ADD COLUMN phone TEXT")
    shop.catch_up()
    shop.assert_equal()
    assert shop.postgres("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(1,)]


def test_two_files_may_have_indexes_of_one_name(site: Site) -> None:
    for file in ("one.db", "two.db"):
        table = file.removesuffix(".db")
        site.sqlite(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, v TEXT)", name=file)
        site.sqlite(f"CREATE INDEX by_v ON {table} (v)", name=file)
    site.configure("one.db", "two.db")
    site.catch_up()
    tables = site.postgres("SELECT tablename FROM pg_indexes WHERE indexdef LIKE '%(v NULLS%'")
    assert sorted(tables) == [("one",), ("two",)]


def test_a_unique_index_of_another_sense_goes_and_replication_stays(shop: Site) -> None:
    """Here by another hand; rows of the source are never held up by an index of the target."""
    shop.catch_up()
    ((comment,),) = shop.postgres("SELECT obj_description('customer_email_key'::regclass)")
    shop.postgres("DROP INDEX customer_email_key")
    shop.postgres("CREATE UNIQUE INDEX customer_email_key ON customer (name)")
    shop.postgres(f"COMMENT ON INDEX customer_email_key IS '{comment}'")
    shop.sqlite("UPDATE customer SET name = 'same'")
    shop.catch_up()
    shop.assert_equal()
    assert "customer_email_key" not in _indexes(shop)
    assert "rows are not apart" in _left_out(shop)["index sqlite_autoindex_customer_1"]


def test_a_plain_role_leaves_foreign_keys_to_the_cutover(shop: Site) -> None:
    """Where writes are checked, a child could come before its parent: so there is no key yet."""
    role = f"cdc_test_{uuid4().hex}"
    shop.postgres(f"CREATE ROLE {role} LOGIN PASSWORD 'custard'")
    database = conninfo_to_dict(shop.dsn)["dbname"]
    shop.postgres(f"GRANT CREATE ON DATABASE {database} TO {role}")
    shop.postgres(f"GRANT CREATE ON SCHEMA public TO {role}")
    admin, shop.dsn = shop.dsn, make_conninfo(shop.dsn, user=role, password="custard")
    shop.configure()
    try:
        shop.catch_up()
        shop.assert_equal()
        assert "cutover" in _left_out(shop)["foreign key (customer)"]
        assert "large" in _indexes(shop)
    finally:
        shop.dsn = admin
        shop.postgres(f"DROP OWNED BY {role} CASCADE")
        shop.postgres(f"DROP ROLE {role}")


def test_queries_use_the_indexes_of_sqlite(site):
    """An index that only the replicator could use would be a cost without a gain."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX by_v ON t (v)")
    site.configure()
    site.catch_up()
    with site.target() as target, target.lease() as conn, conn.transaction():
        conn.execute("SET LOCAL enable_seqscan = off")
        plan = conn.execute("EXPLAIN SELECT * FROM public.t WHERE v = 'a'").fetchall()
    assert "by_v" in str(plan)
