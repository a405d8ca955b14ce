"""Whatever changes in the target behind the replicator's back is found, and named."""

import random
import struct
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

ROUNDS = 20
"""Each plants one change in every table."""


def flip_bit(number, chance):
    """The double that differs in one bit; another one where that is no number."""
    (bits,) = struct.unpack(">q", struct.pack(">d", number))
    (other,) = struct.unpack(">d", struct.pack(">q", bits ^ (1 << chance.randrange(52))))
    return other


def another_text(text, chance):
    """A blank more, a character less, or one moved from the beginning to the end."""
    if not text:
        return chance.choice((None, " "))
    return chance.choice((text + " ", text[:-1], text[1:] + text[:1] + "x"))


def other_bytes(raw, chance):
    if not raw:
        return chance.choice((None, b"\0"))
    at = chance.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


CHANGED = {
    bool: lambda value, _: not value,
    int: lambda value, chance: value ^ (1 << chance.randrange(15)),
    float: flip_bit,
    Decimal: lambda value, chance: value + Decimal("0.0001") * chance.choice((1, -1)),
    str: another_text,
    bytes: other_bytes,
    datetime: lambda value, _: value + timedelta(microseconds=1),
    date: lambda value, _: value + timedelta(days=1),
    time: lambda value, _: value.replace(microsecond=(value.microsecond + 1) % 1_000_000),
    UUID: lambda value, _: UUID(int=value.int ^ 1),
    dict: lambda value, _: Jsonb(value | {"b": value["b"] + 1}),
}
"""For each type another value of it, as near as can be."""


class Table:
    """A target table, as somebody sees it who may write past the guard."""

    def __init__(self, conn, source, name):
        self.conn, self.name = conn, name
        self.table = sql.Identifier("public", name)
        types = conn.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (f'public."{name}"',),
        )
        self.columns = dict(types.fetchall())
        self.key = [
            column
            for (column,) in conn.execute(
                "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
                " AND a.attnum = ANY (i.indkey) WHERE i.indrelid = %s::regclass AND i.indisprimary"
                " ORDER BY array_position(i.indkey, a.attnum)",
                (f'public."{name}"',),
            )
        ]

    def row(self, chance):
        """Any one row, and where it is."""
        (count,) = self.conn.execute(
            sql.SQL("SELECT count(*) FROM {}").format(self.table)
        ).fetchone()
        with self.conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(
                sql.SQL(
                    "SELECT *, ctid::text AS ctid FROM {} ORDER BY {} OFFSET {} LIMIT 1"
                ).format(
                    self.table,
                    sql.SQL(", ").join(map(sql.Identifier, self.key)),
                    chance.randrange(count),
                )
            ).fetchone()

    def delete(self, row):
        self.conn.execute(
            sql.SQL("DELETE FROM {} WHERE ctid = {}::tid").format(self.table, row["ctid"])
        )

    def update(self, row, column, value):
        self.conn.execute(
            sql.SQL("UPDATE {} SET {} = %s WHERE ctid = {}::tid").format(
                self.table, sql.Identifier(column), row["ctid"]
            ),
            (value,),
        )

    def insert_like(self, row, key):
        """A row like that one under another key."""
        other = [key.get(column) for column in self.columns if column in key]
        assert other
        columns = [
            sql.SQL("%s").format() if column in key else sql.Identifier(column)
            for column in self.columns
        ]
        self.conn.execute(
            sql.SQL("INSERT INTO {} SELECT {} FROM {} WHERE ctid = {}::tid").format(
                self.table, sql.SQL(", ").join(columns), self.table, row["ctid"]
            ),
            other,
        )


def plant(table, chance):
    """Make one change; what the proof must call it, or None where the row had nothing to change."""
    row = table.row(chance)
    kind = chance.choice(("delete", "insert", "change", "change", "change", "null"))
    values = [c for c in table.columns if c not in table.key]
    column = chance.choice(values)
    if kind == "delete":
        table.delete(row)
        return "missing"
    if kind == "insert":
        last = table.key[-1]
        value = row[last]
        text = {"anything": "'no such key'", "nocase": "no such key"}.get(table.name)
        key = text or (value + 10**9 if isinstance(value, int) else value + "~")
        table.insert_like(row, {last: key})
        return "extra"
    if row[column] is None:
        other = (
            0
            if table.columns[column] in {"bigint", "double precision", "numeric", "real"}
            else None
        )
        if other is None:
            return None
    else:
        other = None if kind == "null" else CHANGED[type(row[column])](row[column], chance)
        if table.name == "anything" and other is not None:
            other = "'another'"
        if table.columns[column] == "real" and other is not None:
            other = row[column] * 2 + 1
    table.update(row, column, other)
    return "different"


