"""A live file's schema in an empty file of its own, to be looked at for as long as that takes.

Introspecting many tables takes longer than SQLite's lock may be held; their DDL is read at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cdc.errors import SourceUnavailable
from cdc.schema import Row
from cdc.sqlite import blueprint
from cdc.sqlite.blueprint import Blueprint
from cdc.sqlite.captures import has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import quote
from cdc.sqlite.newfile import NewFile
from cdc.sqlite.triggers import is_mirror


@contextmanager
def skeleton(file: SourceFile) -> Iterator[tuple[SourceFile, Blueprint]]:
    """The empty file, in a read transaction, and the blueprint that it is made by.

    It has no rows but those of the capture's own small tables. Raises SourceUnavailable where there
    is no room for it.
    """
    with file.reading():
        plan = blueprint.read(file)
        own = {
            table.name: file.query(f"SELECT * FROM {quote(table.name)}").fetchall()
            for table in plan.tables()
            if table.own and not is_mirror(table.name)
        }
    try:
        folder = TemporaryDirectory(prefix="cdc-schema-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SourceUnavailable(
            f"The schema of {file.path} cannot be written into a temporary folder"
            f" ({error.strerror}).",
            hint="Make room there, or name another folder in the variable TMPDIR.",
        ) from error
    with folder as name:
        path = Path(name) / "schema.db"
        _make(path, plan, own)
        with SourceFile(path, only_look=True) as made, made.reading():
            yield made, plan


def _make(path: Path, plan: Blueprint, own: dict[str, list[Row]]) -> None:
    made = NewFile.create(path, plan)
    try:
        for kind in ("table", "index"):
            for each in plan.objects:
                if each.kind == kind and each.stored and not has_table(made, each.name):
                    made.make(each)
        for name, rows in own.items():
            if rows:
                made.insert_many(f"INSERT INTO {quote(name)} VALUES ", rows)
        made.enter([each for each in plan.objects if not each.stored])
        made.end(plan)
    finally:
        made.close()
