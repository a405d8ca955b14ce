"""The journal of the switches between the two sides, in the target: `triggers/postgres/step_9.sql`.

What it says is the truth about a run whose process died, since the switch itself is written in the
transaction that turns the gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from psycopg.rows import class_row

from cdc.errors import Finished, GateMoved
from cdc.postgres.connection import Connection
from cdc.postgres.gate import close_gate, open_gate, read_gate
from cdc.postgres.state import identity
from cdc.postgres.translate import translated

SINCE_VERSION: Final = 9
"""The version of the schema cdc from which on there is a journal."""

END_SINCE_VERSION: Final = 10
"""The version from which on the end of the way back stands in it."""

Direction = Literal["forward", "back", "end"]
"""To PostgreSQL, back to SQLite, or the end of the way back."""

Mode = Literal["normal", "active", "rollback"]
"""SQLite is master; PostgreSQL is; PostgreSQL is closed, on the way back."""

State = Literal["begun", "switched", "open", "aborted"]

GATE_SECONDS: Final = 5.0
"""For writers of cdc's own to end, before the gate is turned."""

_COLUMNS: Final = (
    "SELECT run, direction, state, epoch, reason, freeze_seconds, started_at, switched_at, ended_at"
    " FROM cdc.switch"
)


@dataclass(frozen=True, slots=True)
class Switch:
    """One run. `epoch` is the gate's before it; `ended_at` is None as long as it is under way, or
    has died.
    """

    run: str
    direction: Direction
    state: State
    epoch: int
    reason: str
    freeze_seconds: float | None
    started_at: datetime
    switched_at: datetime | None
    ended_at: datetime | None

    @property
    def unfinished(self) -> bool:
        return self.state in ("begun", "switched")


def last(conn: Connection, direction: Direction | None = None) -> Switch | None:
    """The newest run, of one direction if it is named, that was not aborted or is not ended."""
    with (
        translated("read the journal of the cutover"),
        conn.cursor(row_factory=class_row(Switch)) as cursor,
    ):
        return cursor.execute(
            f"{_COLUMNS} WHERE state <> 'aborted'"
            " AND (%(direction)s::text IS NULL OR direction = %(direction)s)"
            " ORDER BY id DESC LIMIT 1",
            {"direction": direction},
        ).fetchone()


def mode(conn: Connection, version: int) -> Mode:
    """How the system stands; `version` is that of the schema cdc, 0 where there is none."""
    if version < SINCE_VERSION:
        return "normal"
    if read_gate(conn).open:
        return "active"
    newest = last(conn)
    back = newest is not None and newest.direction == "back" and newest.unfinished
    return "rollback" if back else "normal"


def finished(conn: Connection) -> Switch | None:
    """The run that has ended the way back for good; None as long as there is none."""
    known = identity(conn)
    if known is None or known.version < END_SINCE_VERSION:
        return None
    found = last(conn, "end")
    return found if found is not None and found.switched_at is not None else None


def refuse_finished(conn: Connection) -> None:
    """Raise Finished where PostgreSQL is master for good, and cdc has nothing to do any more."""
    end = finished(conn)
    if end is not None:
        raise Finished(
            f"PostgreSQL is the master for good since {end.switched_at:%Y-%m-%d %H:%M} UTC, by cdc"
            " finish: nothing is replicated any more, in either direction.",
            hint="Run cdc finish again: it had not come to its end."
            if end.unfinished
            else "cdc events and cdc history go on telling what was.",
        )


def begin(conn: Connection, run: str, direction: Direction, epoch: int) -> None:
    """Note that a run is about to touch something; on the disk when this returns."""
    with translated("begin the journal of the cutover"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        conn.execute(
            "INSERT INTO cdc.switch (run, direction, epoch) VALUES (%s, %s, %s)",
            (run, direction, epoch),
        )


def switch_forward(conn: Connection, run: str, epoch: int, sequences: Mapping[str, int]) -> None:
    """Make PostgreSQL the master, in one transaction: gate, journal and sequences.

    `sequences` are the least values that were used of each. Raises GateMoved, GateHeld, with
    nothing done; TargetUnavailable, after which only `decide` tells what became of it.
    """
    with translated("switch to PostgreSQL"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        open_gate(conn, epoch, wait_seconds=GATE_SECONDS)
        for sequence, used in sequences.items():
            # A sequence does not go back with the transaction, and a higher one harms nobody.
            conn.execute(
                "SELECT setval(s.oid, %s) FROM (SELECT %s::regclass AS oid) AS s"
                " WHERE coalesce(pg_sequence_last_value(s.oid), 0) < %s",
                (used, sequence, used),
            )
        _advance(conn, run, "begun", "switched")


def close(conn: Connection, epoch: int, *, wait_seconds: float) -> None:
    """Refuse the writes of others, for a run on the way back that was begun; on the disk when this
    returns. Raises GateHeld, naming who is waited for; GateMoved.
    """
    with translated("close the gate"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        close_gate(conn, epoch, wait_seconds=wait_seconds)


def switch_back(conn: Connection, run: str) -> None:
    """Make SQLite the master again; the gate is closed, and all that PostgreSQL has is there."""
    with translated("switch to SQLite"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        _advance(conn, run, "begun", "switched")


def end_way_back(conn: Connection, run: str, reason: str) -> None:
    """Make PostgreSQL the master for good, for a run that was begun: there is no way back."""
    with translated("end the way back"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        _advance(conn, run, "begun", "switched", reason)


def decide(conn: Connection, run: str, reason: str) -> State:
    """What became of a run that was begun: its state. One that has not switched never will.

    Where that was a run on the way back, PostgreSQL is master again with the same COMMIT. Waits for
    a transaction of the run's own that may still be at work.
    """
    with translated("ask what became of the cutover"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        found = conn.execute(
            "SELECT state, direction FROM cdc.switch WHERE run = %s FOR UPDATE", (run,)
        ).fetchone()
        if found is None:
            return "aborted"
        state: State = found[0]
        if state != "begun":
            return state
        _advance(conn, run, "begun", "aborted", reason)
        gate = read_gate(conn)
        if found[1] == "back" and not gate.open:
            open_gate(conn, gate.epoch, wait_seconds=GATE_SECONDS)
    return "aborted"


def finish(conn: Connection, run: str, *, reason: str, freeze_seconds: float | None) -> None:
    """Note that all is done behind a switch."""
    with translated("end the journal of the cutover"):
        conn.execute(
            "UPDATE cdc.switch SET state = 'open', reason = %s, ended_at = clock_timestamp(),"
            " freeze_seconds = coalesce(%s, freeze_seconds) WHERE run = %s AND state = 'switched'",
            (reason, freeze_seconds, run),
        )


def _advance(conn: Connection, run: str, before: State, after: State, reason: str = "") -> None:
    changed = conn.execute(
        "UPDATE cdc.switch SET state = %(after)s, reason = %(reason)s,"
        " switched_at = CASE WHEN %(after)s = 'switched' THEN clock_timestamp() ELSE switched_at"
        " END, ended_at = CASE WHEN %(after)s = 'switched' THEN NULL ELSE clock_timestamp() END"
        " WHERE run = %(run)s AND state = %(before)s",
        {"after": after, "reason": reason, "run": run, "before": before},
    ).rowcount
    if changed != 1:
        raise GateMoved(
            f"run {run} is not {before} any more: another one has taken its place",
            hint="See cdc status, and run the command again.",
        )
