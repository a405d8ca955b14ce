"""What a target table has besides its columns, as SQL."""

from collections.abc import Iterable

from psycopg import sql

from cdc.mapping.extras import Extras, StorageValue
from cdc.mapping.table import MappedTable


def alterations(table: MappedTable, before: Extras) -> list[str]:
    """What makes of a table that was made with the extras `before` the one that it is to be.

    Not its indexes: the catalogue tells which of those are missing.
    """
    name = sql.Identifier(table.schema, table.name).as_string(None)
    now, then = dict(table.extras.storage), dict(before.storage)
    changed = [item for item in table.extras.storage if then.get(item[0]) != item[1]]
    gone = [name for name in then if name not in now]
    alter = f"ALTER TABLE {name}"
    return [
        *([f"{alter} SET ({storage_text(changed)})"] if changed else ()),
        *([f"{alter} RESET ({', '.join(gone)})"] if gone else ()),
    ]


def storage_text(parameters: Iterable[tuple[str, StorageValue]]) -> str:
    """Storage parameters as SQL; their names come from a list of ours."""
    return ", ".join(f"{name} = {str(value).lower()}" for name, value in parameters)
