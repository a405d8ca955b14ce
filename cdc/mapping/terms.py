"""The terms of a translated expression: what each gives, and how SQLite and PostgreSQL treat it.

A column may be named wherever what the target holds says the same as what SQLite holds. What its
type cannot say is refused with the reason, at the place where it would be needed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NoReturn

from cdc.constraints import folded
from cdc.mapping.table import TargetColumn
from cdc.schema import Column

Kind = Literal["integer", "real", "numeric", "text", "blob", "date", "boolean", "null", "opaque"]
"""Opaque is what can be NULL or not, and nothing else is known of it here."""

NUMBERS: Final = ("integer", "real", "numeric")

_KINDS: Final[Mapping[str, Kind]] = {
    "bigint": "integer",
    "integer": "integer",
    "smallint": "integer",
    "double precision": "real",
    "real": "real",
    "numeric": "numeric",
    "text": "text",
    "varchar": "text",
    "bytea": "blob",
    "date": "date",
}
"""The target types that carry SQLite's values so that comparisons keep their sense."""

_LARGEST: Final = 2**53
"""Constants up to here are the same number as INTEGER, REAL and numeric."""

_NUMERIC_TEXT: Final = re.compile(r"\s*[+-]?(?:\d|\.\d)")
_DATE: Final = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])", re.ASCII)


class NotTranslatable(Exception):
    """The expression has no form in PostgreSQL that surely means the same; the text says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of a translated expression: its SQL, what it gives, and how SQLite compares it.

    `constant` is the value of a literal; `collation` begins with ! where a COLLATE said it.
    `numbers` says that SQLite would turn text beside it into a number where it looks like one.
    `computed` marks arithmetic, which is compared but not computed with, since an overflow has
    another meaning on each side. `truth` is the SQL of a boolean whose 0 and 1 the term is, `type`
    the target type of a column, and `reason` why what is opaque is so.
    """

    sql: str
    kind: Kind
    collation: str | None = None
    constant: int | float | str | bytes | None = None
    numbers: bool = False
    computed: bool = False
    truth: str = ""
    type: str = ""
    reason: str = ""


def column_terms(columns: Mapping[str, tuple[Column, TargetColumn]]) -> dict[str, Term]:
    """What an expression may say of each column, by its folded name in SQLite.

    `columns` are those of the target by the source's name.
    """
    return {folded(name): _column_term(*both) for name, both in columns.items()}


def new_value_term(source: Column, target: TargetColumn) -> Term:
    """What an expression may say of the value that a column gets in PostgreSQL, in a row trigger.

    It is PostgreSQL's own, whatever SQLite would hold; a number of a REAL column is a double.
    """
    term = _known_term(source, target, "NEW.")
    if source.affinity == "REAL" and term.kind in ("integer", "numeric") and not term.truth:
        return replace(term, sql=f"{term.sql}::double precision", kind="real")
    return term


def identifier(name: str) -> str:
    """A name as PostgreSQL takes it whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def string(value: str) -> str:
    """A text as a literal of PostgreSQL. Raises NotTranslatable for one that it cannot hold.

    >>> print(string("it's"))
    'it''s'
    """
    if "\0" in value:
        raise NotTranslatable("PostgreSQL's text has no zero byte")
    return "'" + value.replace("'", "''") + "'"


def refuse(reason: str) -> NoReturn:
    """Raise NotTranslatable."""
    raise NotTranslatable(reason)


def _column_term(source: Column, target: TargetColumn) -> Term:
    if target.type.options.instead:
        # Not even whether it is NULL is sure: that may be what is stored instead.
        reason = f"column {source.name} holds other values where SQLite's do not fit"
        return Term("", "opaque", reason=reason)
    return _known_term(source, target, "")


def _known_term(source: Column, target: TargetColumn, prefix: str) -> Term:
    name = prefix + identifier(target.name)
    type_ = target.type.name.partition("(")[0]
    opaque = Term(name, "opaque", type=type_)
    if type_ == "boolean":
        return _boolean_term(source, target, opaque)
    kind = _KINDS.get(type_)
    if kind is None or (kind in NUMBERS and source.affinity == "TEXT"):
        reason = f"column {source.name} becomes {target.type.name}, which compares in its own way"
        return replace(opaque, reason=reason)
    if source.own_collation not in ("BINARY", "NOCASE"):
        reason = f"column {source.name} has the collation {source.own_collation}"
        return replace(opaque, reason=reason)
    numbers = source.affinity in ("INTEGER", "REAL", "NUMERIC")
    return Term(name, kind, source.own_collation, numbers=numbers, type=type_)


def _boolean_term(source: Column, target: TargetColumn, opaque: Term) -> Term:
    """A boolean in SQLite's sense: a number that is 0 or 1."""
    options = target.type.options
    if source.affinity == "TEXT" or options.true or options.false:
        return replace(opaque, reason=f"column {source.name} has words for true and false")
    return Term(f"{opaque.sql}::integer", "integer", numbers=True, truth=opaque.sql, type="boolean")


