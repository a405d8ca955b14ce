"""Any value of SQLite, in any column, is equal in PostgreSQL or set aside for a true reason."""

import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.postgres import quarantine
from cdc.schema import UndecodableText
from tests.support.comparison import compare_source
from tests.support.sites import Site

COLUMNS = {
    "whole": ("INTEGER", "bigint"),
    "broken": ("REAL", "double precision"),
    "words": ("TEXT", "text"),
    "bytes": ("BLOB", "bytea"),
    "exact": ("NUMERIC", "numeric"),
    "anything": ("", "literal"),
    "day": ("DATE", "text"),
    "paid": ("BOOLEAN", "bigint"),
}
"""What each is declared as, and the type that it gets where no value is known yet."""

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]),
    st.floats(allow_nan=False),
    st.sampled_from([-0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]),
    st.sampled_from([math.inf, -math.inf, 0.1, 1e15, 1e22, 9007199254740993.0]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["", "\0", "a\0b", "1", "1.50", "1e3", " 7", "inf", "-0.0", "9" * 30, "'", "\\"]
    ),
    st.sampled_from(["2025-08-01", "true", "Straße", "🐘", "\ufeff", "\x1b", "\\N", "\t\n\r"]),
    st.binary(max_size=8),
    st.binary(max_size=4).map(lambda raw: UndecodableText(raw + b"\xff")),
    st.integers(0, 2**16).map(lambda n: "x" * n),
)
ROWS = st.lists(st.tuples(*[VALUES] * len(COLUMNS)), min_size=1, max_size=60)


def _insert(site: Site, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Write rows as an application does, twice: what it was first is another row's."""
    with site.connection() as db, db:
        for number, row in enumerate(rows):
            other = rows[number - 1]
            places = ", ".join(map(_place, other))
            db.execute(f"INSERT INTO {table} VALUES ({number}, {places})", _bound(other))
            assignments = [
                f"{name} = {_place(value)}" for name, value in zip(COLUMNS, row, strict=True)
            ]
            db.execute(
                f"UPDATE {table} SET {', '.join(assignments)} WHERE id = {number}", _bound(row)
            )


def _place(value: Any) -> str:
    return "CAST(? AS TEXT)" if isinstance(value, UndecodableText) else "?"


def _bound(row: tuple[Any, ...]) -> list[Any]:
    return [bytes(value) if isinstance(value, UndecodableText) else value for value in row]


def _misfits(site: Site, table: str) -> dict[int, set[str]]:
    """For each row the columns whose value has no faithful form, told by SQLite alone."""
    terms = ", ".join(
        f"typeof({name}), iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})"
        for name in COLUMNS
    )
    found = {}
    for number, *values in site.sqlite(f"SELECT id, {terms} FROM {table}"):
        pairs = zip(COLUMNS, values[::2], values[1::2], strict=True)
        bad = {name for name, class_, value in pairs if not _fits(name, class_, value)}
        if bad:
            found[number] = bad
    return found


def _fits(name: str, class_: str, value: Any) -> bool:
    match COLUMNS[name][1], class_:
        case (_, "null") | ("literal", _):
            return True
        case "text", "text":
            return 0 not in value and value.decode(errors="replace").encode() == value
        case "numeric", "real":
            return math.isfinite(value)
        case type_, _:
            takes = {"text": "text", "double precision": "real", "bytea": "blob"}
            return class_ == takes.get(type_, "integer")


def _check(site: Site, table: str) -> None:
    wanted = _misfits(site, table)
    with site.target() as target:
        with target.lease() as conn:
            entries = [each for each in quarantine.entries(conn) if each.name == table]
        (compared,) = (
            c for c in compare_source(site.config.sources[0], target) if c.table == table
        )
    assert {each.key[0] for each in entries} == wanted.keys()
    for each in entries:
        assert each.column_name in wanted[each.key[0]], each
        assert f"does not fit column {each.column_name}" in each.reason
    assert compared.equal, compared
    assert compared.quarantined == len(wanted)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_a_value_is_equal_or_set_aside(site: Site, rows: list[tuple[Any, ...]]) -> None:
    """By the copy and by the tail alike; and the types are those that the declarations ask for."""
    site.file().unlink(missing_ok=True)
    site.postgres("DROP SCHEMA IF EXISTS cdc CASCADE; DROP TABLE IF EXISTS copied, tailed CASCADE")
    columns = ", ".join(f"{name} {declared}" for name, (declared, _) in COLUMNS.items())
    for table in ("copied", "tailed"):
        site.sqlite(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {columns})")
    types = [f'{name}.type = "{type_}"' for name, (_, type_) in COLUMNS.items()]
    site.configure(
        on_error="quarantine", more="\n".join(["[sources.tables.copied.columns]", *types])
    )
    _insert(site, "copied", rows)
    site.catch_up()
    assert site.columns("tailed") == site.columns("copied")
    _insert(site, "tailed", rows)
    site.catch_up()
    _check(site, "copied")
    _check(site, "tailed")
