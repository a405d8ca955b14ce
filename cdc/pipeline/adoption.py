"""Targets that were made by hand: never made or altered here, but filled."""

from cdc.errors import TargetRefused
from cdc.mapping.table import MappedTable
from cdc.postgres import state
from cdc.postgres.adoption import adopt_table, refuse_differences
from cdc.postgres.connection import Connection
from cdc.postgres.mending import empty_table


def take(
    conn: Connection,
    source: str,
    table: MappedTable,
    existing: state.CapturedTable | None,
    *,
    definition: object,
    since_seq: int,
    resync: bool,
) -> None:
    """Have the copy fill a table that was made by hand, whose rows stay with `resync`.

    `existing` is None where it is not ours yet. Raises TargetRefused where it would have to be
    another table than it is.
    """
    if existing is None:
        adopt_table(conn, source, table, definition=definition, since_seq=since_seq)
        return
    before = (existing.name, existing.target_schema, existing.target_name)
    if before != (table.source.name, table.schema, table.name):
        raise TargetRefused(
            f"the target of {existing.name} was made by hand: cdc does not make"
            f" {table.schema}.{table.name} of it",
            hint="give table and schema their names back, or release the table from the capture"
            f" (cdc uninstall --source {source} --table {existing.name})",
        )
    refuse_differences(conn, table)
    if not resync:
        empty_table(conn, table)
    state.restart_copy(conn, source, existing.name, definition=definition, since_seq=since_seq)
