"""The outcome of a proof as one page that needs nothing else, to be kept or printed."""

import getpass
import os
import shlex
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import NamedTemporaryFile

import apsw

from cdc import __version__
from cdc.cli.output import duration
from cdc.cli.verify_report import conclusion, word
from cdc.config import Config
from cdc.errors import ConfigError
from cdc.postgres.connection import Target
from cdc.proof.outcome import SourceOutcome, TableOutcome, Verdict
from cdc.redact import redact

NONE = "—"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who ran the proof, on what. `target` names no password, nor does `command`."""

    user: str
    host: str
    command: str
    configuration: str
    target: str
    postgres: str
    paths: dict[str, str]

    @classmethod
    def of(cls, config: Config, target: Target) -> "Circumstances":
        """Those of this very process. Raises TargetError."""
        with target.lease() as conn:
            postgres = conn.info.parameter_status("server_version") or "?"
        return cls(
            getpass.getuser(),
            socket.gethostname(),
            redact(shlex.join(["cdc", *sys.argv[1:]])),
            str(config.path.resolve()),
            target.description,
            postgres,
            {source.name: str(source.path) for source in config.sources},
        )


def check_place(path: Path) -> None:
    """Raise ConfigError where no page could be written in the end: a proof may take hours."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(
            f"--html {path}: no file can be written there.",
            hint="Name a file in a folder that exists and that you may write to.",
        )


def write_page(path: Path, page: str) -> None:
    """Write the page, whole or not at all. Raises ConfigError."""
    path = path.absolute()
    draft = None
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            draft = Path(file.name)
            file.write(page)
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        raise ConfigError(
            f"--html {path}: it could not be written ({error.strerror}).",
            hint="Make room, or name another file, and run cdc verify again.",
        ) from error


def as_html(verdict: Verdict, about: Circumstances, before: Verdict | None = None) -> str:
    """The page. `before` is what was found before a repair."""
    heading = "Converged" if verdict.converged else "NOT converged"
    body = [_source(source, about) for source in verdict.sources]
    if before is not None:
        body.append(f"<h2>Before the repair</h2><p>{_text(conclusion(before))}</p>")
        body += [_source(source, about) for source in before.sources]
    template = (files("cdc.cli") / "verify_page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=_text(f"cdc verify, {_utc(verdict.started_at)}: {heading}"),
        tone="yes" if verdict.converged else "no",
        heading=f"{heading}: SQLite and PostgreSQL",
        conclusion=_text(conclusion(verdict)),
        facts=_facts(verdict, about),
        body="\n".join(body),
    )


def _facts(verdict: Verdict, about: Circumstances) -> str:
    ended = verdict.started_at + timedelta(seconds=verdict.seconds)
    facts = {
        "Began": _utc(verdict.started_at),
        "Ended": f"{_utc(ended)}, after {duration(verdict.seconds)}",
        "Kind": _kind(verdict),
        "Target": about.target,
        "Guard": "every target table refuses other writers"
        if all(source.guarded and not source.problem for source in verdict.sources)
        else "NOT every target table is known to refuse other writers",
        "Run by": f"{about.user} on {about.host}",
        "Command": about.command,
        "Configuration": about.configuration,
        "Versions": f"cdc {__version__}, SQLite {apsw.sqlite_lib_version()},"
        f" PostgreSQL {about.postgres}",
    }
    return "\n".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in facts.items())


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
    path = _text(about.paths.get(source.name, ""))
    parts = [f'<h2>{_text(source.name)}</h2><p class="faint">{path}: {positions}</p>']
    if source.problem:
        parts.append(f'<p class="no">{_text(source.problem)}</p>')
    if source.tables:
        parts += [_table(f"<th>table</th>{header}", rows), _digests(source.tables)]
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
    return f'<tr><td>{_text(table.name)}</td>{cells}<td class="n {tone}">{word(table)}</td></tr>'


def _digests(tables: Iterable[TableOutcome]) -> str:
    rows = "\n".join(
        f"<tr><td>{_text(table.name)}</td><td>{_text(table.target or NONE)}</td>"
        f'<td class="n">{table.position:,}</td><td class="n">{table.ranges:,}</td>'
        f"<td>{_kept(table)}</td><td>{_code(table.source_digest)}</td>"
        f"<td>{_code(table.target_digest)}</td></tr>"
        for table in tables
    )
    return _table(
        '<th>table</th><th>target</th><th class="n">position</th><th class="n">ranges</th>'
        "<th>kept from earlier</th><th>digest of SQLite</th><th>digest of PostgreSQL</th>",
        rows,
    )


def _kept(table: TableOutcome) -> str:
    if not table.kept_ranges or table.kept_since is None:
        return NONE
    return (
        f"{table.kept_rows:,} rows in {table.kept_ranges:,} ranges, the oldest proven"
        f" {_utc(table.kept_since)}"
    )


def _details(table: TableOutcome) -> str:
    lines = list(_lines(table))
    parts = [f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"] if lines else []
    if table.examples:
        parts.append(_differences(table))
    return "\n".join([f"<h3>{_text(table.name)}</h3>", *parts]) if parts else ""


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
        key = _code(", ".join(each.key))
        if not each.columns:
            rows.append(f"<tr><td>{each.what}</td><td>{key}</td><td></td><td></td><td></td></tr>")
        rows += [
            f"<tr><td>{each.what}</td><td>{key}</td><td>{_text(column.column)}</td>"
            f"<td>{_code(_value(column.source, absent=each.what == 'extra'))}</td>"
            f"<td>{_code(_value(column.target))}</td></tr>"
            for column in each.columns
        ]
    left = table.differences - len(table.examples)
    more = f"<p>and {left:,} more rows</p>" if left > 0 else ""
    header = "<th></th><th>key</th><th>column</th><th>SQLite</th><th>PostgreSQL</th>"
    return _table(header, "\n".join(rows)) + more


def _table(header: str, rows: str) -> str:
    return (
        f'<div class="wide"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n'
        "</tbody></table></div>"
    )


def _value(value: str | None, *, absent: bool = False) -> str | None:
    """A value as it is shown; None where there is no row that could have one."""
    return value if value is not None or absent else "NULL"


def _code(value: str | None) -> str:
    return NONE if value is None else f"<code>{_text(value)}</code>"


def _text(value: str) -> str:
    r"""A text of anybody's, harmless and visible.

    >>> _text("<b>\x1b[1m" + chr(0x202E))
    '&lt;b&gt;\\x1b[1m\\u202e'
    """
    visible = "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in value
    )
    return escape(visible)


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
