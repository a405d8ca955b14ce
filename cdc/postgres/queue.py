"""The queue of what others have written to the target tables, on its way back to SQLite.

Its SQL is `triggers/postgres/queue.sql`. An entry names a key; what the row holds is read when the
entry is taken, in the same snapshot. Taking changes nothing: entries go by `prune`, once SQLite has
committed what they led to. Until then they may be taken again, which does no harm.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.types.datetime import (
    DateBinaryLoader,
    TimestampBinaryLoader,
    TimestamptzBinaryLoader,
)

from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.state import lock_making
from cdc.postgres.translate import translated

LOCK_SECONDS: Final = 5
"""For a TRUNCATE, or DDL, of an application to end."""

TRUNCATED: Final = "t"
DELETED: Final = "d"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value of PostgreSQL that Python has no form for: an infinite date, or one far away."""

    reason: str


@dataclass(frozen=True, slots=True)
class QueuedRow:
    """What PostgreSQL holds for one key: `values` in the order of the mapping's columns, as psycopg
    reads them (json as text), or None without a row.

    `key` are the key's values, `name` is its form in the queue. `whole` says that an earlier row of
    this key was deleted: nothing of it may live on in the new one.
    """

    name: str
    key: tuple[Any, ...]
    values: tuple[Any, ...] | None
    whole: bool


@dataclass(frozen=True, slots=True)
class QueuedTable:
    """The rows of one table that a batch is about. `truncated`: these are all that there are."""

    table: MappedTable
    rows: list[QueuedRow]
    truncated: bool


@dataclass(frozen=True, slots=True)
class QueueBatch:
    """Entries of the queue, with what they name, all of one moment.

    `complete` says that no other entry could be seen then. `oldest` is when the first of them was
    written.
    """

    ids: list[int]
    tables: list[QueuedTable]
    complete: bool
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many entries of a source wait, and when the oldest of them was written."""

    entries: int
    oldest: datetime | None


def follow(conn: Connection, source: str, tables: Sequence[MappedTable]) -> None:
    """Have writes of others to these target tables queued; nothing is done where they are."""
    with translated(f"queue what is written to the tables of {source}"), conn.transaction():
        lock_making(conn)
        for table in tables:
            of_table = (
                sql.Identifier(table.schema, table.name).as_string(conn),
                source,
                table.source.name,
                [column.name for column in table.key_columns],
            )
            conn.execute(
                "SELECT cdc.follow(target, source, name, key) FROM (VALUES"
                " (%s::regclass, %s::text, %s::text, %s::text[])) AS t (target, source, name, key)"
                " WHERE NOT cdc.is_followed(target, source, name, key)",
                of_table,
            )


def unfollow(conn: Connection, source: str, table: MappedTable) -> None:
    """Have writes to a target table queued no more; for one that nobody else can write to yet.

    The triggers look at every row, if only to find out that it is cdc's own.
    """
    name = sql.Identifier(table.schema, table.name).as_string(conn)
    with translated(f"leave {table.name} of {source} out of the queue"), conn.transaction():
        lock_making(conn)
        conn.execute("SELECT cdc.unfollow(%s::regclass)", (name,))


def followed(conn: Connection, source: str, tables: Sequence[MappedTable]) -> int:
    """How many of these tables have their writes queued, as `follow` makes them."""
    with translated(f"look at the queue's triggers of {source}"):
        return sum(_is_followed(conn, source, table) for table in tables)


def _is_followed(conn: Connection, source: str, table: MappedTable) -> bool:
    row = conn.execute(
        "SELECT cdc.is_followed(%s::regclass, %s, %s, %s::text[])",
        (
            sql.Identifier(table.schema, table.name).as_string(conn),
            source,
            table.source.name,
            [column.name for column in table.key_columns],
        ),
    ).fetchone()
    return row is not None and bool(row[0])


def waiting(conn: Connection, source: str) -> bool:
    """Whether the queue holds anything of a source; costs nearly nothing."""
    with translated(f"look into the queue of {source}"):
        row = conn.execute(
            "SELECT EXISTS (SELECT FROM cdc.queue WHERE source = %s)", (source,)
        ).fetchone()
    return row is not None and bool(row[0])


def backlog(conn: Connection, source: str) -> Backlog:
    """What of a source waits in the queue."""
    with translated(f"count the queue of {source}"):
        row = conn.execute(
            "SELECT count(*), min(at) FROM cdc.queue WHERE source = %s", (source,)
        ).fetchone()
    return Backlog(*row) if row else Backlog(0, None)


def take(conn: Connection, source: str, tables: Sequence[MappedTable], *, limit: int) -> QueueBatch:
    """The first entries of the queue, at most `limit`, with the rows that they name.

    Entries of tables that are not among `tables` are left where they are. All is read in one
    snapshot, which begins when no table can be truncated under it any more: such a table would look
    empty to an older one.
    """
    with translated(f"take from the queue of {source}"), conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        conn.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        names = sql.SQL(", ").join(sql.Identifier(t.schema, t.name) for t in tables)
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names).as_bytes(conn))
        return take_within(conn, source, tables, limit=limit)


def take_within(
    conn: Connection, source: str, tables: Sequence[MappedTable], *, limit: int
) -> QueueBatch:
    """The same in a transaction of the caller's, as that sees the queue and the rows."""
    by_name = {table.source.name: table for table in tables}
    with translated(f"take from the queue of {source}"):
        entries = conn.execute(
            "SELECT id, name, op::text, at FROM cdc.queue WHERE source = %s AND name = ANY (%s)"
            " ORDER BY id LIMIT %s",
            (source, list(by_name), limit + 1),
        ).fetchall()
        complete = len(entries) <= limit
        entries = entries[:limit]
        if not entries:
            return QueueBatch([], [], complete=True, oldest=None)
        last = entries[-1][0]
        ops: dict[str, set[str]] = {}
        for _, name, op, _ in entries:
            ops.setdefault(name, set()).add(op)
        found = [
            _read(conn, source, by_name[name], last, truncated=TRUNCATED in of_table)
            for name, of_table in ops.items()
        ]
    oldest = min(at for *_, at in entries)
    return QueueBatch([entry[0] for entry in entries], found, complete, oldest)


