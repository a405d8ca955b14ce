"""Every storage class in every target type: faithfully there, or refused by name."""

import struct
from decimal import Decimal

import pytest

from cdc.errors import ValueDoesNotFit
from cdc.mapping.codec import Options
from cdc.mapping.literals import literal
from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, LITERAL, NUMERIC, TEXT, target_type
from cdc.postgres import state
from cdc.postgres.apply import Applier, Chunk, TableChanges
from cdc.postgres.misfit import Misfit
from cdc.schema import UndecodableText

VALUES = [
    None, 0, -1, 7, 2**53 + 1, 2**63 - 1, -(2**63),
    0.0, -0.0, 7.0, 7.5, 0.1, 1e300, 5e-324, 1e20, float("inf"), float("-inf"),
    "", "7", "7.5", "text", "NaN", "é🐘", "a\0b", "\0", "'; DROP", "\\x41", "\\N", "x" * 3000,
    b"", b"7", b"\0\xff", b"text", UndecodableText(b"\xff"), UndecodableText(b""),
]  # fmt: skip

ARRAYS = Applier(bulk_rows=10**9)
COPY = Applier(bulk_rows=1)


def by_arrays(conn, step, table, rows):
    ARRAYS.apply(conn, step, [(table, TableChanges(rows, []))])


def by_copy(conn, step, table, rows):
    COPY.apply(conn, step, [(table, TableChanges(rows, []))])


def by_fresh_chunk(conn, step, table, rows):
    ARRAYS.apply(conn, step, [], Chunk(table, rows, None, None, fresh=True))


def by_resync_chunk(conn, step, table, rows):
    ARRAYS.apply(conn, step, [], Chunk(table, rows, None, None, fresh=False))


WAYS = pytest.mark.parametrize("write", [by_arrays, by_copy, by_fresh_chunk, by_resync_chunk])
TYPE = pytest.mark.parametrize(
    "type_", [BIGINT, DOUBLE, TEXT, BYTEA, NUMERIC, LITERAL], ids=lambda t: t.name
)


@WAYS
@TYPE
def test_faithful_or_refused(  # noqa: PLR0917  # fixtures
    write, type_, conn, create, advance, content
):
    """A value that the type accepts reads back as itself; any other is refused, never coerced."""
    table = create("t", id=BIGINT, v=type_)
    accepted = [(i, v) for i, v in enumerate(VALUES) if v is None or type_.accepts(v)]
    refused = [(i, v) for i, v in enumerate(VALUES) if v is not None and not type_.accepts(v)]
    write(conn, advance(), table, accepted)
    stored = content(table)
    assert [exact(v) for _, v in stored] == [exact(_expected(type_, v)) for _, v in accepted]
    for row in refused:
        with pytest.raises(Misfit) as caught:
            write(conn, advance(), table, [*accepted[:1], row])
        assert (caught.value.column, caught.value.key) == ("v", (row[0],))
    assert content(table) == stored


@WAYS
@TYPE
def test_keys_too(  # noqa: PLR0917  # fixtures
    write, type_, conn, create, advance, content
):
    """The same holds for the values of a key; NULL is none."""
    table = create("t", k=type_)
    for value in VALUES:
        if value is not None and type_.accepts(value):
            write(conn, advance(), table, [(value,)])
        else:
            with pytest.raises(Misfit):
                write(conn, advance(), table, [(value,)])


def _expected(type_, value):
    if value is None or type_.encode is None:
        return value
    if type_ is NUMERIC:
        return Decimal(f"{Decimal(repr(value)):f}")
    return literal(value)


def exact(value):
    """What tells values apart that Python takes for equal."""
    return type(value), struct.pack("d", value) if isinstance(value, float) else str(value)


def test_a_misfit_names_all_that_helps(conn, create, advance):
    """Table, key, storage class, value, column, its type, and what to do."""
    table = create("fills", "target", ["id", "part"], id=BIGINT, part=TEXT, price=DOUBLE)
    rows = [(1, "a", 0.5), (2, "b", "n/a"), (3, "c", 4)]
    with pytest.raises(ValueDoesNotFit) as caught:
        by_arrays(conn, advance(), table, rows)
    assert str(caught.value) == (
        "target.fills, key 2, 'b': TEXT 'n/a' does not fit column price (double precision):"
        " it is no real"
    )
    assert "'price'" in caught.value.hint
    assert state.source(conn, "legacy").applied_seq == 0


def test_a_long_value_is_shown_short(conn, create, advance):
    """A message holds the beginning of a value and its length."""
    table = create("t", id=BIGINT, v=DOUBLE)
    with pytest.raises(Misfit, match=r"x{60}'… \(5000 in all\)"):
        by_arrays(conn, advance(), table, [(1, "x" * 5000)])


@pytest.mark.parametrize("key", [None, "abc", 1.0])
def test_the_key_of_a_delete(key, conn, create, advance):
    """A key that the table cannot hold is refused in a delete too, and said to be one."""
    table = create("t", id=BIGINT, v=TEXT)
    for applier in (ARRAYS, COPY):
        if key is None:
            continue  # NULL equals nothing: there is nothing to delete
        with pytest.raises(Misfit) as caught:
            applier.apply(conn, advance(), [(table, TableChanges([], [(key,)]))])
        assert caught.value.deleted


def test_deep_inside_a_large_batch(conn, create, advance, content):
    """One misfit in the last block of a COPY undoes the whole batch."""
    table = create("t", id=BIGINT, v=DOUBLE)
    rows = [(i, float(i)) for i in range(5000)]
    rows[4321] = (4321, 4321)
    with pytest.raises(Misfit) as caught:
        by_copy(conn, advance(), table, rows)
    assert caught.value.key == (4321,)
    assert content(table) == []


@WAYS
def test_numerics_are_stored_as_the_server_makes_them(write, conn, create, advance):
    """Whatever groups of zeros they were sent with, not a byte more."""
    texts = ["0", "0.07", "-0.25", "12.5", "116003.57", "-99999999.99", "10000", "0.01"]
    for options in (Options(), Options(instead="round")):
        type_ = target_type("numeric(10,2)", "REAL", options)
        table = create(f"t{options.instead}", id=BIGINT, v=type_)
        write(conn, advance(), table, [(i, float(text)) for i, text in enumerate(texts)])
        twin = f"twin{options.instead}"
        query = f"CREATE TEMP TABLE {twin} AS SELECT id, v::text::numeric(10,2) FROM target."
        conn.execute(f"{query}{table.name}".encode())
        query = "SELECT v, pg_column_size(v) FROM {} ORDER BY id"
        found = conn.execute(query.format(f"target.{table.name}").encode()).fetchall()
        assert found == conn.execute(query.format(twin).encode()).fetchall()
        assert [value for value, _ in found] == [Decimal(text) for text in texts]
