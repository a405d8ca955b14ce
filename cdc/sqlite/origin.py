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
from cdc.sqlite.skeleton import skeleton
from cdc.sqlite.triggers import is_mirror
from cdc.sqlite.verification import Finding, verify


@dataclass(frozen=True, slots=True)
class Origin:
    """What must not change before the copy is complete, but for a freeze or a thaw.

    `captured` are the tables of which the log tells, `others` those of the application of which it
    does not, and `small` those of ours and of SQLite that are there already.
    """

    file: SourceFile
    with_capture: bool
    plan: Blueprint
    log_id: str
    captured: list[Captured]
    others: list[RowForm]
    small: dict[str, RowForm]
    application_schema: int

    def check(self) -> None:
        """Raise SchemaMoved where the application has changed its schema; in a transaction."""
        if application_schema(self.file) != self.application_schema:
            raise SchemaMoved(f"The schema of {self.file.path} changed.")

    def plan_now(self) -> Blueprint:
        """The plan with what a freeze has made or taken away; in a transaction."""
        return _plan(blueprint.read(self.file), with_capture=self.with_capture)

    def small_now(self, plan: Blueprint) -> list[RowForm]:
        """The small tables of ours and of SQLite, for the last moment; in a transaction."""
        return [
            self.small.get(name) or form_of(introspect.source_table(self.file, name))
            for name in _small(plan)
        ]


def look(file: SourceFile, *, with_capture: bool) -> Origin:
    """Look at a captured file, in short reads.

    Raises SourceError where the log does not tell everything of each captured table.
    """
    with skeleton(file) as (schema, whole):
        own = log.read(schema)
        if own is None:
            raise SourceError(
                f"{file.path} is not captured, so it cannot be copied while it is written to.",
                hint="Run cdc install or cdc run first.",
            )
        _check_captures(schema, file)
        plan = _plan(whole, with_capture=with_capture)
        tables = captured(schema)
        small = _small(plan)
        known = {*small, *(each.name for each in tables)}
        others = [t.name for t in plan.tables() if t.name not in known and not t.own]
        return Origin(
            file,
            with_capture,
            plan,
            own.id,
            tables,
            _forms(schema, others, file),
            {form.name: form for form in _forms(schema, small, file)},
            application_schema(schema),
        )


def _check_captures(schema: SourceFile, file: SourceFile) -> None:
    stored = stored_captures(schema)
    found = verify(schema, [capture.name for capture in stored])
    sound = (Finding.INTACT, Finding.OUTDATED)
    faulty = [c.name for c in stored if not c.mirrored or found[c.name] not in sound]
    if faulty:
        raise SourceError(
            f"The capture of {', '.join(map(quote, faulty))} of {file.path} is not complete.",
            hint="Let cdc run put it in order; cdc status says when it has.",
        )


def _plan(whole: Blueprint, *, with_capture: bool) -> Blueprint:
    if with_capture:
        return whole
    return replace(whole, objects=tuple(each for each in whole.objects if not each.own))


def _small(plan: Blueprint) -> list[str]:
    """The tables of ours but for the mirrors, which follow from the others, and SQLite's own."""
    return [
        table.name
        for table in plan.tables()
        if (table.own and not is_mirror(table.name)) or table.name.lower().startswith("sqlite_")
    ]


def _forms(schema: SourceFile, names: Iterable[str], file: SourceFile) -> list[RowForm]:
    try:
        return [form_of(introspect.source_table(schema, name)) for name in names]
    except CaptureRefused as error:
        reason = str(error).replace(str(schema.path), str(file.path))
        raise SourceError(
            f"{file.path} cannot be copied while it is written to: {reason}",
            hint="Copy the file itself while the application rests.",
        ) from error
