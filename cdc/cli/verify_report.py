"""The outcome of a proof, as a table for people and as the contract of `verify --json`."""

from typing import Any

from rich.table import Table

from cdc.cli.output import DATA, duration
from cdc.cli.plan_words import number
from cdc.proof.outcome import Difference, SourceOutcome, TableOutcome, Verdict

COLUMNS_SHOWN = 3
"""Columns of a differing row that the table for people names."""


def print_verdict(verdict: Verdict) -> None:
    """The counts of each table, the differences by name, and what the answer rests on."""
    DATA.print(_counts(verdict))
    for source in verdict.sources:
        if source.problem:
            DATA.print(f"{source.name}: {source.problem}", markup=False)
        for table in source.tables:
            _print_table(source, table)
    behind = sum(_waits_for_cutover(t) for s in verdict.sources for t in s.tables)
    if behind:
        DATA.print(f"{behind:,} sequences stand behind their keys; the cutover will set them.")
    DATA.print(conclusion(verdict), markup=False)


def _waits_for_cutover(table: TableOutcome) -> bool:
    flawed = any(finding.kind == "sequence" for finding in table.findings)
    return table.sequence is not None and table.sequence.behind and not flawed


def _counts(verdict: Verdict) -> Table:
    counts = Table("table", box=None, pad_edge=False, header_style="bold")
    for name in ("rows", "kept", "missing", "extra", "different", "in flight", "altered", ""):
        counts.add_column(name, justify="right")
    for source in verdict.sources:
        for each in source.tables:
            numbers = (
                each.rows,
                each.kept_rows,
                each.missing,
                each.extra,
                each.different,
                each.owed,
                each.altered,
            )
            counts.add_row(f"{source.name}.{each.name}", *(f"{n:,}" for n in numbers), word(each))
    return counts


def word(table: TableOutcome) -> str:
    """What became of a table, in a word or two."""
    if not table.done:
        return "NOT COMPARED"
    if table.differences or table.stale:
        return "DIFFERS"
    if not table.sound:
        return "FLAWED"
    return "not settled" if table.owed else "equal"


def _print_table(source: SourceOutcome, table: TableOutcome) -> None:
    name = f"{source.name}.{table.name}"
    if table.problem:
        DATA.print(f"{name}: {table.problem}", markup=False)
    if table.quarantined or table.dropped:
        DATA.print(
            f"{name}: {table.quarantined:,} rows are in the quarantine and {table.dropped:,} given"
            " up; PostgreSQL has none of them.",
            markup=False,
        )
    if table.stale:
        DATA.print(
            f"{name}: {table.stale:,} rows of the quarantine are not in SQLite any more.",
            markup=False,
        )
    for finding in table.findings:
        DATA.print(f"{name}: {finding.text}", markup=False)
    for difference in table.examples:
        DATA.print(f"{name}: {describe(difference)}", markup=False)
    left = table.differences - len(table.examples)
    if left > 0:
        DATA.print(f"{name}: and {left:,} more", markup=False)


def describe(difference: Difference) -> str:
    """One difference in one line."""
    key = ", ".join(difference.key)
    if difference.what == "missing":
        return f"missing in PostgreSQL: the row with key ({key})"
    if difference.what == "extra":
        return f"extra in PostgreSQL: the row with key ({key})"
    shown = [
        f"{c.column} is {_cut(c.source)} in SQLite and {_cut(c.target)} in PostgreSQL"
        for c in difference.columns[:COLUMNS_SHOWN]
    ]
    more = len(difference.columns) - len(shown)
    return f"key ({key}): " + "; ".join(shown) + (f"; and {more} more columns" if more else "")


def _cut(text: str | None) -> str:
    if text is None:
        return "NULL"
    return text if len(text) <= 60 else text[:60] + "…"


def conclusion(verdict: Verdict) -> str:
    """The answer in a sentence or two."""
    rows = sum(t.rows + t.kept_rows for s in verdict.sources for t in s.tables)
    kept = sum(t.kept_rows for s in verdict.sources for t in s.tables)
    took = f"in {duration(verdict.seconds)}"
    if verdict.converged:
        rests = (
            f" {kept:,} of them rest on earlier proofs and on the guard of the target tables;"
            " --full compares every row."
            if kept
            else ""
        )
        aside = sum(t.quarantined + t.dropped for s in verdict.sources for t in s.tables)
        but = f" but for {number(aside, 'row')} in the quarantine" if aside else ""
        return f"Converged{but}: {rows:,} rows are equal on both sides, {took}.{rests}"
    differ = sum(t.differences for s in verdict.sources for t in s.tables)
    owed = sum(s.in_flight for s in verdict.sources)
    words = []
    if differ:
        words.append(f"{differ:,} rows differ; cdc verify --repair mends them")
    if owed:
        words.append(
            f"{owed:,} keys could not be compared, since PostgreSQL has not applied their last"
            " changes: is cdc run running?"
        )
    flawed = sum(not t.sound for s in verdict.sources for t in s.tables)
    if flawed:
        words.append(f"{flawed:,} target tables are not what they should be, see above")
    if not words:
        words.append("not everything could be compared")
    return f"NOT converged, {took}: " + "; ".join(words) + "."


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The contract of `verify --json`."""
    return {
        "converged": verdict.converged,
        "full": verdict.full,
        "started_at": verdict.started_at,
        "seconds": round(verdict.seconds, 3),
        "sources": [
            {
                "name": source.name,
                "converged": source.converged,
                "captured_seq": source.captured_seq,
                "applied_seq": source.applied_seq,
                "in_flight": source.in_flight,
                "guarded": source.guarded,
                "problem": source.problem,
                "seconds": round(source.seconds, 3),
                "tables": [_table_as_json(table) for table in source.tables],
            }
            for source in verdict.sources
        ],
    }


def _table_as_json(table: TableOutcome) -> dict[str, Any]:
    return {
        "table": table.name,
        "target": table.target,
        "equal": table.equal,
        "sound": table.sound,
        "rows": table.rows + table.kept_rows,
        "compared": table.rows,
        "kept": table.kept_rows,
        "kept_since": table.kept_since,
        "target_rows": table.target_rows,
        "missing": table.missing,
        "extra": table.extra,
        "different": table.different,
        "in_flight": table.owed,
        "altered": table.altered,
        "altered_columns": table.altered_columns,
        "quarantined": table.quarantined,
        "dropped": table.dropped,
        "stale": table.stale,
        "position": table.position,
        "source_digest": table.source_digest,
        "target_digest": table.target_digest,
        "repaired": table.repaired,
        "problem": table.problem,
        "findings": [
            {"kind": f.kind, "text": f.text, "contradicts": f.contradicts} for f in table.findings
        ],
        "foreign_keys": [
            {
                "columns": list(each.columns),
                "parent": each.parent,
                "valid": each.valid,
                "orphans": each.orphans,
                "problem": each.problem,
            }
            for each in table.references
        ],
        "sequence": table.sequence
        and {
            "name": table.sequence.name,
            "column": table.sequence.column,
            "next_value": table.sequence.next_value,
            "greatest_key": table.sequence.greatest_key,
            "behind": table.sequence.behind,
        },
        "examples": [
            {
                "what": each.what,
                "key": list(each.key),
                "columns": [
                    {"column": c.column, "source": c.source, "target": c.target}
                    for c in each.columns
                ],
            }
            for each in table.examples
        ],
    }
