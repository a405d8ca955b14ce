"""The position moved past the events that the way back has left in a changelog.

They say what PostgreSQL has already. While it is closed and the file is sealed nobody else writes
to either, and the proof of the way back needs a position that is the end of the log.
"""

from cdc.config import SourceConfig
from cdc.cutover.phases import Aborted
from cdc.errors import TargetRefused
from cdc.event import REVERSE_FLOW
from cdc.postgres import state
from cdc.postgres.apply import Applier
from cdc.postgres.changes import Advance
from cdc.postgres.connection import Connection
from cdc.postgres.gate import read_gate
from cdc.sqlite import log
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import CHANGELOG


def pass_over(conn: Connection, source: SourceConfig) -> None:
    """Move the position of a source to the end of its log, with the gate closed.

    Raises Aborted where the application has left events there, PositionMoved, GateMoved.
    """
    known = state.source(conn, source.name)
    if known is None:
        raise TargetRefused(f"{source.name} was never replicated to this target")
    with SourceFile(source.path) as file, file.reading():
        foreign = file.query(
            f"SELECT count(*) FROM {CHANGELOG} WHERE seq > ? AND origin <> ?",  # noqa: S608
            (known.applied_seq, REVERSE_FLOW),
        ).get
        end = log.end(file)
    if foreign:
        raise Aborted(
            f"{source.path} holds {foreign} writes of the application behind the switch",
            hint="Somebody has written past the seal: find out who, and which side is right.",
        )
    if end.seq > known.applied_seq:
        passed = Advance(
            source=source.name,
            from_seq=known.applied_seq,
            to_seq=end.seq,
            digest=end.digest,
            at=end.at,
            boundary=True,
            epoch=read_gate(conn).epoch,
        )
        Applier(synchronous_commit=True).apply(conn, passed, [])
