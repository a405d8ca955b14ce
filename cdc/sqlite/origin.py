"""A live file as a copy of it finds it: what is to be copied, and in which way each table is."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cdc.errors import CaptureRefused, SchemaMoved, SourceError
from cdc.sqlite import blueprint, introspect, log
from cdc.sqlite.blueprint import Blueprint
from cdc.sqlite.captures import Captured, captured, stored_captures
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.moves import application_schema
from cdc.sqlite.names import quote
from cdc.sqlite.rowform import RowForm, form_of
from cdc.sqlite.triggers import mirror_name
from cdc.sqlite.verification import Finding, verify

_BY_THE_WAY = "sqlite_"
"""SQLite's own tables: small, and changed with the others."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What must not change before the copy is complete, but for a freeze or a thaw.

    `captured` are the tables of which the log tells, `others` those of the application of which it
    does not.
    """

    file: SourceFile
    with_capture: bool
    plan: Blueprint
    log_id: str
    captured: list[Captured]
    others: list[RowForm]
    application_schema: int

    def check(self) -> None:
        """Raise SchemaMoved where the application has changed its schema; in a transaction."""
        if application_schema(self.file) != self.application_schema:
            raise SchemaMoved(f"The schema of {self.file.path} changed.")

    @property
    def mirrors(self) -> set[str]:
        """The names of the mirrors, which follow from the tables."""
        return {mirror_name(each.layout) for each in self.captured}

    def plan_now(self) -> Blueprint:
        """The plan with what a freeze has made or taken away; in a transaction."""
        return _plan(self.file, with_capture=self.with_capture)

    def by_the_way(self, plan: Blueprint) -> list[RowForm]:
        """The small tables of ours and of SQLite, for the last moment; in a transaction."""
        names = (
            table.name
            for table in plan.tables()
            if (table.own and table.name not in self.mirrors) or _is_sqlites(table.name)
        )
        return _forms(self.file, names)


def look(file: SourceFile, *, with_capture: bool) -> Origin:
    """Look at a captured file; for use within a read transaction.

    Raises SourceError where the log does not tell everything of each captured table.
    """
    own = log.read(file)
    if own is None:
        raise SourceError(
            f"{file.path} is not captured, so it cannot be copied while it is written to.",
            hint="Run cdc install or cdc run first.",
        )
    _check_captures(file)
    plan = _plan(file, with_capture=with_capture)
    tables = captured(file)
    known = {each.name for each in tables}
    others = [
        table.name
        for table in plan.tables()
        if table.name not in known and not table.own and not _is_sqlites(table.name)
    ]
    forms = _forms(file, others)
    return Origin(file, with_capture, plan, own.id, tables, forms, application_schema(file))


def _check_captures(file: SourceFile) -> None:
    stored = stored_captures(file)
    found = verify(file, [capture.name for capture in stored])
    sound = (Finding.INTACT, Finding.OUTDATED)
    faulty = [c.name for c in stored if not c.mirrored or found[c.name] not in sound]
    if faulty:
        raise SourceError(
            f"The capture of {', '.join(map(quote, faulty))} of {file.path} is not complete.",
            hint="Let cdc run put it in order; cdc status says when it has.",
        )


def _plan(file: SourceFile, *, with_capture: bool) -> Blueprint:
    found = blueprint.read(file)
    if with_capture:
        return found
    return replace(found, objects=tuple(each for each in found.objects if not each.own))


def _is_sqlites(table: str) -> bool:
    return table.lower().startswith(_BY_THE_WAY)


def _forms(file: SourceFile, names: Iterable[str]) -> list[RowForm]:
    try:
        return [form_of(introspect.source_table(file, name)) for name in names]
    except CaptureRefused as error:
        raise SourceError(
            f"{file.path} cannot be copied while it is written to: {error}",
            hint="Copy the file itself while the application rests.",
        ) from error
