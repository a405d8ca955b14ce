"""What a database that comes out of a dump must forget of the one that it was."""

from collections.abc import Mapping

from cdc.postgres import archived, hold_back
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated


def forget_before(conn: Connection, positions: Mapping[str, int]) -> None:
    """Let it begin where it stands, with files whose logs begin at these positions, by source.

    Nobody holds events back any more, or waits for an answer; what lies before the positions is in
    no file; and the event store begins anew, for the one that was may go on elsewhere.
    """
    with translated("settle the restored database"), conn.transaction():
        conn.execute("DELETE FROM cdc.hold_back")
        conn.execute("DELETE FROM cdc.request")
        conn.execute("DELETE FROM cdc.baseline_wanted")
        for source, position in positions.items():
            archived.forget_ends(conn, source)
            hold_back.give_up(conn, source, max(position - 1, 0))
