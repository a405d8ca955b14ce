"""Generated columns: plain ones that cdc fills, and that a trigger computes for every other writer.

So a column of SQLite that computes itself goes on doing so after the cutover, while until then it
holds what SQLite has computed. PostgreSQL's own generated columns take no values from anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from psycopg import sql

from cdc.constraints import folded
from cdc.mapping.arithmetic import compute_or_fail
from cdc.mapping.expressions import expression
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.terms import NotTranslatable, Term, new_value_term, refuse, string
from cdc.postgres.identifiers import target_identifier
from cdc.schema import Column

TRIGGER: Final = "zz_cdc_generated"
"""Triggers fire in the order of their names: this one sees what the others have made of a row."""

_WHOLE: Final = ("bigint", "integer", "smallint")
_NUMERIC: Final = ("INTEGER", "NUMERIC", "BLOB")


@dataclass(frozen=True, slots=True)
class Generation:
    """What computes the generated columns of a table.

    `statements` make it; `names` are those in SQLite of the columns that are computed, `reasons`
    say why others are not.
    """

    statements: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


NO_GENERATION: Final = Generation()


def generation(table: MappedTable, expressions: Mapping[str, str]) -> Generation:
    """The trigger for these generated columns, which are by their names in SQLite."""
    sources = table.source.columns
    columns = {sources[t.source].name: (sources[t.source], t) for t in table.columns}
    terms = {
        folded(name): new_value_term(*both)
        for name, both in columns.items()
        if name not in expressions
    }
    lines: dict[str, str] = {}
    reasons: dict[str, str] = {}
    waiting = [name for name in expressions if name in columns]
    # One may be computed from another: as long as any can be, the rest is tried again.
    while waiting:
        for name in waiting:
            try:
                value = _value(expressions[name], *columns[name], terms)
            except NotTranslatable as exc:
                reasons[name] = str(exc)
            else:
                target = sql.Identifier(columns[name][1].name).as_string(None)
                lines[name] = f"    NEW.{target} := {value};"
                terms[folded(name)] = new_value_term(*columns[name])
        left = [name for name in waiting if name not in lines]
        if len(left) == len(waiting):
            break
        waiting = left
    statements = tuple(_statements(table, list(lines.values()))) if lines else ()
    failed = {name: why for name, why in reasons.items() if name not in lines}
    return Generation(statements, tuple(lines), failed)


def removal(schema: str, table: str) -> list[str]:
    """Statements that take the trigger off a table, if there is one, and drop its function."""
    name = sql.Identifier(schema, table).as_string(None)
    return [
        f"DROP TRIGGER IF EXISTS {TRIGGER} ON {name}",
        f"DROP FUNCTION IF EXISTS {_function(schema, table)}()",
    ]


def _function(schema: str, table: str) -> str:
    return sql.Identifier(schema, target_identifier(f"_cdc_generated_{table}")).as_string(None)


def _statements(table: MappedTable, lines: list[str]) -> list[str]:
    function = _function(table.schema, table.name)
    body = "\n".join(["", "BEGIN", *lines, "    RETURN NEW;", "END", ""])
    name = sql.Identifier(table.schema, table.name).as_string(None)
    make = (
        # With fewer digits than its own a double would not be what it is, as text.
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql"
        f" SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS {string(body)}"
    )
    fire = (
        f"CREATE TRIGGER {TRIGGER} BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW"
        " WHEN (current_setting('cdc.session', true) IS DISTINCT FROM 'on')"
        f" EXECUTE FUNCTION {function}()"
    )
    return [make, fire]


def _value(text: str, source: Column, target: TargetColumn, terms: Mapping[str, Term]) -> str:
    """The SQL of a generated column's value. Raises NotTranslatable.

    As a DEFAULT does, it goes through the column's affinity on its way.
    """
    term = expression(text, terms, compute_or_fail)
    type_, affinity = target.type.name.partition("(")[0], source.affinity
    match term.kind, type_:
        case "integer", "boolean" if term.truth:
            return term.truth
        case "integer", _ if type_ in _WHOLE and affinity in _NUMERIC:
            return term.sql
        case "integer" | "real", "double precision" if affinity == "REAL":
            return f"({term.sql})::double precision"
        case "real", "numeric" if affinity == "REAL" and target.type.options.instead == "round":
            return f"({term.sql})::text::numeric"
        case "boolean", _ if type_ in _WHOLE and affinity in _NUMERIC:
            return f"({term.sql})::integer"
    return _of_one_kind(term, target, affinity)


def _of_one_kind(term: Term, target: TargetColumn, affinity: str) -> str:
    """A value that is what the column holds."""
    match term.kind, target.type.name.partition("(")[0]:
        case "boolean", "boolean" if affinity in _NUMERIC:
            return term.sql
        case "text", "text" | "varchar" if affinity in ("TEXT", "BLOB"):
            return term.sql
        case ("blob", "bytea") | ("date", "date") | ("null", _):
            return term.sql
        case "opaque", _:
            refuse(term.reason)
    raise NotTranslatable(f"it is {term.kind}, and the column becomes {target.type.name}")
