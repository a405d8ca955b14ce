"""Rows of a target table that refer to none: which they are, and whether some keys have made any.

They are found by queries. What cdc writes in replica role no foreign key looks at, not even one
that counts as valid.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from cdc.errors import TargetUnavailable
from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.foreign_keys import ForeignKeyDesign
from cdc.postgres.translate import translated
from cdc.schema import Key

KeySet = tuple[sql.Composed, list[str]]
"""Keys of a table to select from, and its parameters: see `ProvenTable.key_set`."""


class TookTooLong(TargetUnavailable):
    """Looking for orphans was given up when its time was over."""


@contextmanager
def within(conn: Connection, seconds: float) -> Iterator[None]:
    """Bound each query inside. Raises TookTooLong."""
    try:
        with translated("look for orphans"), conn.transaction():
            conn.execute(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}".encode())
            yield
    except TargetUnavailable as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise TookTooLong(f"not within {seconds:g} s: {error}") from error
        raise


def is_valid(conn: Connection, design: ForeignKeyDesign) -> bool | None:
    """Whether the key counts as valid, None where there is none."""
    with translated(f"look for foreign key {design.name}"):
        row = conn.execute(
            "SELECT convalidated FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = to_regclass(%s) AND conname = %s",
            (design.child, design.name),
        ).fetchone()
    return row[0] if row else None


def count(conn: Connection, design: ForeignKeyDesign) -> int:
    """How many rows refer to none; reads both tables."""
    with translated(f"look for orphans of {design.child}"):
        return _number(conn, sql.SQL(_raw(design.orphans)))


def keys(
    conn: Connection, child: MappedTable, design: ForeignKeyDesign
) -> Iterator[tuple[Key, tuple[str, ...]]]:
    """The keys in SQLite of the rows that refer to none, with what each refers to as text."""
    query = _format(
        "SELECT {keys}, {texts} FROM {child} AS c WHERE {present} AND NOT EXISTS ({parent})",
        design,
        keys=_list(_of("c", column.name) for column in child.key_columns),
        texts=_list(
            sql.SQL("{}::pg_catalog.text").format(_of("c", name)) for name in design.columns
        ),
    )
    width = len(child.key_columns)
    with (
        translated(f"look for orphans of {design.child}"),
        conn.cursor(binary=True) as cursor,
    ):
        cursor.execute(query)
        for row in cursor:
            yield (
                tuple(c.type.decode(v) for c, v in zip(child.key_columns, row, strict=False)),
                tuple(row[width:]),
            )


def among(conn: Connection, child: MappedTable, design: ForeignKeyDesign, wanted: KeySet) -> int:
    """How many of the rows of these keys refer to none."""
    own = [column.name for column in child.key_columns]
    query = _format(
        "SELECT count(*) FROM {wanted} JOIN {child} AS c ON {same}"
        " WHERE {present} AND NOT EXISTS ({parent})",
        design,
        wanted=wanted[0],
        same=_and(
            sql.SQL("{} = {}").format(_of("c", name), _of("w", f"w{i}"))
            for i, name in enumerate(own)
        ),
    )
    with translated(f"look for orphans of {design.child}"):
        return _number(conn, query, wanted[1])


def gone(conn: Connection, parent: MappedTable, design: ForeignKeyDesign, wanted: KeySet) -> int:
    """How many of these keys of the parent have no row any more."""
    query = _format(
        "SELECT count(*) FROM {wanted} WHERE NOT EXISTS (SELECT FROM {referred} AS p WHERE {same})",
        design,
        wanted=wanted[0],
        same=_and(
            sql.SQL("{} = {}").format(_of("p", column.name), _of("w", f"w{i}"))
            for i, column in enumerate(parent.key_columns)
        ),
    )
    with translated(f"look for rows of {design.parent}"):
        return _number(conn, query, wanted[1])


def left_by(conn: Connection, parent: MappedTable, design: ForeignKeyDesign, wanted: KeySet) -> int:
    """How many rows refer to one of these keys of the parent, which is gone; of a foreign key that
    refers to the parent's key. It may read all of the child.
    """
    names = [column.name for column in parent.key_columns]
    query = _format(
        "SELECT count(*) FROM {wanted} JOIN {child} AS c ON {same}"
        " WHERE {present} AND NOT EXISTS ({parent})",
        design,
        wanted=wanted[0],
        same=_and(
            sql.SQL("{} = {}").format(_of("c", own), _of("w", f"w{names.index(theirs)}"))
            for own, theirs in zip(design.columns, design.parent_columns, strict=True)
        ),
    )
    with translated(f"look for orphans of {design.child}"):
        return _number(conn, query, wanted[1])


def found_again(
    conn: Connection, design: ForeignKeyDesign, values: Sequence[tuple[str, ...]]
) -> int:
    """How many of these values (as text) that referred to none have a row by now."""
    arrays = [list(column) for column in zip(*values, strict=True)]
    query = _format(
        "SELECT count(*) FROM unnest({arrays}) AS w ({names})"
        " WHERE EXISTS (SELECT FROM {referred} AS p WHERE {same})",
        design,
        arrays=_list(sql.SQL("%s::pg_catalog.text[]") for _ in arrays),
        names=_list(sql.Identifier(f"w{i}") for i in range(len(arrays))),
        same=_and(
            sql.SQL("{}::pg_catalog.text = {}").format(_of("p", theirs), _of("w", f"w{i}"))
            for i, theirs in enumerate(design.parent_columns)
        ),
    )
    with translated(f"look for what {design.child} refers to"):
        return _number(conn, query, arrays)


def _format(template: str, design: ForeignKeyDesign, **more: sql.Composable) -> sql.Composed:
    same = _and(
        sql.SQL("{} = {}").format(_of("p", theirs), _of("c", own))
        for own, theirs in zip(design.columns, design.parent_columns, strict=True)
    )
    referred = sql.SQL(_raw(design.parent))
    return sql.SQL(_raw(template)).format(
        **{
            "child": sql.SQL(_raw(design.child)),
            "referred": referred,
            "present": _and(
                sql.SQL("{} IS NOT NULL").format(_of("c", own)) for own in design.columns
            ),
            "parent": sql.SQL("SELECT FROM {} AS p WHERE {}").format(referred, same),
        }
        | more
    )


def _of(alias: str, column: str) -> sql.Composable:
    return sql.Identifier(alias, column)


def _list(parts: Iterator[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _and(parts: Iterator[sql.Composable]) -> sql.Composed:
    return sql.SQL(" AND ").join(parts)


def _raw(text: str) -> Any:
    """A text that is SQL already: names in it were quoted when it was made."""
    return text


def _number(
    conn: Connection, query: sql.SQL | sql.Composed, parameters: Sequence[object] | None = None
) -> int:
    row = conn.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0
