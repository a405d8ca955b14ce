"""A SQLite file that is being made: nobody else knows it, and a crash leaves nothing of use.

So it is written without a journal, in one transaction that is never rolled back.
"""

import os
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

import apsw

from cdc import durable
from cdc.errors import SourceError
from cdc.schema import Row, UndecodableText
from cdc.sqlite.blueprint import Blueprint, SchemaObject, read
from cdc.sqlite.connection import SourceFile, translated
from cdc.sqlite.names import quote
from cdc.sqlite.rowform import RowForm

CACHE_KB: Final = 64_000


class NewFile(SourceFile):
    """A file under construction; no trigger fires in it, no foreign key acts, no CHECK is made."""

    @classmethod
    def create(cls, path: Path, plan: Blueprint) -> Self:
        """Begin an empty file with the page size and the encoding of `plan`.

        Raises SourceError where there is something at the path already.
        """
        try:
            # The rows are nobody else's business, whatever the umask says.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise SourceError(
                f"{path} cannot be made ({error.strerror}).",
                hint="Give a path in an existing folder that this user may write, where nothing is"
                " yet.",
            ) from error
        made = cls(path, without_triggers=True)
        with translated(path):
            for setting in (
                f"page_size = {plan.page_size}",
                f"encoding = '{plan.encoding}'",
                f"auto_vacuum = {plan.auto_vacuum}",
                "journal_mode = OFF",
                "synchronous = OFF",
                "locking_mode = EXCLUSIVE",
                f"cache_size = -{CACHE_KB}",
                "ignore_check_constraints = ON",
                "writable_schema = ON",
            ):
                made.query(f"PRAGMA {setting}").fetchall()
            made.query("BEGIN")
        return made

    def _configure(self) -> None:
        super()._configure()
        # The legacy system's SQLite may take "text" for 'text' in its DDL, whatever ours does.
        self._connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 1)
        self._connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)

    def make(self, thing: SchemaObject) -> None:
        """Make a table or an index as it was declared.

        What only the application defines is declared here, too, and fails where it is called.
        """
        while True:
            try:
                with translated(self.path):
                    self.query(thing.sql).fetchall()
            except SourceError as error:
                if not self._declare(str(error.__cause__)):
                    raise
            else:
                return

    def _declare(self, complaint: str) -> bool:
        """Declare the function or the collation that SQLite has not found; whether it is one."""
        missing, _, name = complaint.partition(": ")
        fail = partial(_fail, name)
        if missing == "no such function":
            self._connection.create_scalar_function(name, fail, deterministic=True)
        elif missing == "no such collation sequence":
            self._connection.create_collation(name, fail)
        else:
            return False
        return True

    def enter(self, things: Sequence[SchemaObject]) -> None:
        """Note views, triggers and virtual tables in the schema, unread, as VACUUM does."""
        with translated(self.path):
            self._connection.executemany(
                "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)"
                " VALUES (?, ?, ?, 0, ?)",
                [(each.kind, each.name, each.table, each.sql) for each in things],
            )

    def insert(self, form: RowForm, rows: Sequence[Row], *, replace: bool = False) -> None:
        """Add rows of a form; with `replace`, in the place of those that they are at odds with."""
        if not rows:
            return
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        into = f"{verb} INTO {quote(form.name)} ({', '.join(form.columns)}) VALUES "
        self.insert_many(into, rows)

    def insert_many(self, into: str, rows: Sequence[Row]) -> None:
        """Run a statement that ends in VALUES for each row; all have the same length."""
        with translated(self.path):
            if UndecodableText in set(map(type, chain.from_iterable(rows))):
                for row in rows:
                    self.query(into + _marks(row), row)
            else:
                self._connection.executemany(into + _marks(rows[0]), rows)

    def fill(self, sql: str) -> None:
        """Run a statement that makes rows of others."""
        with translated(self.path):
            self.query(sql)

    def clear(self, table: str) -> None:
        """Delete all the rows of a table."""
        with translated(self.path):
            self.query(f"DELETE FROM {quote(table)}")

    def end(self, plan: Blueprint) -> None:
        """Give the header what it is to say, and close the file."""
        with translated(self.path):
            self.query("COMMIT")
            for setting in ("application_id", "user_version", "schema_version"):
                self.query(f"PRAGMA {setting} = {getattr(plan, setting)}")
        self.close()

    def complete(self, plan: Blueprint) -> None:
        """End it, and bring the whole file to the disk.

        Raises SourceError where its schema has not become that of `plan`.
        """
        self.end(plan)
        with SourceFile(self.path, only_look=True) as made, made.reading():
            differing = set(read(made).objects) ^ set(plan.objects)
        if differing:
            names = ", ".join(sorted({quote(each.name) for each in differing}))
            raise SourceError(
                f"The schema of {self.path} has not become what it is a copy of: {names}.",
                hint="Have the application declare these anew, as SQLite itself would write them.",
            )
        durable.sync(self.path)
        durable.sync(self.path.parent)


def _marks(row: Row) -> str:
    # A text that is not valid in the file's encoding can only be bound as the bytes that it has.
    marks = ("CAST(? AS TEXT)" if isinstance(value, UndecodableText) else "?" for value in row)
    return f"({', '.join(marks)})"


def _fail(name: str, *_: Any) -> Any:
    raise SourceError(
        f"{name}, which only the application defines, decides what is in the file.",
        hint="Such an index or generated column can only be copied while the application rests,"
        " with the file itself.",
    )