@contextmanager
def past_the_guard(site):
    """A superuser's session that the guard lets through, undone in the end by its own undo log."""
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        yield conn


NAMES = (
    "plain", "twin", "composite", "loose_key", "by_word", "nocase", "anything", "keyless", "mapped",
)  # fmt: skip


@pytest.fixture
def backup(shapes):
    """Copies of all tables, from which what a test has planted is undone."""
    with past_the_guard(shapes) as conn:
        conn.execute("CREATE SCHEMA backup")
        for name in NAMES:
            conn.execute(f'CREATE TABLE backup."{name}" AS TABLE public."{name}"'.encode())

        def undo():
            for name in NAMES:
                conn.execute(f'TRUNCATE public."{name}"'.encode())
                conn.execute(f'INSERT INTO public."{name}" SELECT * FROM backup."{name}"'.encode())

        yield undo
        undo()
        conn.execute("DROP SCHEMA backup CASCADE")


def found(verdict):
    [source] = verdict.sources
    return {t.name: (t.missing, t.extra, t.different) for t in source.tables if t.differences}


def test_nothing_is_found_where_nothing_differs(shapes):
    """Rounded, truncated and nulled values, time zones, -0.0 and NOCASE raise no alarm."""
    verdict = shapes.prove(full=True)
    assert verdict.converged, verdict
    mapped = next(t for t in verdict.sources[0].tables if t.name == "mapped")
    assert mapped.rows == 2000
    assert mapped.altered > 3000


@pytest.mark.parametrize("seed", range(3))
def test_every_planted_change_is_found(shapes, backup, seed):
    """One bit, one blank, NULL for empty, one row more or less: in every type, each is named."""
    chance = random.Random(seed)
    with past_the_guard(shapes) as conn:
        tables = [Table(conn, shapes, name) for name in NAMES]
        for _ in range(ROUNDS // 3):
            planted = {table.name: plant(table, chance) for table in tables}
            expected = {
                name: (what == "missing", what == "extra", what == "different")
                for name, what in planted.items()
                if what is not None
            }
            assert found(shapes.prove(full=True)) == expected
            backup()


def test_a_change_is_named_with_both_values(shapes, backup):
    """The key, the column, what SQLite has and what PostgreSQL has."""
    with past_the_guard(shapes) as conn:
        conn.execute("UPDATE plain SET words = words || ' ' WHERE id = 4")
        conn.execute("DELETE FROM composite WHERE b = 7")
        conn.execute("UPDATE mapped SET moment = moment + interval '1 us' WHERE id = 5")
    [source] = shapes.prove(full=True).sources
    named = {t.name: t.examples for t in source.tables if t.examples}
    [words] = named["plain"]
    assert (words.what, words.key) == ("different", ("4",))
    [column] = words.columns
    assert (column.column, column.source, column.target) == ("words", "'word 4'", "'word 4 '")
    [gone] = named["composite"]
    assert (gone.what, gone.key) == ("missing", ("'group 7'", "7"))
    [moment] = named["mapped"]
    assert moment.columns[0].source == "'2024-01-03 17:00:00'"
    assert moment.columns[0].target == "2024-01-03 22:00:00.000001+00:00"


def test_rows_swapped_between_tables_of_one_shape_are_found(shapes, backup):
    """The sum of both tables is the same as before."""
    with past_the_guard(shapes) as conn:
        conn.execute(
            "CREATE TEMP TABLE swapped AS SELECT * FROM plain WHERE id = 8;"
            "DELETE FROM plain WHERE id = 8;"
            "INSERT INTO plain SELECT * FROM twin WHERE id = 8;"
            "DELETE FROM twin WHERE id = 8; INSERT INTO twin SELECT * FROM swapped"
        )
    assert found(shapes.prove(full=True)) == {"plain": (0, 0, 1), "twin": (0, 0, 1)}


def test_text_moved_across_the_border_of_neighbours_is_found(shapes, backup):
    """Joined, the values of both rows are the same as before."""
    with past_the_guard(shapes) as conn:
        conn.execute("UPDATE plain SET words = 'word 4w' WHERE id = 4")
        conn.execute("UPDATE plain SET words = 'ord 5' WHERE id = 5")
    assert found(shapes.prove(full=True)) == {"plain": (0, 0, 2)}
