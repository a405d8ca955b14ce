"""PostgreSQL's side of a proof: the queries for ranges and rows of a table, and their answers."""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from cdc.mapping.literals import literal
from cdc.mapping.table import MappedTable
from cdc.postgres.quarantine import PLACE
from cdc.proof.canonical import Canonical, Form, plain_digits
from cdc.proof.columns import OWN, ProvenColumn
from cdc.proof.standing import Standing
from cdc.schema import Key, Row, UndecodableText, Value

COUNT: Final = sql.SQL("count(*)")

_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bound:
    """The end of a range of keys, in the words of both sides: the key of a row in PostgreSQL.

    `texts` are its values as PostgreSQL writes them, `key` what they are in SQLite.
    """

    texts: tuple[str, ...]
    key: Key


@dataclass(frozen=True, slots=True)
class TargetRange:
    """A range of keys: `rows` of them, the digest of each column, and `end`.

    `end` is None where there are no more, in the table or before the end that was asked for.
    """

    rows: int
    digests: tuple[bytes, ...]
    end: Bound | None


TargetRow = tuple[Canonical, ...]


class ProvenTable:
    """A target table as the proof reads it. `columns` are those of `mapped`, in its order.

    `written` says that others write to it, and what they write is brought back to SQLite. A
    `standing` is that of a table which nobody writes to any more, and of which the schema `cdc`
    knows nothing; then `quarantine` is where the rows are that it cannot hold.
    """

    def __init__(
        self,
        source: str,
        mapped: MappedTable,
        *,
        written: bool = False,
        standing: Standing | None = None,
        quarantine: sql.Identifier = PLACE,
    ) -> None:
        self.source = source
        self.written = written
        self.mapped = mapped
        self.standing = standing
        self.quarantine = quarantine
        self.columns = [ProvenColumn(column) for column in mapped.columns]
        self.key_at = mapped.key_at
        self._key_forms = [self.columns[at].forms.of_source for at in mapped.key_at]
        self._key_texts = [
            literal if column.type.name == "literal" else _key_text(form)
            for column, form in zip(mapped.key_columns, self._key_forms, strict=True)
        ]
        self._source_forms = [(column.source, column.forms.of_source) for column in self.columns]
        self._target_forms = [column.forms.of_target for column in self.columns]
        self.table = sql.Identifier(mapped.schema, mapped.name)
        self._from = sql.SQL("{} AS {}").format(self.table, sql.Identifier(OWN))
        self.ordered = all(column.type.ordered for column in mapped.key_columns)
        self._key = [_key_column(column.name, column.type.wire) for column in mapped.key_columns]
        self._key_types = [sql.SQL(_TYPES[column.type.wire]) for column in mapped.key_columns]

    @property
    def sends_values(self) -> bool:
        """Whether PostgreSQL has to send values of it to be digested."""
        return any(column.sent for column in self.columns)

    def key_forms(self, key: Key) -> TargetRow:
        """A key of SQLite in the form in which keys are compared."""
        return tuple([form(value) for form, value in zip(self._key_forms, key, strict=True)])

    def forms_of_keys(self, keys: Sequence[Key]) -> Iterator[TargetRow]:
        """The same for many, in their order."""
        return _by_column(self._key_forms, keys)

    def same(self, row: Row | None, found: TargetRow | None) -> bool:
        """Whether both sides have the same of one key; None is no row."""
        if row is None or found is None:
            return row is None and found is None
        return found == tuple([form(row[at]) for at, form in self._source_forms])

    def key_of(self, row: TargetRow) -> TargetRow:
        return tuple(row[at] for at in self.key_at)

    def source_key(self, form: TargetRow) -> Key:
        """The key of SQLite for one in the form in which keys are compared."""
        return tuple(
            value if column.type.name == "literal" else column.type.decode(value)
            for column, value in (
                (column, _stored(each, column.type.wire))
                for column, each in zip(self.mapped.key_columns, form, strict=True)
            )
        )

    def range_query(self, after: Bound | None, end: Bound | None, limit: int) -> sql.Composed:
        """Digests, count and end of the next `limit` rows behind `after`, at most up to `end`."""
        names = [sql.Identifier(f"x{i}") for i in range(len(self.columns))]
        keys = [sql.Identifier(f"k{i}") for i in range(len(self._key))]
        digests = [c.digest(x) for c, x in zip(self.columns, names, strict=True)]
        last = [sql.SQL("(array_agg({}))[count(*)]").format(key) for key in keys]
        texts = [sql.SQL("({})::pg_catalog.text").format(each) for each in last]
        chosen = [
            sql.SQL("{} AS {}").format(expression, name)
            for expression, name in zip(
                [*self._key, *(c.chosen for c in self.columns)], [*keys, *names], strict=True
            )
        ]
        return sql.SQL(
            "SELECT {} FROM (SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {}) AS r"
        ).format(
            _list([COUNT, *last, *texts, *digests]),
            _list(chosen),
            self._from,
            self._within(after, end),
            _list(self._key),
            sql.Literal(limit),
        )

    def read_range(self, found: Sequence[Any], limit: int) -> TargetRange:
        """The answer to `range_query`."""
        width = len(self._key)
        rows = found[0]
        end = None
        if rows == limit:
            end = Bound(
                tuple(found[1 + width : 1 + 2 * width]), self._decoded(found[1 : 1 + width])
            )
        digests = zip(self.columns, found[1 + 2 * width :], strict=True)
        return TargetRange(rows, tuple(c.of_target(x) if rows else b"" for c, x in digests), end)

    def rows_query(self, after: Bound | None, end: Bound | None) -> sql.Composed:
        """The rows of a range, in key order."""
        return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
            self._values(), self._from, self._within(after, end), _list(self._key)
        )

    def all_query(self) -> sql.Composed:
        """All rows, in any order."""
        return sql.SQL("SELECT {} FROM {}").format(self._values(), self._from)

    def keys_query(self, keys: Sequence[Key]) -> tuple[sql.Composed, list[str]]:
        """The rows of these keys of SQLite; those that the target could not hold are left out."""
        wanted, texts = self.key_set(keys)
        same = [
            sql.SQL("{} = {}").format(key, sql.Identifier("w", f"w{i}"))
            for i, key in enumerate(self._key)
        ]
        query = sql.SQL("SELECT {} FROM {} JOIN {} ON {}").format(
            self._values(), wanted, self._from, sql.SQL(" AND ").join(same)
        )
        return query, texts

    def key_set(self, keys: Sequence[Key]) -> tuple[sql.Composed, list[str]]:
        """These keys of SQLite as something to select from, `w` with the columns w0, w1, …, and its
        parameters; those that the target could not hold are left out.
        """
        texts = [
            key
            for key in _by_column(self._key_texts, keys)
            if not any(text is None or "\0" in text for text in key)
        ]
        names = [sql.Identifier(f"w{i}") for i in range(len(self._key))]
        arrays = [sql.SQL("%s::pg_catalog.text[]::{}[]").format(kind) for kind in self._key_types]
        wanted = sql.SQL("unnest({}) AS w ({})").format(_list(arrays), _list(names))
        columns = zip(*texts, strict=True) if texts else ((),) * len(names)
        return wanted, [_array(column) for column in columns]

    def forms_of_rows(self, rows: Sequence[Row]) -> Iterator[TargetRow]:
        """Rows of SQLite, at least one, in the form in which rows are compared."""
        columns = list(zip(*rows, strict=True))
        formed = [list(map(form, columns[at])) for at, form in self._source_forms]
        return zip(*formed, strict=True)

    def rows(self, found: Sequence[Sequence[Any]]) -> Iterator[TargetRow]:
        """Rows that PostgreSQL has sent, in the form in which rows are compared."""
        return _by_column(self._target_forms, found)

    def _values(self) -> sql.Composed:
        return _list(
            sql.SQL("{}::pg_catalog.text" if c.forms.as_text else "{}").format(
                sql.Identifier(OWN, c.name)
            )
            for c in self.columns
        )

    def _within(self, after: Bound | None, end: Bound | None) -> sql.Composable:
        conditions = [
            sql.SQL("({}) {} ({})").format(_list(self._key), sql.SQL(sign), self._bound(bound))
            for sign, bound in ((">", after), ("<=", end))
            if bound is not None
        ]
        return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")

    def _bound(self, bound: Bound) -> sql.Composed:
        return _list(
            sql.SQL("{}::{}").format(sql.Literal(text), kind)
            for text, kind in zip(bound.texts, self._key_types, strict=True)
        )

    def _decoded(self, values: Sequence[Any]) -> Key:
        columns = self.mapped.key_columns
        return tuple(c.type.decode(value) for c, value in zip(columns, values, strict=True))


