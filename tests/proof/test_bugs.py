"""A bug in the applier's conversion is caught, since the comparer shares none of it."""

import struct
import unicodedata
from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from cdc.postgres import encoding

ROWS = 20

MAPPING = """
[sources.tables.t.columns.n]
type = "numeric(10,2)"
on_misfit = "round"
[sources.tables.t.columns.moment]
type = "timestamptz"
timezone = "America/New_York"
ambiguous = "later"
[sources.tables.t.columns.plain]
type = "timestamp"
[sources.tables.t.columns.day]
type = "date"
[sources.tables.t.columns.word]
type = "varchar(40)"
[sources.tables.t.columns.small]
type = "real"
[sources.tables.t.columns.flag]
type = "boolean"
[sources.tables.t.columns.tag]
type = "uuid"
[sources.tables.t.columns.doc]
type = "jsonb"
[sources.tables.t.columns.any]
type = "literal"
"""

TABLE = f"""
CREATE TABLE t (
    id INTEGER PRIMARY KEY, n REAL, moment TEXT, plain TEXT, day TEXT, word TEXT, small REAL,
    flag INTEGER, tag TEXT, doc TEXT, "any", whole INTEGER, exact REAL, words TEXT, bytes BLOB
);
INSERT INTO t WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {ROWS})
SELECT i, i + 0.125, '2024-11-03 01:' || (10 + i) || ':00', '2024-11-03 01:' || (10 + i) || ':00',
       '2024-02-' || (9 + i), 'blank ', i / 4.0, i % 2,
       printf('00000000-0000-4000-8000-%012d', i), json_object('n', i), i + 0.5,
       9007199254740993 + i, i / 3.0, 'e' || char(769) || i, CAST('bytes' || i AS BLOB)
FROM c;
"""


def of_integer(form, change):
    """A bug in what is a whole number on the wire."""

    def broken(value):
        return struct.pack(form, change(*struct.unpack(form, value)))

    return broken


def round_half_even(value):
    """Tied numbers go to the even digit, as decimal does by default, and not away from zero."""
    return encoding_of(Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_EVEN))


def encoding_of(number):
    """A numeric of two places as PostgreSQL takes it."""
    whole, fraction = divmod(int(number * 100), 100)
    return struct.pack(">hhhhHH", 2, 0, 0, 2, whole, fraction * 100)


AS_STORED = {
    "moment": of_integer(">q", lambda at: at - 3_600_000_000),  # the first pass of that hour
    "plain": of_integer(">q", lambda at: at + 1),
    "day": of_integer(">i", lambda days: days + 1),
    "word": str.rstrip,
    "small": of_integer(">i", lambda bits: bits ^ 1),
    "flag": lambda value: b"\0" if value == b"\1" else b"\1",
    "tag": lambda value: value[:-1] + bytes([value[-1] ^ 1]),
    "doc": lambda value: value.replace(b'"n"', b'"N"'),
    "any": lambda value: value.replace(b".5", b".25") if isinstance(value, bytes) else value + "0",
    "whole": lambda value: int(float(value)),
    "exact": lambda value: float(f"{value:.15g}"),
    "words": lambda value: unicodedata.normalize("NFC", value),
    "bytes": lambda value: value + b"\0",
}
"""What a bug makes of a value behind its encoder, for the column of that name."""


@pytest.fixture(scope="module")
def copied(module_site):
    module_site.sqlite(TABLE)
    module_site.configure(more=MAPPING)
    module_site.catch_up()
    assert module_site.prove(full=True).converged
    return module_site


def break_encoder(monkeypatch, name, *, behind=None, instead=None):
    """Put a bug into what encodes the column of that name."""
    whole = encoding._encoders

    def encoders(columns):
        made = dict(whole(columns))
        for at, column in enumerate(columns):
            if column.name == name:
                right = made.get(at, lambda values: values)

                def wrong(values, right=right):
                    if instead is not None:
                        return [None if v is None else instead(v) for v in values]
                    return [None if v is None else behind(v) for v in right(values)]

                made[at] = wrong
        return list(made.items())

    monkeypatch.setattr(encoding, "_encoders", encoders)


def found_in(site):
    """The columns that the proof names, over all rows that differ."""
    [table] = site.prove(full=True).sources[0].tables
    names = {column.column for row in table.examples for column in row.columns}
    return names, table.different


@pytest.mark.parametrize("name", [*AS_STORED, "n"])
def test_a_bug_in_the_conversion_of_a_type_is_caught(copied, monkeypatch, name):
    """Whatever the applier makes of a value, the proof knows by itself what it must be."""
    with monkeypatch.context() as patch:
        if name == "n":
            break_encoder(patch, name, instead=round_half_even)
        else:
            break_encoder(patch, name, behind=AS_STORED[name])
        copied.sqlite("UPDATE t SET id = id")
        copied.catch_up()
    names, rows = found_in(copied)
    copied.sqlite("UPDATE t SET id = id")
    copied.catch_up()
    assert names == {name}
    assert rows > ROWS / 3
    assert found_in(copied) == (set(), 0)
