"""The outcome of a proof as one page that needs nothing else, to be kept or printed."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from cdc.cli.output import duration
from cdc.cli.page import NONE, Circumstances, code, grid, page, text, utc
from cdc.cli.verify_report import conclusion, word
from cdc.proof.outcome import SourceOutcome, TableOutcome, Verdict

FOOTER: Final = (
    "Written by cdc verify. How both sides are compared, and what each word means, stands in"
    " docs/proof.md. The digests are MD5: they tell accidents, not forgery."
)


def as_html(verdict: Verdict, about: Circumstances, before: Verdict | None = None) -> str:
    """The page. `before` is what was found before a repair."""
    heading = "Converged" if verdict.converged else "NOT converged"
    body = [_source(source, about) for source in verdict.sources]
    if before is not None:
        body.append(f"<h2>Before the repair</h2><p>{text(conclusion(before))}</p>")
        body += [_source(source, about) for source in before.sources]
    return page(
        f"cdc verify, {utc(verdict.started_at)}: {heading}",
        f"{heading}: SQLite and PostgreSQL",
        conclusion(verdict),
        good=verdict.converged,
        facts=_facts(verdict, about),
        body="\n".join(body),
        footer=FOOTER,
    )


def _facts(verdict: Verdict, about: Circumstances) -> dict[str, str]:
    ended = verdict.started_at + timedelta(seconds=verdict.seconds)
    return {
        "Began": utc(verdict.started_at),
        "Ended": f"{utc(ended)}, after {duration(verdict.seconds)}",
        "Kind": _kind(verdict),
        "Target": about.target,
        "Guard": "every target table refuses other writers"
        if all(source.guarded and not source.problem for source in verdict.sources)
        else "NOT every target table is known to refuse other writers",
        **about.facts,
    }


def _kind(verdict: Verdict) -> str:
    if verdict.full:
        return "full: every row was compared, and nothing rests on an earlier proof"
    return (
        "incremental: rows that are kept from earlier proofs rest on the guard of the target"
        " tables, and on the changelog, which names every key that changed since"
    )


def _source(source: SourceOutcome, about: Circumstances) -> str:
    rows = "\n".join(_counts(table) for table in source.tables)
    names = (
        "rows in SQLite", "rows in PostgreSQL", "kept", "missing", "extra", "different",
        "in flight", "altered", "quarantined", "given up", "repaired", "",
    )  # fmt: skip
    header = "".join(f'<th class="n">{name}</th>' for name in names)
    positions = (
        f"last event in the file {source.captured_seq:,}, last one applied {source.applied_seq:,};"
        f" {duration(source.seconds)}"
    )
    path = text(about.paths.get(source.name, ""))
    parts = [f'<h2>{text(source.name)}</h2><p class="faint">{path}: {positions}</p>']
    if source.problem:
        parts.append(f'<p class="no">{text(source.problem)}</p>')
    if source.tables:
        parts += [grid(f"<th>table</th>{header}", rows), _digests(source.tables)]
    parts += [_details(table) for table in source.tables]
    return "\n".join(parts)


def _counts(table: TableOutcome) -> str:
    numbers = (
        table.rows + table.kept_rows,
        table.target_rows,
        table.kept_rows,
        table.missing,
        table.extra,
        table.different,
        table.owed,
        table.altered,
        table.quarantined,
        table.dropped,
        table.repaired,
    )
    cells = "".join(f'<td class="n">{NONE if n is None else f"{n:,}"}</td>' for n in numbers)
    tone = "yes" if table.equal and table.sound else "no"
    return f'<tr><td>{text(table.name)}</td>{cells}<td class="n {tone}">{word(table)}</td></tr>'


def _digests(tables: Iterable[TableOutcome]) -> str:
    rows = "\n".join(
        f"<tr><td>{text(table.name)}</td><td>{text(table.target or NONE)}</td>"
        f'<td class="n">{table.position:,}</td><td class="n">{table.ranges:,}</td>'
        f"<td>{_kept(table)}</td><td>{code(table.source_digest)}</td>"
        f"<td>{code(table.target_digest)}</td></tr>"
        for table in tables
    )
    return grid(
        '<th>table</th><th>target</th><th class="n">position</th><th class="n">ranges</th>'
        "<th>kept from earlier</th><th>digest of SQLite</th><th>digest of PostgreSQL</th>",
        rows,
    )


def _kept(table: TableOutcome) -> str:
    if not table.kept_ranges or table.kept_since is None:
        return NONE
    return (
        f"{table.kept_rows:,} rows in {table.kept_ranges:,} ranges, the oldest proven"
        f" {utc(table.kept_since)}"
    )


def _details(table: TableOutcome) -> str:
    lines = list(_lines(table))
    parts = [f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"] if lines else []
    if table.examples:
        parts.append(_differences(table))
    return "\n".join([f"<h3>{text(table.name)}</h3>", *parts]) if parts else ""


def _lines(table: TableOutcome) -> Iterator[str]:
    if table.problem:
        yield table.problem
    for finding in table.findings:
        yield finding.text + ("" if finding.contradicts else " (does not refute the proof)")
    if table.owed:
        yield f"{table.owed:,} keys are owed: PostgreSQL had not applied their last changes"
    if table.stale:
        yield f"{table.stale:,} rows of the quarantine are not in SQLite any more"
    for column, count in sorted(table.altered_columns.items()):
        yield f"{column}: {count:,} values are stored altered, as the configuration asks"
    for key in table.references:
        stands = {True: "valid", False: "not valid", None: "missing"}[key.valid]
        orphans = key.problem if key.orphans is None else f"{key.orphans:,} orphans"
        yield f"foreign key ({', '.join(key.columns)}) to {key.parent}: {stands}; {orphans}"
    if (sequence := table.sequence) is not None:
        ahead = "; the cutover will set it" if sequence.behind else ""
        yield (
            f"{sequence.name} gives {sequence.next_value} next; the greatest {sequence.column} is"
            f" {sequence.greatest_key}{ahead}"
        )


def _differences(table: TableOutcome) -> str:
    rows = []
    for each in table.examples:
        key = code(", ".join(each.key))
        if not each.columns:
            rows.append(f"<tr><td>{each.what}</td><td>{key}</td><td></td><td></td><td></td></tr>")
        rows += [
            f"<tr><td>{each.what}</td><td>{key}</td><td>{text(column.column)}</td>"
            f"<td>{code(_value(column.source, absent=each.what == 'extra'))}</td>"
            f"<td>{code(_value(column.target))}</td></tr>"
            for column in each.columns
        ]
    left = table.differences - len(table.examples)
    more = f"<p>and {left:,} more rows</p>" if left > 0 else ""
    header = "<th></th><th>key</th><th>column</th><th>SQLite</th><th>PostgreSQL</th>"
    return grid(header, "\n".join(rows)) + more


def _value(value: str | None, *, absent: bool = False) -> str | None:
    """A value as it is shown; None where there is no row that could have one."""
    return value if value is not None or absent else "NULL"
