"""One column of a target table as the proof sees it: its digest over a range, in PostgreSQL's SQL.

PostgreSQL joins the binary forms of a column's values in key order and hashes them once. What this
side makes of the same column is in `packing`, with the forms themselves.
"""

from typing import Any, Final

from psycopg import sql

from cdc.mapping.table import TargetColumn
from cdc.proof.canonical import ColumnForms
from cdc.proof.packing import LONGEST, NULL_NUMBER, NULL_UUID, Packing, digest_sent, quick_way

OWN: Final = "t"
"""What the table is called in every query: a column of it may have the name of any other part."""


class ProvenColumn:
    """One column of a target table, as the proof sees it.

    `chosen` is the SQL of its value within the range (over the table), `digest` the SQL of its
    digest (over the column `x` of such values). Where `digest` is None, PostgreSQL sends the values
    as texts, and `pack_target` makes the bytes of them.
    """

    def __init__(self, column: TargetColumn) -> None:
        self.name = column.name
        self.source = column.source
        self.forms = ColumnForms(column)
        base, _, _ = column.type.name.partition("(")
        self._kind = _KINDS.get(base, "text")
        self._quick = quick_way(base, self._kind, column.type)

    @property
    def sent(self) -> bool:
        """Whether PostgreSQL sends the values, for want of a form that it could digest."""
        return self._kind == "sent"

    @property
    def chosen(self) -> sql.Composable:
        """The SQL of the value to be digested, of the column of the table `OWN`."""
        return sql.SQL(_CHOSEN[self._kind]).format(sql.Identifier(OWN, self.name))

    def digest(self, x: sql.Identifier) -> sql.Composable:
        """The SQL aggregate of the digest over the column `x` of chosen values."""
        return sql.SQL(_DIGESTS[self._kind]).format(x=x)

    def packing(self) -> Packing:
        """What gathers the column's values of SQLite over a range, to be digested."""
        return Packing(self._kind, self._quick, self.forms.of_source)

    def of_target(self, result: Any) -> bytes:
        """The digest out of what PostgreSQL answered."""
        if not self.sent:
            return bytes(result)
        form = self.forms.of_target
        texts = (None if text is None else form(text) for text in result or ())
        return digest_sent(texts)


# What PostgreSQL chooses, and how it digests it.

_CHOSEN: Final = {
    "integer": "int8send({}::pg_catalog.int8)",
    "real": "float8send({}::pg_catalog.float8)",
    "timestamp": "timestamp_send({})",
    "timestamptz": "timestamptz_send({})",
    "boolean": "boolsend({})",
    "uuid": "uuid_send({})",
    "decimal": "trim_scale({})::pg_catalog.text",
    "clock": "{}::pg_catalog.text",
    "text": "{}::pg_catalog.text",
    "blob": "{}",
    "sent": "{}::pg_catalog.text",
}

_NUMBERS: Final = f"decode(md5(string_agg(coalesce({{x}}, '\\x{NULL_NUMBER.hex()}'), '')), 'hex')"
_TEXTS: Final = (
    "decode(md5(string_agg(int4send(coalesce(octet_length({x}), -1)), '')"
    " || convert_to(coalesce(string_agg(CASE WHEN octet_length({x}) <= "
    f"{LONGEST} THEN {{x}} ELSE md5({{x}}) END, ''), ''), 'UTF8')), 'hex')"
)
_DIGESTS: Final = {
    "integer": _NUMBERS,
    "real": _NUMBERS,
    "timestamp": _NUMBERS,
    "timestamptz": _NUMBERS,
    "boolean": "decode(md5(string_agg(coalesce({x}, '\\x02'), '')), 'hex')",
    "uuid": f"decode(md5(string_agg(coalesce({{x}}, '\\x{NULL_UUID.hex()}'), '')), 'hex')",
    "decimal": _TEXTS,
    "clock": _TEXTS,
    "text": _TEXTS,
    "blob": (
        "decode(md5(string_agg(int4send(coalesce(octet_length({x}), -1)), '')"
        " || coalesce(string_agg(CASE WHEN octet_length({x}) <= "
        f"{LONGEST} THEN {{x}} ELSE decode(md5({{x}}), 'hex') END, ''), '')), 'hex')"
    ),
    "sent": "array_agg({x})",
}

_KINDS: Final = {
    "bigint": "integer",
    "integer": "integer",
    "smallint": "integer",
    "double precision": "real",
    "real": "real",
    "numeric": "decimal",
    "boolean": "boolean",
    "bytea": "blob",
    "date": "clock",
    "time": "clock",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "jsonb": "sent",
    "literal": "sent",
}
"""The kind of each target type; all others are text."""
