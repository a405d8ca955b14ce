"""Random SQL over a shape: what a legacy application might do, on domains so small that every kind
of conflict happens all the time.

One pattern cannot be caught and is therefore never made. A statement that ends by FAIL, or a row
that ends by RAISE(IGNORE), *after* the row was changed and *before* our AFTER trigger has run keeps
the change without an event. That takes

- an AFTER trigger of the application that SQLite runs before ours and that raises FAIL or IGNORE,
  or whose own statements end the application's one by FAIL (by `INSERT OR FAIL` around it, which
  SQLite hands down, or by RAISE(FAIL) in a trigger further down). SQLite runs the newest trigger
  first, so only triggers that are newer than ours can do it, until ours are renewed;
- or a trigger that a foreign key action runs, while REPLACE removes the parent, and that raises
  FAIL: no AFTER trigger of the parent's has had its turn by then.

Nor are there triggers on a table whose columns hide its rowid, and that has a key of its own all
the same: a BEFORE trigger there can change the key of the very row that is about to go, which
SQLite then finds by the rowid that we cannot see.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .legacy import CHECK, SETTLE, Look
from .shapes import SHAPES, Names, Shape, TableShape, composed, names, quoted

INSTALL: Final = "-- install"
"""The step at which capture begins."""

RENEW: Final = "-- renew"
"""The step at which capture is verified, and put in order."""

DOMAINS: Final = {
    "int": ("0", "1", "2", "3", "-1", "4", "1", "2", "9007199254740993", "NULL"),
    "number": ("0.0", "-0.0", "1", "1.0", "1.5", "2.0", "-1", "9e999", "NULL"),
    "text": (
        "'a'",
        "'A'",
        "'a '",
        "'b'",
        "'B'",
        "'1'",
        "''",
        "'ä'",
        "'Ä'",
        "CAST(x'6100' AS TEXT)",
        "CAST(x'ff' AS TEXT)",
        "NULL",
    ),
    "any": (
        "1",
        "1.0",
        "'1'",
        "x'31'",
        "'1.0'",
        "0",
        "0.0",
        "-0.0",
        "2",
        "'a'",
        "'A'",
        "'a '",
        "x'61'",
        "x''",
        "''",
        "NULL",
    ),
    "document": ("'{\"id\": 1}'", '\'{"id": "a"}\'', "'{\"id\": 2}'", "'{'", "'{}'", "NULL"),
}

CONFLICTS: Final = ("", "", "OR REPLACE", "OR REPLACE", "OR IGNORE", "OR ABORT", "OR ROLLBACK")


@dataclass(frozen=True)
class Workload:
    """Everything that makes one run what it is. The `steps` are SQL, or one of the marks.

    Steps after INSTALL run in the gaps of its mirror's filling, `gaps` of them; `settings` are run
    first, on the empty file.
    """

    seed: int
    shape: Shape
    names: Names
    settings: tuple[str, ...]
    steps: tuple[str, ...]
    gaps: int

    @property
    def looks(self) -> list[Look]:
        return [
            Look(self.names[t.label], "" if t.key else t.rowid(self.names) or "")
            for t in self.shape.tables
        ]

    def keys(self) -> dict[str, list[int]]:
        """Where a table's key stands in the rows that `looks` show."""
        found = {}
        for table in self.shape.tables:
            labels = [c.label for c in table.columns]
            found[self.names[table.label]] = [labels.index(label) for label in table.key] or [0]
        return found

    def script(self) -> str:
        """What a person would type to see it."""
        return "".join(f"{step};\n" for step in (*self.settings, *self.steps))


