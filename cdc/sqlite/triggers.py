"""Rendering the capture triggers and the mirror of one table from the templates of `triggers/`.

The templates explain each statement. Three rules hold for everything that is rendered here,
because it runs inside the application's own statements and its own SQLite library:

- The table goes by the alias `_cdc_t` wherever rows are read, so that a table called `NEW` or
  `OLD` does not hide the trigger's own; every column is qualified, so that none can turn into a
  string literal.
- No statement can fail: the changelog has no constraints, and the mirror's key is guarded.
- Nothing is newer than SQLite 3.8.2 (WITHOUT ROWID), and the clock is the only function that
  could differ between versions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cdc.event import Op
from cdc.resources import load_sql
from cdc.schema import Column
from cdc.sqlite.introspect import Child, SourceTable, UniqueSet, UniqueTerm
from cdc.sqlite.names import OWN_PREFIX, quote

ROW = "_cdc_t"


@dataclass(frozen=True, slots=True)
class CaptureSql:
    """What captures one table: `mirror` and `indexes` are DDL, `triggers` maps name to DDL.

    `mirror` is the DDL of the mirror and its indexes, empty where no row can be evicted by another
    key's row. `fill`, None then too, writes the entries that the mirror lacks for the rows that
    meet a condition to be added to it, on columns of `_cdc_t`.
    """

    triggers: dict[str, str]
    mirror: tuple[str, ...]
    fill: str | None


def _template(name: str, values: dict[str, str]) -> str:
    lines = load_sql(f"sqlite/{name}.sql").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("--")).format_map(values)


class _Renderer:
    """The pieces of SQL for one table."""

    def __init__(self, source: SourceTable, layout: int) -> None:
        self.source = source
        self.table = source.table
        self.layout = layout
        self.mirror = mirror_name(layout)
        self.values = {
            "table": quote(source.name),
            "layout": str(layout),
            "mirror": self.mirror,
            "values": ", ".join(f"v{i}" for i in range(len(self.table.columns))),
            "columns": ", ".join(self._column(ROW, c) for c in self.table.columns),
            "key_values": ", ".join(f"v{i}" for i in self.table.key),
            "key_columns": ", ".join(self._column(ROW, c) for c in self.table.key_columns),
            "old_key": ", ".join(self._column("OLD", c) for c in self.table.key_columns),
            "is_new_key": self._matches(self._of("NEW")),
            "is_old_key": self._matches(self._of("OLD")),
            **self._mirror_values(),
        }

    def _mirror_values(self) -> dict[str, str]:
        keys = [f"k{i}" for i in range(len(self.table.key))]
        unique = [
            (_unique_column(s, t), term, unique_set)
            for s, unique_set in enumerate(self.source.unique_sets)
            for t, term in enumerate(unique_set.terms)
        ]
        row_values = [self._on_row(term, unique_set) for _, term, unique_set in unique]
        nullable = [c for c in self.table.key_columns if self._nullable(c)]
        return {
            "key": ", ".join(
                f"{key} {c.affinity}" for key, c in zip(keys, self.table.key_columns, strict=True)
            ),
            "key_names": ", ".join(keys),
            "unique": ", ".join(
                f"{name} {term.affinity} COLLATE {term.collation}" for name, term, _ in unique
            ),
            "mirror_columns": ", ".join([*keys, *(name for name, _, _ in unique)]),
            "mirror_key": ", ".join(self._mirror_key()),
            "unique_values": ", ".join(row_values),
            "is_mirror_key": self._matches(self._mirror_key()),
            "is_row_mirror_key": self._has_key(self._of(ROW)),
            "is_new_mirror_key": self._has_key(self._of("NEW")),
            "is_old_mirror_key": self._has_key(self._of("OLD")) + self._same_types(self._of("OLD")),
            "same_values": " AND ".join(
                f"{self.mirror}.{name} COLLATE BINARY IS {value}"
                for (name, _, _), value in zip(unique, row_values, strict=True)
            ),
            "key_not_null": "".join(f" AND {self._column(ROW, c)} IS NOT NULL" for c in nullable),
        }

    def _is_rowid(self, column: Column) -> bool:
        return self.table.rowid_key and column is self.table.columns[0]

    def _name(self, column: Column) -> str:
        # The rowid that stands in for a key goes by a keyword, not by a column's name.
        return column.name if self._is_rowid(column) else quote(column.name)

    def _column(self, owner: str, column: Column) -> str:
        return f"{owner}.{self._name(column)}"

    def _of(self, owner: str) -> list[str]:
        return [self._column(owner, c) for c in self.table.key_columns]

    def _nullable(self, column: Column) -> bool:
        return not (column.not_null or self.table.integer_key)

    def _matches(self, values: list[str]) -> str:
        """The condition that the row `_cdc_t` has exactly this key.

        It first compares as the key's index does, so that the index is used, and then byte for
        byte: 'abc' and 'ABC' under NOCASE, or 1 and 1.0 in a column without a type, are one key to
        SQLite and two to PostgreSQL.
        """
        conditions: list[str] = []
        for column, value in zip(self.table.key_columns, values, strict=True):
            own = self._column(ROW, column)
            equals = "IS" if self._nullable(column) else "="
            if self.table.integer_key:
                conditions.append(f"{own} = {value}")
                continue
            conditions.append(f"{own} COLLATE {column.collation} {equals} {value}")
            if column.collation != "BINARY":
                conditions.append(f"{own} COLLATE BINARY {equals} {value}")
            if column.affinity == "BLOB":
                conditions.append(f"typeof({own}) = typeof({value})")
        return " AND ".join(conditions)

    def _mirror_key(self) -> list[str]:
        return [f"{self.mirror}.k{i}" for i in range(len(self.table.key))]

    def _has_key(self, values: list[str]) -> str:
        """The condition that an entry has this key, or one that SQLite takes for the same."""
        return self._has(zip(self._mirror_key(), values, strict=True))

    def _same_types(self, values: list[str]) -> str:
        return "".join(
            f" AND typeof({entry}) = typeof({value})"
            for entry, value, column in zip(
                self._mirror_key(), values, self.table.key_columns, strict=True
            )
            if column.affinity == "BLOB" and not self.table.integer_key
        )

    def _has_values(self, number: int, values: list[str]) -> str:
        """The condition that an entry of the mirror has these values of the unique set `number`."""
        # An expression may name a collation of its own, which would otherwise decide.
        columns = [
            f"{self.mirror}.{_unique_column(number, t)} COLLATE {term.collation}"
            for t, term in enumerate(self.source.unique_sets[number].terms)
        ]
        return self._has(zip(columns, values, strict=True))

    @staticmethod
    def _has(pairs: Iterable[tuple[str, str]]) -> str:
        # The plus takes the affinity of the value away, so that the mirror's column decides how
        # the two compare, and its index is used.
        return " AND ".join(f"{column} = +{value}" for column, value in pairs)

    def _on_row(self, term: UniqueTerm, unique_set: UniqueSet) -> str:
        column = None if term.expression else f"{ROW}.{self._term_column(term)}"
        return _within(unique_set, column or f"({term.expression})")

    def _on_new(self, term: UniqueTerm, unique_set: UniqueSet) -> str:
        if term.expression is None:
            return f"NEW.{self._term_column(term)}"
        columns = [c for c in self.table.columns if not self._is_rowid(c)]
        row = ", ".join(f"NEW.{quote(c.name)} AS {quote(c.name)}" for c in columns)
        value = _within(unique_set, f"({term.expression})")
        return f"(SELECT {value} FROM (SELECT {row}) AS {quote(self.table.name)})"

    def _term_column(self, term: UniqueTerm) -> str:
        assert term.column is not None
        return term.column if term.column == self.source.rowid else quote(term.column)

    def piece(self, template: str, **more: str) -> str:
        return _template(template, {**self.values, **more})

    def evicted(self, *also: str) -> str:
        """Log who had the new row's values, or its key: that row can be gone again already."""
        if not self.source.unique_sets:
            return ""
        sets = [
            self._has_values(s, [self._on_new(term, unique_set) for term in unique_set.terms])
            for s, unique_set in enumerate(self.source.unique_sets)
        ]
        return self._log_evicted(*sets, self.values["is_new_mirror_key"], *also)

    def was_old_row(self) -> tuple[str, ...]:
        """The entry of the old row, whatever key a trigger of the application gave it meanwhile.

        SQLite then goes on with the row that has the old rowid, or without a rowid the row whose
        key it takes for the old one, and tells its triggers of the old key.
        """
        first = self.source.unique_sets[0] if self.source.unique_sets else None
        if first is None or not first.is_identity:
            return ()
        return (self._has_values(0, [f"OLD.{self._term_column(term)}" for term in first.terms]),)

    def _log_evicted(self, *has_values: str) -> str:
        # One after another, not with OR: SQLite would then read a table WITHOUT ROWID, which the
        # mirror is, from end to end.
        return "".join(self.piece("log_evicted", has_values=each) for each in has_values)

    def evicted_parent(self, child: Child) -> str:
        """Log the row that the old row of `child` referred to."""
        refers = {parent: f"OLD.{quote(own)}" for own, parent in child.columns}
        for s, unique_set in enumerate(self.source.unique_sets):
            if unique_set.predicate is None and all(t.column in refers for t in unique_set.terms):
                values = [refers[term.column] for term in unique_set.terms if term.column]
                return self._log_evicted(self._has_values(s, values))
        values = [refers[column.name] for column in self.table.key_columns]
        return self._log_evicted(self._has_key(values))

    def gone(self, op: str) -> str:
        forget = self.piece("mirror_forget") if self.source.unique_sets else ""
        return self.piece("log_gone", op=op) + forget

    def gone_under_another_key(self) -> str:
        """Log the old row under the key that it had at last."""
        return self._log_evicted(*self.was_old_row())

    def remembered(self) -> str:
        return self.piece("mirror_remember") if self.source.unique_sets else ""

    def trigger(self, event: str, **pieces: str) -> tuple[str, str]:
        name = f"_cdc_{self.layout}_{event}"
        return name, self.piece(f"after_{event}", trigger=name, **pieces).strip().rstrip(";")

    def child_triggers(self) -> Iterator[tuple[str, str]]:
        if not self.source.unique_sets:
            return
        for i, child in enumerate(self.source.children):
            for event in ("DELETE", "UPDATE"):
                name = f"_cdc_{self.layout}_child_{i}_{event.lower()}"
                text = self.piece(
                    "after_child",
                    trigger=name,
                    event=event,
                    child=quote(child.table),
                    evicted=self.evicted_parent(child),
                )
                yield name, text.strip()

    def mirror_ddl(self) -> tuple[str, ...]:
        if not self.source.unique_sets:
            return ()
        indexes = (
            f"CREATE INDEX {self.mirror}_{s} ON {self.mirror}"
            f" ({', '.join(_unique_column(s, t) for t in range(len(unique_set.terms)))})"
            for s, unique_set in enumerate(self.source.unique_sets)
        )
        return (self.piece("mirror"), *indexes)


