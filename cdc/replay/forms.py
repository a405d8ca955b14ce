"""Values and events as JSON, exact for every storage class of SQLite.

NULL is `null`. An INTEGER is a number of up to 64 bits without point or exponent; a REAL is a
number with one of them, the shortest that reads back as itself. TEXT is a string. What JSON lacks
is an object with one key: `{"r": "inf"}` and `{"r": "-inf"}`, `{"b": "AP8="}` for a BLOB, its bytes
in base64, and `{"u": "Zv8="}` for a TEXT that is not valid in the file's encoding. The archive's
files have the same forms.
"""

from collections.abc import Iterable
from datetime import datetime
from math import isinf
from typing import Any, Final

import orjson

from cdc.archive.rows import tagged, untagged
from cdc.event import AT, LAYOUT, OP, ORIGIN, REVERSE_FLOW, SEQ, VALUES, Event, Op
from cdc.replay.instants import instant_of
from cdc.schema import Table, Value

OPS: Final = {
    Op.INSERT: "insert",
    Op.UPDATE: "update",
    Op.DELETE: "delete",
    Op.EVICT: "evict",
    Op.REKEY: "rekey",
}
"""The words for what happened; `evict` is a delete by the REPLACE of another row, and after a
`rekey` the row lives on under another key."""


def value_form(value: Value) -> Any:
    """A value in its form above, as orjson takes it.

    >>> [value_form(v) for v in (7, -0.0, float("-inf"), b"a")]
    [7, -0.0, {'r': '-inf'}, {'b': 'YQ=='}]
    """
    if isinstance(value, bytes) or (isinstance(value, float) and isinf(value)):
        return tagged(value)
    return value


def of_form(form: Any) -> Value:
    """The value that a form stands for.

    >>> of_form({"b": "YQ=="}), of_form({"r": "inf"})
    (b'a', inf)
    """
    return untagged(form) if isinstance(form, dict) else form


def row_form(names: Iterable[str], values: Iterable[Value]) -> dict[str, Any]:
    """Values by the names of their columns."""
    return {name: value_form(value) for name, value in zip(names, values, strict=False)}


def key_form(table: Table, event: Event) -> dict[str, Any]:
    """The key of an event's row by the names of its columns."""
    return {table.columns[i].name: value_form(event[VALUES + i]) for i in table.key}


def time_form(instant: datetime | None) -> str | None:
    """An instant as JSON has it, in UTC, to the microsecond."""
    return None if instant is None else instant.isoformat(timespec="microseconds")


def event_line(source: str, table: Table, event: Event) -> bytes:
    """An event as one line of JSON."""
    gone = event[OP] in Op.GONE
    names = [column.name for column in table.columns]
    return orjson.dumps(
        {
            "source": source,
            "seq": event[SEQ],
            "at": time_form(instant_of(event[AT])),
            "table": table.name,
            "op": OPS.get(event[OP], event[OP]),
            "key": key_form(table, event),
            "row": None if gone else row_form(names, event[VALUES:]),
            "origin": "reverse flow" if event[ORIGIN] == REVERSE_FLOW else "application",
            "layout": event[LAYOUT],
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