def generate(
    seed: int, shape: Shape | None = None, triggers: tuple[int, int] | None = None
) -> Workload:
    """The workload of this seed, always the same.

    It chooses its own shape unless given one, and how many triggers the application has from before
    and makes afterwards.
    """
    rng = random.Random(seed)
    if shape is None:
        shape = rng.choice(SHAPES) if rng.random() < 0.8 else composed(rng)
    called = names(shape, rng, hostile=rng.random() < 0.3)
    settings = [
        f"PRAGMA encoding = '{rng.choice(('UTF-8',) * 8 + ('UTF-16le', 'UTF-16be'))}'",
        f"PRAGMA journal_mode = {rng.choice(('MEMORY', 'MEMORY', 'WAL', 'DELETE', 'TRUNCATE'))}",
        "PRAGMA synchronous = OFF",
        f"PRAGMA foreign_keys = {rng.choice(('ON', 'ON', 'OFF'))}",
        f"PRAGMA recursive_triggers = {rng.choice(('ON', 'OFF', 'OFF'))}",
        *(sql for table in shape.tables for sql in table.ddl(called)),
    ]
    writer = _Writer(rng, shape, called)
    before, after = triggers or rng.choice(((0, 0), (1, 0), (0, 1), (1, 1), (2, 2)))
    renewed = after > 0 and rng.random() < 0.3
    writer.allow_fail(late=after > 0 and not renewed)
    early = [writer.trigger(f"early_{i}", late=False) for i in range(before)]
    late = [writer.trigger(f"late_{i}", late=not renewed) for i in range(after)]
    steps = [*early, *writer.statements(rng.randrange(30)), SETTLE, INSTALL, *late]
    if renewed:
        steps += [SETTLE, RENEW]
    steps += writer.statements(rng.randint(15, 60))
    gaps = 0 if renewed else rng.choice((0, 3, 12))
    return Workload(seed, shape, called, tuple(settings), (*steps, SETTLE, CHECK), gaps)


