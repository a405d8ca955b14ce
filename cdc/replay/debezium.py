"""Events in the envelope of Debezium's connectors, which other programs know to read.

`before` is what the log itself tells: the image of the key's previous event. So it is null where
the log does not reach back to one, and for the first event after a new capture of the table; a
delete has at least its key there.
"""

import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from cdc import __version__
from cdc.event import AT, LAYOUT, OP, SEQ, VALUES, Event, Op
from cdc.replay.forms import value_form
from cdc.replay.instants import instant_of
from cdc.schema import Table, Value
from cdc.sqlite.images import Images

CONNECTOR: Final = "cdc-sqlite"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class Envelopes:
    """Makes the envelopes of one source's events; every event has to be shown to it, in order."""

    def __init__(self, source: str, database: str) -> None:
        self._source = source
        self._database = database
        self._images = Images()

    def note(self, table: Table, event: Event) -> None:
        """Take note of an event that is not printed, for the `before` of a later one."""
        self._keep(table, event, None if event[OP] in Op.GONE else _row(table, event))

    def line(self, table: Table, event: Event) -> bytes:
        """The envelope of an event, as one line of JSON."""
        before = self._images.find(event[LAYOUT], _key(table, event))
        gone = event[OP] in Op.GONE
        after = None if gone else _row(table, event)
        self._keep(table, event, after)
        if before is None and gone:
            before = orjson.dumps(_fields(table, event, only_key=True))
        op = "d" if gone else "u" if before is not None or event[OP] == Op.UPDATE else "c"
        now = time.time_ns()
        envelope = {
            "before": None if before is None else orjson.Fragment(before),
            "after": None if after is None else orjson.Fragment(after),
            "source": self._origin(table, event),
            "transaction": None,
            "op": op,
            "ts_ms": now // 1_000_000,
            "ts_us": now // 1_000,
            "ts_ns": now,
        }
        return orjson.dumps(envelope, option=orjson.OPT_APPEND_NEWLINE)

    def _keep(self, table: Table, event: Event, row: bytes | None) -> None:
        key = _key(table, event)
        if row is None:
            self._images.drop(event[LAYOUT], key)
        else:
            self._images.keep(event[LAYOUT], key, row)

    def _origin(self, table: Table, event: Event) -> dict[str, Any]:
        at = instant_of(event[AT])
        micros = None if at is None else (at - EPOCH) // MICROSECOND
        return {
            "version": __version__,
            "connector": CONNECTOR,
            "name": self._source,
            "ts_ms": None if micros is None else micros // 1000,
            "ts_us": micros,
            "ts_ns": None if micros is None else micros * 1000,
            "snapshot": "false",
            "db": self._database,
            "sequence": None,
            "table": table.name,
            "seq": event[SEQ],
        }


def _key(table: Table, event: Event) -> bytes:
    """What is the same for equal keys: to SQLite 1 and 1.0 are one key."""
    key = (event[VALUES + i] for i in table.key)
    whole = (int(v) if isinstance(v, float) and v.is_integer() else v for v in key)
    return orjson.dumps([_identity(value) for value in whole])


def _identity(value: Value) -> Any:
    # Integral reals can have more than 64 bits.
    return {"whole": str(value)} if isinstance(value, int) else value_form(value)


def _row(table: Table, event: Event) -> bytes:
    return orjson.dumps(_fields(table, event, only_key=False))


def _fields(table: Table, event: Event, *, only_key: bool) -> dict[str, Any]:
    return {
        column.name: None if only_key and i not in table.key else _plain(event[VALUES + i])
        for i, column in enumerate(table.columns)
    }


def _plain(value: Value) -> Any:
    """A value as Debezium's JSON has it: bytes in base64, an infinite number as a word."""
    match value:
        case float() if value in {float("inf"), float("-inf")}:
            return "Infinity" if value > 0 else "-Infinity"
        case bytes():
            return b64encode(value).decode()
        case _:
            return value