def _unique_column(number: int, term: int) -> str:
    return f"u{number}_{term}"


def _within(unique_set: UniqueSet, value: str) -> str:
    """A value of a partial index; outside it, computing it may even fail."""
    predicate = unique_set.predicate
    return f"CASE WHEN ({predicate}) THEN {value} END" if predicate else value


def mirror_name(layout: int) -> str:
    """The name of the mirror that belongs to the capture with this layout."""
    return f"{OWN_PREFIX}mirror_{layout}"


def is_mirror(name: str) -> bool:
    """Whether a table is the mirror of a capture."""
    return name.startswith(mirror_name(0)[:-1])


def render(source: SourceTable, layout: int) -> CaptureSql:
    """All the SQL that captures `source` under the layout with this id."""
    sql = _Renderer(source, layout)
    triggers = dict(
        (
            sql.trigger(
                "insert",
                evicted=sql.evicted(),
                mirrored=sql.remembered(),
                image=sql.piece("log_image", op=Op.INSERT),
            ),
            sql.trigger(
                "update",
                evicted=sql.evicted(*sql.was_old_row()),
                gone=sql.gone(Op.REKEY),
                mirrored=sql.remembered(),
                image=sql.piece("log_image", op=Op.UPDATE),
            ),
            sql.trigger("delete", gone=sql.gone(Op.DELETE), evicted=sql.gone_under_another_key()),
            *sql.child_triggers(),
        )
    )
    fill = sql.piece("mirror_fill").rstrip() if source.unique_sets else None
    return CaptureSql(triggers, sql.mirror_ddl(), fill)
