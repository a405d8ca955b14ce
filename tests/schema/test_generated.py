"""Generated columns hold what SQLite computes, and go on computing themselves for other writers."""

from typing import Any

import pytest

from cdc.constraints import Constraints
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import BIGINT, target_type
from cdc.postgres.generated import generation
from cdc.schema import Column, Table
from tests.support.sites import Site

ITEM = """
CREATE TABLE "the item" (
    id INTEGER PRIMARY KEY, price REAL, qty INTEGER, "no""te" TEXT,
    more REAL AS (total + share),
    total REAL AS (price * qty),
    twice INTEGER GENERATED ALWAYS AS (qty * 2) STORED,
    half INTEGER AS (qty / 2),
    rest INTEGER AS (qty % 3),
    share REAL AS (price / qty),
    large INTEGER AS (total > 10 OR qty IS NULL),
    shout TEXT AS (upper("no""te") || '!'),
    code TEXT AS (hex("no""te"))
);
"""
COMPUTED = ("more", "total", "twice", "half", "rest", "share", "large", "shout")
ROWS: list[tuple[float | None, int | None, str | None]] = [
    (0.1, 3, "Straße's"),
    (1e300, -7, ""),
    (None, 0, None),
    (2.675, None, "x"),
    (0.0, 5, 'a"b\\'),
    (5e-324, 1, "y"),
    (19.99, 0, "$1"),
]


def _insert(table: str, placeholder: str, name: str) -> str:
    return f'INSERT INTO "{table}" (id, price, qty, "{name}") VALUES ({placeholder})'


def _computed(site: Site, ids: str) -> list[tuple[Any, ...]]:
    columns = ", ".join(f'"{name}"' for name in COMPUTED)
    return site.postgres(f'SELECT {columns} FROM "the item" WHERE id {ids} ORDER BY id')


def test_what_others_write_is_computed_as_sqlite_computed_it(site: Site) -> None:
    """The same values, written by an application after the switch, have the same results."""
    site.sqlite(ITEM)
    rows = [(number, *row) for number, row in enumerate(ROWS)]
    site.sqlite(_insert("the item", "?, ?, ?, ?", 'no""te'), *rows)
    site.configure()
    site.catch_up()
    site.assert_equal()
    site.postgres("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    for number, price, qty, note in rows:
        statement = _insert("the item", "%s, %s::float8, %s, %s", 'no""te')
        site.postgres(statement, number + 100, price, qty, note)
    ours = _computed(site, "< 100")
    assert len(ours) == len(ROWS)
    assert list(map(repr, _computed(site, ">= 100"))) == list(map(repr, ours))
    site.postgres('UPDATE "the item" SET qty = 11 WHERE id = 0')
    assert _computed(site, "= 0")[0][2:5] == (22, 5, 2)


def test_a_schema_change_renews_the_trigger(site: Site) -> None:
    """With the table's new name, and without what is gone from SQLite."""
    site.sqlite(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, m INTEGER AS (n + 1));"
        "INSERT INTO a VALUES (1, 1)"
    )
    site.configure()
    site.catch_up()
    site.sqlite(
        "ALTER TABLE a RENAME COLUMN n TO size; ALTER TABLE a RENAME TO b;"
        "UPDATE b SET size = 4; ALTER TABLE b ADD COLUMN k INTEGER AS (m * 2)"
    )
    site.catch_up()
    site.assert_equal()
    functions = site.postgres(
        "SELECT proname FROM pg_proc WHERE starts_with(proname, '_cdc_generated_')"
    )
    assert functions == [("_cdc_generated_b",)]
    site.postgres("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    assert site.postgres("UPDATE b SET size = 10 RETURNING m, k") == [(11, 22)]


def test_tables_that_swap_names_compute_their_own(site: Site) -> None:
    columns = "id INTEGER PRIMARY KEY, n INTEGER, m INTEGER AS (n"
    site.sqlite(f"CREATE TABLE a ({columns} + 1)); CREATE TABLE b ({columns} * 100))")
    site.configure()
    site.catch_up()
    site.sqlite(
        "ALTER TABLE a RENAME TO x; ALTER TABLE b RENAME TO a; ALTER TABLE x RENAME TO b;"
        "INSERT INTO a (n) VALUES (1); INSERT INTO b (n) VALUES (1)"
    )
    site.catch_up()
    site.assert_equal()
    functions = site.postgres(
        "SELECT proname FROM pg_proc WHERE starts_with(proname, '_cdc_generated_') ORDER BY 1"
    )
    assert functions == [("_cdc_generated_a",), ("_cdc_generated_b",)]
    site.postgres("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    assert site.postgres("UPDATE a SET n = 7 RETURNING m") == [(700,)]
    assert site.postgres("UPDATE b SET n = 7 RETURNING m") == [(8,)]


def test_a_table_that_is_made_anew_leaves_nothing_behind(site: Site) -> None:
    site.sqlite("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, m INTEGER AS (n + 1))")
    site.configure()
    site.catch_up()
    site.sqlite("DROP TABLE a; CREATE TABLE a (n INTEGER, k TEXT PRIMARY KEY)")
    site.catch_up()
    site.assert_equal()
    assert (
        site.postgres("SELECT 1 FROM pg_proc WHERE starts_with(proname, '_cdc_generated_')") == []
    )


@pytest.mark.parametrize(
    ("text", "declared", "affinity", "spec", "reason"),
    [
        ("hex(a)", "TEXT", "TEXT", "text", "hex"),
        ("a * 1.5", "INTEGER", "INTEGER", "bigint", "it is real"),
        ("a", "TEXT", "TEXT", "text", "it is integer"),
        ("price * 2", "REAL", "REAL", "numeric(10,4)", "it is real"),
        ("b + 1", "INTEGER", "INTEGER", "bigint", "b is no column"),
        ("exact / 2", "NUMERIC", "NUMERIC", "numeric", "rounds in its own way"),
    ],
)
def test_what_might_differ_is_not_computed(
    text: str, declared: str, affinity: Any, spec: str, reason: str
) -> None:
    columns = (
        Column("a", "INTEGER", "INTEGER"),
        Column("price", "REAL", "REAL"),
        Column("exact", "NUMERIC", "NUMERIC"),
        Column("g", declared, affinity, generated=True),
    )
    types = (
        BIGINT,
        target_type("double precision", "REAL"),
        target_type("numeric", "NUMERIC"),
        target_type(spec, affinity),
    )
    targets = tuple(
        TargetColumn(column.name, type_, at)
        for at, (column, type_) in enumerate(zip(columns, types, strict=True))
    )
    table = MappedTable(Table("t", columns, (0,)), "public", "t", targets)
    made = generation(table, Constraints(generated={"g": text}).generated)
    assert made.statements == ()
    assert reason in made.reasons["g"]