def prune(conn: Connection, source: str, ids: Sequence[int]) -> None:
    """Delete exactly these entries: lower ids may still come to light."""
    with translated(f"prune the queue of {source}"):
        conn.execute(
            "DELETE FROM cdc.queue WHERE source = %s AND id = ANY (%s)", (source, list(ids))
        )


def _read(
    conn: Connection, source: str, table: MappedTable, last: int, *, truncated: bool
) -> QueuedTable:
    query = _of_all(table) if truncated else _of_keys(table)
    parameters = () if truncated else (source, table.source.name, last)
    width = len(table.key)
    rows = [
        QueuedRow(name, tuple(values[:width]), tuple(values[width:]) if there else None, whole)
        for name, there, whole, *values in _fetch(conn, query, parameters)
    ]
    return QueuedTable(table, rows, truncated)


def _of_all(table: MappedTable) -> sql.Composed:
    keys = _list(sql.Identifier("t", column.name) for column in table.key_columns)
    return _format("SELECT {named}, true, true, {keys}, {columns} FROM {table} AS t", table, keys)


def _of_keys(table: MappedTable) -> sql.Composed:
    """The rows of the keys that the queue names; one row each, whether the table has one or not."""
    names = [sql.Identifier(f"k{i}") for i in range(len(table.key))]
    casts = _list(
        sql.SQL("(key ->> {})::{} AS {}").format(sql.Literal(i), sql.SQL(column.type.sql), name)
        for i, (column, name) in enumerate(zip(table.key_columns, names, strict=True))
    )
    same = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("t", column.name), name)
        for column, name in zip(table.key_columns, names, strict=True)
    )
    return _format(
        "SELECT {named}, t.ctid IS NOT NULL, whole, {keys}, {columns} FROM ("
        "SELECT {keys}, bool_or(op = 'd') AS whole FROM ("
        "SELECT {casts}, op FROM cdc.queue"
        " WHERE source = %s AND name = %s AND id <= %s AND op <> 't') AS e GROUP BY {keys}) AS q"
        " LEFT JOIN {table} AS t ON {same}",
        table,
        _list(names),
        casts=casts,
        same=same,
    )


def _format(
    template: str, table: MappedTable, keys: sql.Composable, **more: sql.Composable
) -> sql.Composed:
    return sql.SQL(template).format(
        named=sql.SQL("pg_catalog.jsonb_build_array({})::text").format(keys),
        keys=keys,
        columns=_list(_value(column.name, column.type.wire) for column in table.columns),
        table=sql.Identifier(table.schema, table.name),
        **more,
    )


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _value(name: str, wire: str) -> sql.Composed:
    form = "{}::text" if wire in {"json", "jsonb"} else "{}"
    return sql.SQL(form).format(sql.Identifier("t", name))


def _fetch(
    conn: Connection, query: sql.Composed, parameters: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    with conn.cursor(binary=True) as cursor:
        for type_, loader in _LOADERS.items():
            cursor.adapters.register_loader(type_, loader)
        cursor.execute(query.as_bytes(conn), parameters or None)
        yield from cursor


def _or_unreadable(loader: type[Any]) -> type[Any]:
    """A loader that gives an Unreadable for what it has no form for."""

    class Loader(loader):  # type: ignore[misc]  # made by psycopg, for one type
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError as exc:
                return Unreadable(str(exc))

    return Loader


_LOADERS: Final = {
    "date": _or_unreadable(DateBinaryLoader),
    "timestamp": _or_unreadable(TimestampBinaryLoader),
    "timestamptz": _or_unreadable(TimestamptzBinaryLoader),
}
