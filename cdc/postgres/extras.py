"""What a target table has besides its columns, as SQL."""

from collections.abc import Iterable, Iterator

from psycopg import sql

from cdc.mapping.extras import AddedColumn, Extras, StorageValue
from cdc.mapping.table import MappedTable


def alterations(table: MappedTable, before: Extras) -> list[str]:
    """What makes of a table that was made with the extras `before` the one that it is to be.

    Not its indexes: the catalogue tells which of those are missing.
    """
    alter = f"ALTER TABLE {_name(table)}"
    changes = [*_columns(table.extras, before), *_storage(table.extras, before)]
    there = {column.name: column.type for column in before.added}
    new = [each for each in table.extras.added if there.get(each.name) != each.type]
    return [
        *(f"{alter} {change}" for change in changes),
        *(added_comment(table, column) for column in new),
        *trials(table),
    ]


def trials(table: MappedTable) -> list[str]:
    """Statements that change nothing and fail where an `on_update` of the table is no good: better
    at the start than at the first row.
    """
    return [
        f"EXPLAIN UPDATE {_name(table)} SET {_quoted(column.name)} = "  # noqa: S608  (quoted)
        f"({column.on_update})"
        for column in table.extras.added
        if column.on_update is not None
    ]


def added_text(column: AddedColumn) -> str:
    """An added column as it stands in a CREATE TABLE."""
    default = "" if column.default is None else f" DEFAULT ({column.default})"
    return f"{_quoted(column.name)} {column.type}{default}"


def added_comment(table: MappedTable, column: AddedColumn) -> str:
    """The comment that says where an added column comes from."""
    place = f"{_name(table)}.{_quoted(column.name)}"
    return f"COMMENT ON COLUMN {place} IS 'Asked for in the configuration of cdc; not in SQLite'"


def _columns(now: Extras, before: Extras) -> Iterator[str]:
    """The changes of added columns. One of another type begins anew."""
    wanted = {column.name: column for column in now.added}
    kept = {}
    for column in before.added:
        if column.name in wanted and wanted[column.name].type == column.type:
            kept[column.name] = column
        else:
            yield f"DROP COLUMN {_quoted(column.name)}"
    for column in now.added:
        if column.name not in kept:
            yield f"ADD COLUMN {added_text(column)}"
        elif column.default != kept[column.name].default:
            default = (
                "DROP DEFAULT" if column.default is None else f"SET DEFAULT ({column.default})"
            )
            yield f"ALTER COLUMN {_quoted(column.name)} {default}"


def _storage(now: Extras, before: Extras) -> Iterator[str]:
    wanted, there = dict(now.storage), dict(before.storage)
    changed = [(name, value) for name, value in now.storage if there.get(name) != value]
    if changed:
        yield f"SET ({storage_text(changed)})"
    if gone := [name for name in there if name not in wanted]:
        yield f"RESET ({', '.join(gone)})"


def storage_text(parameters: Iterable[tuple[str, StorageValue]]) -> str:
    """Storage parameters as SQL; their names come from a list of ours."""
    return ", ".join(f"{name} = {str(value).lower()}" for name, value in parameters)


def _name(table: MappedTable) -> str:
    return sql.Identifier(table.schema, table.name).as_string(None)


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