_TYPES: Final = {
    "int2": "pg_catalog.int2",
    "int4": "pg_catalog.int4",
    "int8": "pg_catalog.int8",
    "float4": "pg_catalog.float4",
    "float8": "pg_catalog.float8",
    "numeric": "pg_catalog.numeric",
    "bool": "pg_catalog.bool",
    "text": "pg_catalog.text",
    "bytea": "pg_catalog.bytea",
    "date": "pg_catalog.date",
    "time": "pg_catalog.time",
    "timestamp": "pg_catalog.timestamp",
    "timestamptz": "pg_catalog.timestamptz",
    "uuid": "pg_catalog.uuid",
}
"""The types that a key can have, by the name that they have on the wire."""


def _key_column(name: str, wire: str) -> sql.Composable:
    # In the order of bytes, whatever somebody has declared: that is SQLite's.
    collate = sql.SQL(' COLLATE "C"') if wire == "text" else sql.SQL("")
    return sql.Identifier(OWN, name) + collate


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _by_column(
    converts: Sequence[Callable[[Any], Any]], rows: Sequence[Sequence[Any]]
) -> Iterator[tuple[Any, ...]]:
    """Rows of which each column is converted by its function, a column at a time."""
    columns = zip(converts, zip(*rows, strict=True), strict=bool(rows))
    return zip(*[list(map(convert, values)) for convert, values in columns], strict=True)


