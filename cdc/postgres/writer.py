"""The statements that write one target table, and the two ways to use them.

A few rows go as arrays, one array per column: one prepared statement whatever their number and
their NULLs, and it fits into a pipeline. Many rows go by binary COPY, for which their keys are
deleted first.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import RawCursor, sql

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.postgres.connection import Connection
from cdc.postgres.encoding import Encoding
from cdc.postgres.misfit import find_zero_byte
from cdc.postgres.wire import ArrayPacker, Packed, PackedArray, Packing, RowPacker, Strict
from cdc.schema import Key, Row

STAGE: Final = sql.Identifier("pg_temp", "_cdc_stage")
KEPT: Final = sql.Identifier("pg_temp", "_cdc_kept")

# The planner knows little here: the plan of a prepared statement may stem from the time when its
# table was empty, the statistics of a table being copied lag behind, a temporary table has none. A
# wrong guess reads the whole table for each batch, or compares each row with each. There is one
# good plan in every case, so it is told: by the index of the key.
GO_BY_INDEX: Final = (
    b"set_config('enable_seqscan', 'off', true), set_config('enable_mergejoin', 'off', true),"
    b" set_config('enable_hashjoin', 'off', true), set_config('enable_nestloop', 'on', true),"
    b" set_config('jit', 'off', true)"
)
"""The items of a SELECT; every transaction of a TableWriter begins with them."""

# But for one statement: the rows of a range against those of the stage, which has no index.
_GO_BY_HASH: Final = (
    b"set_config('enable_hashjoin', 'on', true), set_config('enable_nestloop', 'off', true)"
)


class TableWriter:
    """Writes rows and deletes keys of one target table, inside the caller's transaction.

    Rows are those of SQLite, whole and in the order of the columns, at most one per key. Packing
    values that do not fit raises one of `wire.MISFIT_ERRORS` or psycopg's DataError; sending those
    that only the server notices raises a Misfit or psycopg's DataError.
    """

    def __init__(self, table: MappedTable) -> None:
        self.table = table
        self._encoding = Encoding(table)
        self._strict = Strict(table)
        self._packer = RowPacker(table, self._encoding, self._strict)
        self._packers = [ArrayPacker(column.type) for column in table.columns]
        self._key_packers = [self._packers[i] for i in table.key_at]
        self._compose()

    def pack(self, rows: Sequence[Row]) -> list[PackedArray]:
        """Make a few rows, at least one, ready to be written by `upsert`."""
        self._strict.check(rows)
        columns = zip(*self._encoding.rows(rows), strict=True)
        return [p.pack(column) for p, column in zip(self._packers, columns, strict=True)]

    def upsert(self, conn: Connection, rows: Sequence[PackedArray]) -> None:
        """Write a few rows over what their keys hold."""
        RawCursor(conn).execute(self._upsert, rows, prepare=True)

    def delete(self, conn: Connection, keys: Sequence[PackedArray]) -> None:
        """Delete the rows of some keys, as far as they are there."""
        RawCursor(conn).execute(self._delete, keys, prepare=True)

    def begin_packing(self) -> Packing:
        """Begin to make rows ready to be sent by `copy` and `stage`; in any thread."""
        return self._packer.begin()

    def pack_keys(self, keys: Iterable[Key]) -> list[PackedArray]:
        """Make keys, at least one, ready to be deleted."""
        columns = zip(*self._encoding.keys(list(keys)), strict=True)
        return [p.pack(column) for p, column in zip(self._key_packers, columns, strict=True)]

    def replace(self, conn: Connection, keys: Sequence[PackedArray], rows: Packed) -> None:
        """Delete the rows of many keys, then add many rows, each with one of these keys."""
        with self._naming_zero_bytes(rows), self.replacing(conn, keys):
            self.copy(conn, rows)

    @contextmanager
    def replacing(self, conn: Connection, keys: Sequence[PackedArray]) -> Iterator[None]:
        """Delete the rows of some keys; those written anew inside get their added columns back."""
        if not keys or not self.table.extras.added:
            if keys:
                self.delete(conn, keys)
            yield
            return
        RawCursor(conn).execute(self._make_kept)
        RawCursor(conn).execute(self._delete_to_kept, keys)
        yield
        RawCursor(conn).execute(self._restore)
        RawCursor(conn).execute(self._drop_kept)  # other tables of the transaction have theirs

    def copy(self, conn: Connection, rows: Packed) -> None:
        """Add many rows; psycopg's UniqueViolation where a key has one already."""
        self._send(conn, self._copy, rows)

    def stage(self, conn: Connection, rows: Packed) -> None:
        """Put rows into a temporary table that lasts as long as the transaction."""
        RawCursor(conn).execute(self._make_stage)
        self._send(conn, self._copy_to_stage, rows)

    def merge_stage(self, conn: Connection) -> None:
        """Write the staged rows over what their keys hold, where that differs in any bit."""
        RawCursor(conn).execute(self._merge)

    def delete_unstaged(self, conn: Connection, after: Key | None, last: Key | None) -> None:
        """Delete the rows of the range (after, last] that are not staged; None means no bound."""
        conditions: list[sql.Composed] = []
        arrays: list[PackedArray] = []
        for key, comparison in ((after, ">"), (last, "<=")):
            if key is not None:
                conditions.append(self._compare_key(comparison, first_parameter=len(arrays) + 1))
                arrays += self.pack_keys([key])
        query = sql.SQL(
            "DELETE FROM {table} AS t WHERE {range} NOT EXISTS"
            " (SELECT FROM {stage} AS s WHERE {same_key})"
        ).format(
            table=self._name,
            range=sql.SQL("").join(sql.SQL("{} AND ").format(c) for c in conditions),
            stage=STAGE,
            same_key=self._same_key("t", "s"),
        )
        RawCursor(conn).execute(b"SELECT " + _GO_BY_HASH)
        RawCursor(conn).execute(query.as_bytes(conn), arrays)
        RawCursor(conn).execute(b"SELECT " + GO_BY_INDEX)

    def _send(self, conn: Connection, statement: bytes, rows: Packed) -> None:
        with self._naming_zero_bytes(rows), RawCursor(conn).copy(statement) as copy:
            for block in rows.blocks:
                copy.write(block)

    @contextmanager
    def _naming_zero_bytes(self, rows: Packed) -> Iterator[None]:
        try:
            yield
        except psycopg.DataError as exc:
            if misfit := find_zero_byte(self.table, rows):
                raise misfit from exc
            raise

    def _compose(self) -> None:
        table = self.table
        self._name = sql.Identifier(table.schema, table.name)
        columns = _names(table.columns)
        parts = {
            "table": self._name,
            "stage": STAGE,
            "columns": columns,
            "key": _names(table.key_columns),
            "arrays": _arrays(table.columns),
            # The key too: -0.0 and 0.0 are one key and two values.
            "assignments": sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column.name))
                for column in table.columns
            )
            + _updates(table, sql.SQL(", ")),
            "old": _names(table.columns, "o"),
            "new": _names(table.columns, "s"),
            "same_key": self._same_key("o", "s"),
            "first_key": sql.Identifier("o", table.key_columns[0].name),
        }
        upsert = (
            "INSERT INTO {table} AS t ({columns}) {rows}"
            " ON CONFLICT ({key}) DO UPDATE SET {assignments}"
        )
        self._upsert = _bytes(
            upsert, **parts, rows=_format("SELECT * FROM unnest({arrays})", parts)
        )
        # Rows that are equal are left out before the INSERT, which would lock each of them. *<>
        # compares the bytes of two records: -0.0 and 0.0 differ. Without ::record it would be
        # looked for between the columns one by one.
        changed = (
            "SELECT {new} FROM {stage} AS s LEFT JOIN {table} AS o ON {same_key}"
            " WHERE {first_key} IS NULL OR ROW({old})::record OPERATOR(pg_catalog.*<>)"
            " ROW({new})::record"
        )
        self._merge = _bytes(upsert, **parts, rows=_format(changed, parts))
        self._delete = _bytes(
            "DELETE FROM {table} AS t WHERE {key} = ANY ({arrays})"  # up to twice as fast as a join
            if len(table.key) == 1
            else "DELETE FROM {table} AS t USING unnest({arrays}) AS s ({key}) WHERE {same_key}",
            table=self._name,
            arrays=_arrays(table.key_columns),
            key=parts["key"],
            same_key=self._same_key("t", "s"),
        )
        self._copy = _bytes("COPY {table} ({columns}) FROM STDIN (FORMAT binary)", **parts)
        self._copy_to_stage = _bytes("COPY {stage} ({columns}) FROM STDIN (FORMAT binary)", **parts)
        self._make_stage = _bytes(
            "CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS"
            " SELECT {columns} FROM {table} WITH NO DATA",
            **parts,
        )

        self._compose_keeping()

    def _compose_keeping(self) -> None:
        """The statements that carry added columns over while their rows are written anew."""
        added = self.table.extras.added
        kept = [column.name for column in self.table.key_columns]
        kept += [column.name for column in added]
        parts = {
            "table": self._name,
            "kept": KEPT,
            "columns": sql.SQL(", ").join(map(sql.Identifier, kept)),
            "old": sql.SQL(", ").join(sql.Identifier("t", name) for name in kept),
            "delete": sql.SQL(self._delete.decode()),
            "same_key": self._same_key("t", "k"),
            "restored": sql.SQL(", ").join(
                sql.SQL("{} = {}").format(
                    sql.Identifier(column.name),
                    sql.Identifier("k", column.name)
                    if column.on_update is None
                    else sql.SQL(f"({column.on_update})"),
                )
                for column in added
            ),
        }
        self._make_kept = _bytes(
            "CREATE TEMPORARY TABLE {kept} ON COMMIT DROP AS"
            " SELECT {columns} FROM {table} WITH NO DATA",
            **parts,
        )
        self._delete_to_kept = _bytes(
            "WITH gone AS ({delete} RETURNING {old}) INSERT INTO {kept} SELECT * FROM gone", **parts
        )
        self._restore = _bytes(
            "UPDATE {table} AS t SET {restored} FROM {kept} AS k WHERE {same_key}", **parts
        )
        self._drop_kept = _bytes("DROP TABLE {kept}", **parts)

    def _same_key(self, one: str, other: str) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier(one, column.name), sql.Identifier(other, column.name)
            )
            for column in self.table.key_columns
        )

    def _compare_key(self, comparison: str, first_parameter: int) -> sql.Composed:
        bounds = sql.SQL(", ").join(
            sql.SQL(f"(${first_parameter + at}::{column.type.wire}[])[1]")
            for at, column in enumerate(self.table.key_columns)
        )
        return sql.SQL("ROW({}) {} ROW({})").format(
            _names(self.table.key_columns, "t"), sql.SQL(comparison), bounds
        )


def _updates(table: MappedTable, before_each: sql.Composable) -> sql.Composed:
    """The assignments of the added columns that change whenever their row is written."""
    updates = (
        before_each
        + sql.SQL("{} = {}").format(sql.Identifier(column.name), sql.SQL(f"({column.on_update})"))
        for column in table.extras.added
        if column.on_update is not None
    )
    return sql.Composed(list(updates))


def _names(columns: Sequence[TargetColumn], *qualifier: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*qualifier, column.name) for column in columns)


def _arrays(columns: Sequence[TargetColumn]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL(f"${number}::{column.type.wire}[]") for number, column in enumerate(columns, 1)
    )


def _format(template: str, parts: dict[str, sql.Composable]) -> sql.Composed:
    return sql.SQL(template).format(**parts)


def _bytes(template: str, **parts: sql.Composable) -> bytes:
    return sql.SQL(template).format(**parts).as_bytes(None)
