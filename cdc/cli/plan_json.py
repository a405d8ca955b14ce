"""The contract of `cdc plan --json`, described in docs/json.md."""

from typing import Any

from cdc.cli.plan_words import shown_stored, shown_value
from cdc.plan.fit import Change, Tally
from cdc.plan.plan import ColumnPlan, Plan, Problem, Remedy, SourcePlan, TablePlan
from cdc.plan.profile import ColumnProfile
from cdc.plan.relations import ForeignKeyPlan
from cdc.schema import Key
from cdc.sqlite.blindspots import ends_statements

_FIGURES = (
    "nulls",
    "integers",
    "reals",
    "texts",
    "undecodable",
    "blobs",
    "empty_texts",
    "zero_bytes",
    "longest_text",
    "least_text",
    "greatest_text",
    "longest_text_bytes",
    "longest_blob_bytes",
    "least_integer",
    "greatest_integer",
    "least_real",
    "greatest_real",
    "infinities",
    "negative_zeros",
    "integral_reals",
    "whole",
    "decimals",
)


def as_json(plan: Plan) -> dict[str, Any]:
    """The whole plan."""
    return {
        "fits": not plan.problems,
        "target_not_asked": plan.unasked or None,
        "sources": [_source(source) for source in plan.sources],
    }


def _source(source: SourcePlan) -> dict[str, Any]:
    return {
        "name": source.name,
        "path": source.path,
        "problems": [_problem(problem) for problem in source.all_problems()],
        "tables": [_table(table) for table in source.tables],
        "excluded": source.left_out,
        "not_captured": [{"name": name, "kind": kind} for name, kind in source.uncaptured],
        "triggers": [
            {"name": t.name, "table": t.table, "may_hide_changes": ends_statements(t.sql)}
            for t in source.triggers
        ],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "table": problem.table,
        "column": problem.column,
        "message": problem.text,
        **_remedy(problem.remedies[0] if problem.remedies else Remedy("")),
        "otherwise": [_remedy(each) for each in problem.remedies[1:]],
        "keys": [key(each) for each in problem.keys],
        "set_aside": problem.set_aside,
    }


def _remedy(remedy: Remedy) -> dict[str, Any]:
    return {"advice": remedy.text, "configuration": list(remedy.lines)}


def _table(table: TablePlan) -> dict[str, Any]:
    source = table.source.table
    return {
        "name": table.name,
        "target": f"{table.mapped.schema}.{table.mapped.name}",
        "rows": table.survey.rows,
        "key": [column.name for column in source.key_columns],
        "key_is_rowid": source.rowid_key,
        "copied": table.kept,
        "notes": table.notes,
        "columns": [_column(column) for column in table.columns()],
        "computed": list(table.design.generation.names),
        "indexes": [index.source for index in table.design.indexes],
        "foreign_keys": [_foreign_key(each) for each in table.foreign_keys],
        "not_carried_over": [
            {"what": each.what, "text": each.text, "reason": each.reason}
            for each in table.design.untranslated
        ],
    }


def _column(column: ColumnPlan) -> dict[str, Any]:
    target = column.target
    return {
        "name": column.source.name,
        "declared": column.source.declared,
        "target": None if target is None else target.name,
        "type": None if target is None else target.type.name,
        "sql_type": None if target is None else target.type.sql,
        "seen": _profile(column.profile),
        "misfits": column.found.misfits.count,
        "examples": [
            {"key": key(each.key), "value": shown_value(each.value), "reason": each.reason}
            for each in column.found.misfits.examples
        ],
        "altered": _changes(column.found.altered),
        "settled": _changes(column.found.settled),
    }


def _changes(changes: Tally[Change]) -> dict[str, Any]:
    examples = [
        {
            "key": key(each.key),
            "value": shown_value(each.value),
            "stored": shown_stored(each.stored),
        }
        for each in changes.examples
    ]
    return {"count": changes.count, "examples": examples}


def _foreign_key(plan: ForeignKeyPlan) -> dict[str, Any]:
    orphans = plan.orphans
    return {
        "columns": list(plan.key.columns),
        "parent": plan.key.parent,
        "parent_columns": list(plan.referred),
        "carried_over": plan.design is not None,
        "reason": plan.reason,
        "orphans": None if orphans is None else orphans.count,
        "examples": [] if orphans is None else [key(each) for each in orphans.examples],
    }


def _profile(profile: ColumnProfile) -> dict[str, Any]:
    figures = {name: getattr(profile, name) for name in _FIGURES}
    few = None if profile.few is None else {shown_value(v): n for v, n in profile.few.items()}
    return figures | {"boolean": profile.boolean, "forms": dict(profile.forms), "values": few}


def key(values: Key) -> list[str]:
    """A key as SQL writes its values."""
    return [shown_value(value) for value in values]