class _Writer:
    """Writes SQL over one shape."""

    def __init__(self, rng: random.Random, shape: Shape, called: Names) -> None:
        self.rng = rng
        self.shape = shape
        self.names = called
        self.spell = {label: quoted(name) for label, name in called.items()}
        self.conflicts = CONFLICTS
        self.fails = False

    def allow_fail(self, *, late: bool) -> None:
        """FAIL is left out where it could end a statement before ours has run: see above."""
        self.fails = not late
        if self.fails:
            self.conflicts = (*CONFLICTS, "OR FAIL")

    # Values and conditions

    def value(self, domain: str) -> str:
        return self.rng.choice(DOMAINS[domain])

    def column(self, table: TableShape) -> tuple[str, str]:
        column = self.rng.choice(table.writable)
        return self.spell[column.label], column.values

    def any_column(self, table: TableShape) -> str:
        return self.spell[self.rng.choice(table.columns).label]

    def condition(self, table: TableShape) -> str:
        column, domain = self.column(table)
        return self.rng.choice(
            (
                "1",
                f"{column} IS {self.value(domain)}",
                f"{column} IS {self.value(domain)}",
                f"{column} = {self.value(domain)}",
                f"{column} >= {self.value(domain)}",
                f"{column} IN ({self.value(domain)}, {self.value(domain)})",
                f"{column} IS NOT {self.value(domain)}",
            )
        )

    def expression(self, table: TableShape, column: str, domain: str) -> str:
        plain = [self.value(domain) for _ in range(4)]
        return self.rng.choice(
            (
                *plain,
                f"{column} + 1",
                f"{column} - 1",
                f"-{column}",
                f"{column} % 3",
                f"upper({column})",
                f"lower({column})",
                f"CAST({column} AS TEXT)",
                f"substr({column} || {self.value(domain)}, 1, 2)",
                self.any_column(table),
                self.value("any"),
            )
        )

    # Statements

    def statements(self, count: int) -> Iterator[str]:
        for _ in range(count):
            yield self.statement()
            if self.rng.random() < 0.1:
                yield CHECK

    def statement(self) -> str:
        table = self.shape.tables[0 if self.rng.random() < 0.75 else -1]
        kind = self.rng.random()
        if kind < 0.45:
            return self.insert(table)
        if kind < 0.72:
            return self.update(table)
        if kind < 0.82:
            return self.delete(table)
        return self.control()

    def insert(self, table: TableShape, conflict: str | None = None) -> str:
        rng = self.rng
        conflict = rng.choice(self.conflicts) if conflict is None else conflict
        verb = f"INSERT {conflict} INTO".replace("  ", " ")
        target = self.spell[table.label]
        if rng.random() < 0.03:
            return f"{verb} {target} DEFAULT VALUES"
        columns = [(self.spell[c.label], c.values) for c in table.writable]
        if rng.random() < 0.2 and len(columns) > 1:
            columns = rng.sample(columns, rng.randint(1, len(columns)))
        rowid = table.rowid(self.names)
        if rowid is not None and rng.random() < 0.2:
            columns.append((rowid, "int"))
        listed = ", ".join(column for column, _ in columns)
        if rng.random() < 0.12:
            source = rng.choice(self.shape.tables)
            terms = ", ".join(
                self.expression(source, self.any_column(source), domain) for _, domain in columns
            )
            rows = f"SELECT {terms} FROM {self.spell[source.label]} WHERE {self.condition(source)}"
        else:
            count = rng.choice((1, 1, 1, 2, 3))
            rows = "VALUES " + ", ".join(
                f"({', '.join(self.value(domain) for _, domain in columns)})" for _ in range(count)
            )
        upsert = self.upsert(table) if rng.random() < 0.25 else ""
        return f"{verb} {target} ({listed}) {rows}{upsert}{self.returning(table)}"

    def upsert(self, table: TableShape) -> str:
        rng = self.rng
        targets = rng.sample(table.targets, min(len(table.targets), rng.choice((1, 1, 2))))
        clauses = [
            f" ON CONFLICT {target.format_map(self.spell)} {self.resolution(table)}"
            for target in targets
        ]
        if not clauses or rng.random() < 0.2:
            clauses.append(f" ON CONFLICT {self.resolution(table)}")
        return "".join(clauses)

    def resolution(self, table: TableShape) -> str:
        if self.rng.random() < 0.25:
            return "DO NOTHING"
        column, domain = self.column(table)
        new = self.rng.choice(
            (f"excluded.{self.any_column(table)}", self.expression(table, column, domain))
        )
        return f"DO UPDATE SET {column} = {new}" + self.rng.choice(
            ("", f" WHERE {self.condition(table)}")
        )

    def returning(self, table: TableShape) -> str:
        return f" RETURNING {self.any_column(table)}" if self.rng.random() < 0.1 else ""

    def update(self, table: TableShape, conflict: str | None = None) -> str:
        rng = self.rng
        conflict = rng.choice(self.conflicts) if conflict is None else conflict
        settings = {}
        for _ in range(rng.choice((1, 1, 2))):
            column, domain = self.column(table)
            settings[column] = self.expression(table, column, domain)
        rowid = table.rowid(self.names)
        if rowid is not None and rng.random() < 0.15:
            settings[rowid] = rng.choice((f"{rowid} + 1", f"-{rowid}", self.value("int")))
        sets = ", ".join(f"{column} = {value}" for column, value in settings.items())
        where = f" WHERE {self.condition(table)}" if rng.random() < 0.8 else ""
        verb = f"UPDATE {conflict}".strip()
        return f"{verb} {self.spell[table.label]} SET {sets}{where}{self.returning(table)}"

    def delete(self, table: TableShape) -> str:
        where = f" WHERE {self.condition(table)}" if self.rng.random() < 0.9 else ""
        return f"DELETE FROM {self.spell[table.label]}{where}{self.returning(table)}"

    def control(self) -> str:
        return self.rng.choice(
            (
                "BEGIN",
                "BEGIN IMMEDIATE",
                "COMMIT",
                "COMMIT",
                "COMMIT",
                "ROLLBACK",
                "SAVEPOINT s",
                "SAVEPOINT s",
                "RELEASE s",
                "ROLLBACK TO s",
                CHECK,
                "ANALYZE",
                "PRAGMA defer_foreign_keys = ON",
                f"PRAGMA foreign_keys = {self.rng.choice(('ON', 'OFF'))}",
                f"PRAGMA recursive_triggers = {self.rng.choice(('ON', 'OFF', 'OFF'))}",
                *(("VACUUM",) if all(t.key for t in self.shape.tables) else ()),
            )
        )

    # The application's own triggers

    def trigger(self, name: str, *, late: bool) -> str:
        rng = self.rng
        table = self.shape.tables[0 if rng.random() < 0.75 else -1]
        if table.rowid(self.names) is None and not table.without_rowid:
            table = self.shape.tables[-1]
        event = rng.choice(("INSERT", "INSERT", "UPDATE", "UPDATE", "DELETE"))
        time = rng.choice(("BEFORE", "AFTER", "AFTER"))
        row = (
            "OLD"
            if event == "DELETE"
            else rng.choice(("NEW", "OLD") if event == "UPDATE" else ("NEW",))
        )
        column, domain = self.column(table)
        # Without a condition, one statement would run away into a thousand under
        # recursive_triggers.
        when = f"{row}.{column} IS {rng.choice(('', 'NOT '))}{self.value(domain)}"
        bodies = " ".join(
            f"{self.body(table, row, time, late=late)};" for _ in range(rng.choice((1, 1, 2)))
        )
        return (
            f"CREATE TRIGGER {name} {time} {event} ON {self.spell[table.label]}"
            f" WHEN {when} BEGIN {bodies} END"
        )

    def body(self, table: TableShape, row: str, time: str, *, late: bool) -> str:
        rng = self.rng
        target = table if rng.random() < 0.6 else rng.choice(self.shape.tables)
        kind = rng.random()
        if kind < 0.3:
            return self.same_row(table, row)
        if kind < 0.45:
            return self.put_back(table, row)
        if kind < 0.55:
            return self.move_another(table, row)
        if kind < 0.7:
            return self.insert_plainly(target, row)
        if kind < 0.85:
            column, domain = self.column(target)
            conflict = rng.choice(self.trigger_conflicts())
            return (
                f"UPDATE {conflict} {self.spell[target.label]}"
                f" SET {column} = {self.expression(target, column, domain)}"
                f" WHERE {self.condition(target)}"
            )
        if kind < 0.93:
            return f"DELETE FROM {self.spell[target.label]} WHERE {self.condition(target)}"
        return f"SELECT RAISE({self.raised(time, late=late)})"

    def trigger_conflicts(self) -> tuple[str, ...]:
        return ("", "OR REPLACE", "OR REPLACE", "OR IGNORE")

    def raised(self, time: str, *, late: bool) -> str:
        kinds = ["ABORT, 'no'", "ROLLBACK, 'no'"]
        before_ours = late and time == "AFTER"
        if not before_ours:
            kinds.append("IGNORE")
        if self.fails and not before_ours and not self.shape.cascades:
            kinds.append("FAIL, 'no'")
        return self.rng.choice(kinds)

    def key_of(self, table: TableShape, row: str) -> str:
        """The condition that picks the row that fired the trigger."""
        labels = [self.spell[label] for label in table.key]
        if not labels:
            labels = [rowid] if (rowid := table.rowid(self.names)) else []
        return " AND ".join(f"{label} IS {row}.{label}" for label in labels) or "0"

    def same_row(self, table: TableShape, row: str) -> str:
        """As an updated_at trigger does."""
        column, domain = self.column(table)
        conflict = self.rng.choice(self.trigger_conflicts())
        return (
            f"UPDATE {conflict} {self.spell[table.label]}"
            f" SET {column} = {self.expression(table, column, domain)}"
            f" WHERE {self.key_of(table, row)}"
        )

    def put_back(self, table: TableShape, row: str) -> str:
        """As a trigger does that protects rows from deletion; or a rival for some of the values."""
        columns = [self.spell[c.label] for c in table.writable]
        rival = self.rng.choice((0.0, 0.4))
        values = ", ".join(
            self.value(c.values) if self.rng.random() < rival else f"{row}.{column}"
            for c, column in zip(table.writable, columns, strict=True)
        )
        conflict = self.rng.choice(self.trigger_conflicts())
        return (
            f"INSERT {conflict} INTO {self.spell[table.label]} ({', '.join(columns)})"
            f" VALUES ({values})"
        )

    def move_another(self, table: TableShape, row: str) -> str:
        """Another row takes over a value of the row that fired the trigger."""
        column, _ = self.column(table)
        conflict = self.rng.choice(self.trigger_conflicts())
        return (
            f"UPDATE {conflict} {self.spell[table.label]} SET {column} = {row}.{column}"
            f" WHERE {self.condition(table)} AND NOT ({self.key_of(table, row)})"
        )

    def insert_plainly(self, target: TableShape, row: str) -> str:
        columns = target.writable
        listed = ", ".join(self.spell[c.label] for c in columns)
        values = ", ".join(self.value(c.values) for c in columns)
        conflict = self.rng.choice(self.trigger_conflicts())
        return f"INSERT {conflict} INTO {self.spell[target.label]} ({listed}) VALUES ({values})"