def _array(texts: Iterable[str]) -> str:
    """Texts as PostgreSQL reads an array of them.

    >>> print(_array(["1", 'a "b"']))
    {"1","a \\"b\\""}
    """
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"


def _key_text(form: Form) -> Callable[[Value], str | None]:
    """What makes a value of a key as PostgreSQL reads it; None where it holds no such value."""

    def text(value: Value) -> str | None:
        tag, stored = form(value)
        convert = _KEY_TEXTS.get(tag)
        return None if convert is None else convert(stored)

    return text


def _stored(form: Canonical, wire: str) -> Any:
    """A value in the form that is compared, as psycopg reads it from a column of that type."""
    tag, value = form
    convert = _STORED.get(tag)
    return value if convert is None else convert(value, wire)


def _number_stored(number: Decimal, wire: str) -> int | Decimal:
    return int(number) if wire in {"int2", "int4", "int8"} else number


def _text_stored(raw: bytes, _: str) -> str | UndecodableText:
    text = _decoded(raw)
    return UndecodableText(raw) if text is None else text


def _clock_stored(text: str, wire: str) -> date | time:
    return date.fromisoformat(text) if wire == "date" else time.fromisoformat(text)


def _moment_stored(microseconds: int | Decimal, wire: str) -> datetime:
    moment = _UNIX + timedelta(microseconds=int(microseconds))
    return moment if wire == "timestamptz" else moment.replace(tzinfo=None)


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _double(bits: bytes) -> float:
    return float(struct.unpack(">d", bits)[0])


def _moment(microseconds: int | Decimal) -> str | None:
    if int(microseconds) != microseconds:
        return None
    return (_UNIX + timedelta(microseconds=int(microseconds))).isoformat()


_KEY_TEXTS: Final[dict[str, Callable[[Any], str | None]]] = {
    "integer": str,
    "number": plain_digits,
    "text": _decoded,
    "real": lambda bits: repr(_double(bits)),
    "blob": lambda raw: "\\x" + raw.hex(),
    "clock": str,
    "uuid": str,
    "boolean": lambda flag: "t" if flag else "f",
    "instant": _moment,
}

_STORED: Final[dict[str, Callable[[Any, str], Any]]] = {
    "number": _number_stored,
    "text": _text_stored,
    "real": lambda bits, _: _double(bits),
    "clock": _clock_stored,
    "uuid": lambda digits, _: UUID(digits),
    "instant": _moment_stored,
}