def number(text: str) -> Term:
    """A literal number."""
    if text[:2].lower() == "0x":
        refuse("a hexadecimal number has no equal in PostgreSQL 15")
    if text.isdigit():
        if int(text) >= 2**63:
            refuse("a number beyond 64 bits is a REAL in SQLite")
        return Term(text, "integer", constant=int(text))
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return Term("'Infinity'::double precision", "real", constant=value)
    # Further digits would count beside a numeric, and say nothing of a REAL.
    return Term(repr(value), "real", constant=value)


def truth(term: Term) -> Term:
    """A term where SQLite asks whether it is true: any number but zero is."""
    if term.kind in ("boolean", "null"):
        return replace(term, sql="(NULL::boolean)") if term.kind == "null" else term
    if term.truth:
        return Term(term.truth, "boolean")
    if term.kind in NUMBERS:
        return Term(f"({term.sql} <> 0)", "boolean")
    if term.kind == "opaque":
        refuse(term.reason)
    refuse(f"a {term.kind} value stands where true or false is asked for")


def compare(one: Term, operator: str, other: Term) -> Term:
    """Two terms compared as SQLite does it."""
    for term in (one, other):
        if term.kind == "opaque":
            refuse(term.reason)
    if "null" in (one.kind, other.kind):
        refuse("a comparison with NULL is never true")
    if "boolean" in (one.kind, other.kind):
        refuse("the outcome of a comparison is used as a number")
    if one.kind in NUMBERS and other.kind in NUMBERS:
        _refuse_inexact(one, other)
        return _plainly(one, operator, other)
    if "date" in (one.kind, other.kind):
        one, other = _as_date(one), _as_date(other)
    if one.kind != other.kind:
        refuse(f"{one.kind} is compared with {other.kind}, which SQLite converts by affinity")
    if one.kind in ("blob", "date"):
        return Term(f"({one.sql} {operator} {other.sql})", "boolean")
    return _compare_texts(one, operator, other)


def _plainly(one: Term, operator: str, other: Term) -> Term:
    """Two numbers compared; what is 0 or 1 by itself where that is what is asked."""
    if one.truth and operator in ("=", "<>") and other.constant in (0, 1):
        wanted = (other.constant == 1) == (operator == "=")
        return Term(one.truth if wanted else f"(NOT {one.truth})", "boolean")
    return Term(f"({one.sql} {operator} {other.sql})", "boolean")


def _as_date(term: Term) -> Term:
    """A text that is a date in the one form that a column of dates takes: their order is one."""
    if term.kind == "text" and isinstance(term.constant, str) and _DATE.fullmatch(term.constant):
        return Term(f"DATE {term.sql}", "date", constant=term.constant)
    return term


def _compare_texts(one: Term, operator: str, other: Term) -> Term:
    for term, beside in ((one, other), (other, one)):
        if term.numbers and (
            not isinstance(beside.constant, str) or _NUMERIC_TEXT.match(beside.constant)
        ):
            refuse("SQLite would compare the text as a number where it looks like one")
    nocase = _collation(one, other) == "NOCASE"
    left, right = (
        f'lower({term.sql} COLLATE "C")' if nocase else f'{term.sql} COLLATE "C"'
        for term in (one, other)
    )
    return Term(f"({left} {operator} {right})", "boolean")


def _collation(one: Term, other: Term) -> str:
    """SQLite's rules: an explicit COLLATE first, the left one first, then a column's own."""
    own = [t.collation for t in (one, other) if t.collation]
    explicit = [name[1:] for name in own if name.startswith("!")]
    return (explicit or own or ["BINARY"])[0]


def _refuse_inexact(one: Term, other: Term) -> None:
    for term in (one, other):
        if isinstance(term.constant, int | float) and abs(term.constant) <= _LARGEST:
            return
    if one.kind != other.kind:
        refuse(f"{one.kind} and {other.kind} are compared exactly only in SQLite")
    if one.computed and other.computed:
        refuse("an overflow has another meaning on each side")
