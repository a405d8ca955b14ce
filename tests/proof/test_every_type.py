"""The smallest change of a value of any type is found, alone in its range, and named."""

import psycopg
import pytest

COLUMNS = {
    "big": ("INTEGER", "bigint", "id * 922337203685477580"),
    "whole": ("INTEGER", "integer", "id * 1000"),
    "small": ("INTEGER", "smallint", "id"),
    "flag": ("INTEGER", "boolean", "id % 2"),
    "exact": ("REAL", "double precision", "CASE id WHEN 4 THEN 0.0 ELSE id / 3.0 END"),
    "single": ("REAL", "real", "CASE id WHEN 4 THEN 0.0 ELSE id / 8.0 END"),
    "digits": ("NUMERIC", "numeric", "CASE id WHEN 4 THEN 1e20 ELSE id / 7.0 END"),
    "price": ("REAL", "numeric(10,4)", "CASE id WHEN 4 THEN 0.0 ELSE id / 4.0 END"),
    "words": ("TEXT", "text", "CASE id WHEN 4 THEN '' ELSE 'é ' || id END"),
    "long": ("TEXT", "text", "printf('%.*c', 1024 + id, 'x')"),
    "name": ("TEXT", "varchar(40)", "CASE id WHEN 4 THEN '' ELSE 'name ' || id END"),
    "raw": ("BLOB", "bytea", "CASE id WHEN 4 THEN X'' ELSE zeroblob(id) END"),
    "large": ("BLOB", "bytea", "zeroblob(1024 + id)"),
    "day": ("TEXT", "date", "date('2024-02-28', id || ' days')"),
    "clock": ("TEXT", "time", "time(id * 3600, 'unixepoch')"),
    "moment": ("TEXT", "timestamp", "datetime('2024-02-28', id || ' hours')"),
    "instant": ("TEXT", "timestamptz", "datetime('2024-11-03', id || ' hours') || '+00:00'"),
    "document": ("TEXT", "json", "json_object('a', id, 'b', json('[1, null]'))"),
    "tree": ("TEXT", "jsonb", "json_object('a', id, 'b', json('[1, null]'))"),
    "tag": ("TEXT", "uuid", "lower(printf('%08x-0000-4000-8000-%012x', id, id))"),
    "anything": ("BLOB", "literal", "CASE id WHEN 4 THEN 1.0 WHEN 5 THEN X'' ELSE 'v' || id END"),
}
"""Each column: its type in SQLite, its type in PostgreSQL, and its values."""

ROWS, NULL_ROW = 8, 7
"""Row 7 has no value in any column; row 4 has what is empty or zero."""

CHANGES = {
    "big": ["{c} + 1", "{c} # (1::int8 << 62)"],
    "whole": ["{c} + 1", "-{c}"],
    "small": ["({c} + 1)::int2"],
    "flag": ["NOT {c}"],
    "exact": ["'0.33333333333333337'", "'NaN'", "'-Infinity'"],
    "single": ["'0.12500001'", "'NaN'"],
    "digits": ["{c} + 1e-17", "-{c}", "'NaN'"],
    "price": ["{c} + 0.0001", "-{c}"],
    "words": ["{c} || ' '", "' ' || {c}", "normalize({c}, NFD)", "upper({c})", "{c} || U&'\\200b'"],
    "long": ["overlay({c} placing 'y' from 1025)", "left({c}, -1)"],
    "name": ["{c} || ' '", "replace({c}, 'a', U&'\\0430')"],
    "raw": ["set_bit({c}, 0, 1)", "{c} || '\\x00'", "substr({c}, 2)"],
    "large": ["set_bit({c}, 8192, 1)", "{c} || '\\x00'"],
    "day": ["{c} + 1", "'infinity'"],
    "clock": ["{c} + interval '1 us'", "'24:00'"],
    "moment": ["{c} + interval '1 us'", "{c} + interval '5 hours'", "'infinity'"],
    "instant": ["{c} + interval '1 us'", "{c} - interval '1 hour'", "'-infinity'"],
    "document": ["({c}::text || ' ')::json", "replace({c}::text, '1', '1.0')::json"],
    "tree": [
        "{c} || '{{\"a\": 2}}'",
        "{c} || '{{\"c\": null}}'",
        "{c} || '{{\"a\": true}}'",
        "'null'",
    ],
    "tag": ["replace({c}::text, '-4000-', '-4001-')::uuid"],
    "anything": ["'''v1 '''", "'1'", "'X''7631'''"],
}
"""What becomes of the value in row 1."""

EMPTY = {
    "exact": "'-0.0'",
    "single": "'-0.0'",
    "price": "'0.0001'",
    "words": "NULL",
    "name": "NULL",
    "raw": "NULL",
    "anything": "'1'",
}
"""What becomes of what is empty or zero in row 4."""


@pytest.fixture(scope="module")
def copied(module_site):
    module_site.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, "
        + ", ".join(f"{name} {declared}" for name, (declared, _, _) in COLUMNS.items())
        + f"); INSERT INTO t WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n"
        f" WHERE id < {ROWS}) SELECT id, "
        + ", ".join(
            f"CASE WHEN id <> {NULL_ROW} THEN {value} END" for _, _, value in COLUMNS.values()
        )
        + " FROM n"
    )
    module_site.configure(
        more="\n".join(
            f'[sources.tables.t.columns.{name}]\ntype = "{target}"'
            for name, (_, target, _) in COLUMNS.items()
        )
    )
    module_site.catch_up()
    return module_site


@pytest.fixture(scope="module")
def outsider(copied):
    """Somebody who writes past the guard, a change at a time."""
    with psycopg.connect(copied.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'; CREATE TABLE public.kept AS TABLE public.t")
        yield conn


def planted(column):
    """Every change of a column: the values of which rows become what."""
    yield from ({1: change.format(c=column)} for change in CHANGES[column])
    if column in EMPTY:
        yield {4: EMPTY[column]}
    value = f"(SELECT {column} FROM public.kept WHERE id = %d)"
    yield {1: "NULL"}
    yield {NULL_ROW: value % 4}
    yield {2: value % 3, 3: value % 2}
    yield {NULL_ROW: value % 8, 8: "NULL"}


def test_nothing_is_found_where_nothing_differs(copied):
    verdict = copied.prove(full=True)
    assert verdict.converged, verdict


def restore(outsider, *columns):
    for column in columns:
        outsider.execute(
            f"UPDATE public.t SET {column} = kept.{column} FROM public.kept"
            " WHERE kept.id = t.id".encode()
        )


@pytest.mark.parametrize("column", COLUMNS)
def test_smallest_change_is_found(copied, outsider, column):
    """A bit, a blank, a microsecond, NULL for nothing, a value at its neighbour's place."""
    for rows in planted(column):
        for row, value in rows.items():
            outsider.execute(f"UPDATE public.t SET {column} = {value} WHERE id = {row}".encode())
        [table] = copied.prove(full=True).sources[0].tables
        restore(outsider, column)
        named = {each.key: [value.column for value in each.columns] for each in table.examples}
        assert named == {(str(row),): [column] for row in rows}, rows
        assert (table.missing, table.extra, table.different) == (0, 0, len(rows))


def test_text_moved_to_the_neighbouring_column_is_found(copied, outsider):
    """Joined, the two columns are the same as before."""
    outsider.execute("UPDATE public.t SET words = left(words, 2), long = '1' || long WHERE id = 1")
    [table] = copied.prove(full=True).sources[0].tables
    restore(outsider, "words", "long")
    [row] = table.examples
    assert (row.key, [value.column for value in row.columns]) == (("1",), ["words", "long"])
