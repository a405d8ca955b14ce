"""SQLite's expressions as PostgreSQL's, where the meaning is surely the same.

What is translated is a small language: comparisons of columns with constants and with columns of
the same kind, AND, OR, NOT, IS NULL, IN, BETWEEN, whole-number arithmetic that cannot overflow, and
a few functions of text. All else is refused with the reason: LIKE (SQLite ignores case), values of
different kinds (SQLite's affinities convert them), functions that differ. Nothing is guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NoReturn

from cdc.constraints import folded
from cdc.mapping.table import TargetColumn
from cdc.schema import Column

Kind = Literal["integer", "real", "numeric", "text", "blob", "boolean", "null"]

_KINDS: Final[Mapping[str, Kind]] = {
    "bigint": "integer",
    "double precision": "real",
    "numeric": "numeric",
    "text": "text",
    "bytea": "blob",
}
"""The target types that carry SQLite's values as they are, so that comparisons keep their sense."""

_LARGEST: Final = 2**53
"""Constants up to here are the same number as INTEGER, REAL and numeric."""

_TOKEN: Final = re.compile(
    r"""
      (?P<space>   \s+ | --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<blob>    [xX]'(?:[0-9A-Fa-f]{2})*' )
    | (?P<string>  '(?:[^']|'')*' )
    | (?P<quoted>  "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<number>  0[xX][0-9A-Fa-f]+ | (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)? )
    | (?P<word>    [^\W\d][\w$]* )
    | (?P<symbol>  \|\| | == | <> | != | <= | >= | << | >> | -> | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMERIC_TEXT: Final = re.compile(r"\s*[+-]?(?:\d|\.\d)")
_UNLIKE: Final = {
    "LIKE": "LIKE takes no notice of the case of ASCII letters in SQLite",
    "GLOB": "GLOB has no equal in PostgreSQL",
    "REGEXP": "REGEXP is a function of the application",
    "MATCH": "MATCH is a function of the application",
}
_MOMENTS: Final = ("CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME")


class NotTranslatable(Exception):
    """The expression has no form in PostgreSQL that surely means the same; the text says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of a translated expression: its SQL, what it gives, and how SQLite compares it.

    `constant` is the value of a literal; `collation` begins with ! where a COLLATE said it.
    `numbers` says that SQLite would turn text beside it into a number where it looks like one.
    `computed` marks arithmetic, which is compared but not computed with, since an overflow has
    another meaning on each side.
    """

    sql: str
    kind: Kind
    collation: str | None = None
    constant: int | float | str | bytes | None = None
    numbers: bool = False
    computed: bool = False


Columns = Mapping[str, Term]
"""The columns that an expression may name, by their folded names in SQLite."""


def column_terms(columns: Mapping[str, tuple[Column, TargetColumn]]) -> dict[str, Term | str]:
    """What an expression may say of each column, or the reason why it may not be named.

    `columns` are those of the target by the source's name.
    """
    return {folded(name): _column_term(*both) for name, both in columns.items()}


def condition(text: str, columns: Mapping[str, Term | str]) -> str:
    """A CHECK or the WHERE of an index as a boolean expression. Raises NotTranslatable."""
    return _truth(_Parser(text, columns).whole()).sql


def expression(text: str, columns: Mapping[str, Term | str]) -> Term:
    """Any expression as a value. Raises NotTranslatable."""
    return _Parser(text, columns).whole()


def string(value: str) -> str:
    """A text as a literal of PostgreSQL. Raises NotTranslatable for one that it cannot hold.

    >>> print(string("it's"))
    'it''s'
    """
    if "\0" in value:
        raise NotTranslatable("PostgreSQL's text has no zero byte")
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as PostgreSQL takes it whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _column_term(source: Column, target: TargetColumn) -> Term | str:
    kind = _KINDS.get(target.type.name)
    if kind is None or target.type.sql != target.type.name:
        return f"column {source.name} becomes {target.type.name}, which compares in its own way"
    if source.own_collation not in ("BINARY", "NOCASE"):
        return f"column {source.name} has the collation {source.own_collation}"
    numbers = source.affinity in ("INTEGER", "REAL", "NUMERIC")
    return Term(identifier(target.name), kind, source.own_collation, numbers=numbers)


def _refuse(reason: str) -> NoReturn:
    raise NotTranslatable(reason)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    """A recursive descent through SQLite's precedence, from OR down to a single value."""

    def __init__(self, text: str, columns: Mapping[str, Term | str]) -> None:
        self._columns = columns
        self._tokens = [
            _Token(match.lastgroup or "symbol", match.group())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        self._at = 0

    def whole(self) -> Term:
        term = self._or()
        if self._at < len(self._tokens):
            self._refuse_next()
        return term

    def _refuse_next(self) -> NoReturn:
        word = self._tokens[self._at].text if self._at < len(self._tokens) else "the end"
        _refuse(_UNLIKE.get(word.upper(), f"{word} has no surely equal form here"))

    def _next(self, *texts: str) -> bool:
        """Whether these tokens come next, in a row; then they are taken."""
        found = self._tokens[self._at : self._at + len(texts)]
        if len(found) < len(texts) or any(
            token.kind not in ("word", "symbol") or token.text.upper() != text
            for token, text in zip(found, texts, strict=True)
        ):
            return False
        self._at += len(texts)
        return True

    def _expect(self, text: str) -> None:
        if not self._next(text):
            _refuse(f"{text} is missing where it was expected")

    def _or(self) -> Term:
        term = self._and()
        while self._next("OR"):
            term = Term(f"({_truth(term).sql} OR {_truth(self._and()).sql})", "boolean")
        return term

    def _and(self) -> Term:
        term = self._not()
        while self._next("AND"):
            term = Term(f"({_truth(term).sql} AND {_truth(self._not()).sql})", "boolean")
        return term

    def _not(self) -> Term:
        if self._next("NOT"):
            return Term(f"(NOT {_truth(self._not()).sql})", "boolean")
        return self._equality()

    def _equality(self) -> Term:
        term = self._order()
        while True:
            negated = "NOT " if self._next("NOT") else ""
            if self._next("NULL") if negated else self._next("NOTNULL"):
                term = Term(f"({term.sql} IS NOT NULL)", "boolean")
            elif self._next("IN"):
                term = self._in(term, negated)
            elif self._next("BETWEEN"):
                term = self._between(term, negated)
            elif negated:
                self._refuse_next()
            elif self._next("ISNULL"):
                term = Term(f"({term.sql} IS NULL)", "boolean")
            elif self._next("IS"):
                term = self._is(term)
            elif self._next("=") or self._next("=="):
                term = _compare(term, "=", self._order())
            elif self._next("<>") or self._next("!="):
                term = _compare(term, "<>", self._order())
            else:
                return term

    def _is(self, term: Term) -> Term:
        negated = self._next("NOT")
        if self._next("DISTINCT", "FROM"):
            negated = not negated
        other = self._order()
        if other.kind == "null":
            return Term(f"({term.sql} IS {'NOT ' if negated else ''}NULL)", "boolean")
        distinct = "IS DISTINCT FROM" if negated else "IS NOT DISTINCT FROM"
        return _compare(term, distinct, other)

    def _in(self, term: Term, negated: str) -> Term:
        self._expect("(")
        if self._next(")"):
            _refuse("PostgreSQL has no empty list for IN")
        # The right side of IN has no affinity and no collation of its own.
        found = []
        while True:
            choice = replace(self._or(), collation=None)
            found.append(choice.sql if choice.kind == "null" else _compare(term, "=", choice).sql)
            if self._next(")"):
                break
            self._expect(",")
        if "NULL" in found:
            found[found.index("NULL") :] = ["(NULL::boolean)"]
        return Term(f"({negated}({' OR '.join(found)}))", "boolean")

    def _between(self, term: Term, negated: str) -> Term:
        low = self._order()
        self._expect("AND")
        high = self._order()
        both = f"{_compare(term, '>=', low).sql} AND {_compare(term, '<=', high).sql}"
        return Term(f"({negated}({both}))", "boolean")

    def _order(self) -> Term:
        term = self._sum()
        while operator := next((o for o in ("<=", ">=", "<", ">") if self._next(o)), None):
            term = _compare(term, operator, self._sum())
        return term

    def _sum(self) -> Term:
        term = self._product()
        while operator := next((o for o in ("+", "-") if self._next(o)), None):
            term = _compute(term, operator, self._product())
        return term

    def _product(self) -> Term:
        term = self._joined()
        while operator := next((o for o in ("*", "/", "%") if self._next(o)), None):
            term = _compute(term, operator, self._joined())
        return term

    def _joined(self) -> Term:
        term = self._collated()
        while self._next("||"):
            other = self._collated()
            if (term.kind, other.kind) != ("text", "text"):
                _refuse("|| joins what is not text")
            term = Term(f"({term.sql} || {other.sql})", "text")
        return term

    def _collated(self) -> Term:
        term = self._signed()
        while self._next("COLLATE"):
            name = self._take().text.strip("\"'`[]").upper()
            if name not in ("BINARY", "NOCASE"):
                _refuse(f"the collation {name} has no equal")
            term = replace(term, collation=f"!{name}")
        return term

    def _signed(self) -> Term:
        if self._next("-"):
            term = self._signed()
            if not isinstance(term.constant, int | float) or isinstance(term.constant, bool):
                _refuse("a minus stands before what is no number")
            return replace(term, sql=f"(-{term.sql})", constant=-term.constant)
        if self._next("+"):
            term = self._signed()
            return term if term.constant is not None else _refuse("a plus takes the affinity away")
        return self._value()

    def _value(self) -> Term:
        if self._next("("):
            term = self._or()
            if self._next(","):
                _refuse("rows of values are compared")
            self._expect(")")
            return term
        token = self._take()
        match token.kind:
            case "string":
                text = token.text[1:-1].replace("''", "'")
                return Term(string(text), "text", constant=text)
            case "blob":
                data = bytes.fromhex(token.text[2:-1])
                return Term(f"'\\x{data.hex()}'::bytea", "blob", constant=data)
            case "number":
                return _number(token.text)
            case "quoted":
                return self._quoted(token.text)
            case "word":
                return self._word(token.text)
        _refuse(f"{token.text} has no surely equal form")

    def _quoted(self, text: str) -> Term:
        name = text[1:-1] if text[0] == "[" else text[1:-1].replace(text[0] * 2, text[0])
        if folded(name) not in self._columns and text[0] == '"':
            # To SQLite, what stands in double quotes and is no column's name is a string.
            return Term(string(name), "text", constant=name)
        return self._column(name)

    def _word(self, word: str) -> Term:
        if self._next("("):
            return self._call(word.lower())
        match word.upper():
            case "NULL":
                return Term("NULL", "null")
            case "TRUE" | "FALSE" if folded(word) not in self._columns:
                number = int(word.upper() == "TRUE")
                return Term(str(number), "integer", constant=number)
            case moment if moment in _MOMENTS:
                _refuse(f"{moment} is text in SQLite")
            case "CASE" | "CAST" | "EXISTS" | "SELECT" | "RAISE":
                _refuse(f"{word.upper()} has no surely equal form")
        return self._column(word)

    def _column(self, name: str) -> Term:
        term = self._columns.get(folded(name)) or f"{name} is no column of the target"
        return term if isinstance(term, Term) else _refuse(term)

    def _call(self, function: str) -> Term:
        arguments: list[Term] = []
        while not self._next(")"):
            if arguments:
                self._expect(",")
            if self._next("*"):
                _refuse(f"{function}(*) has no surely equal form")
            arguments.append(self._or())
        kinds = [argument.kind for argument in arguments]
        match function, kinds:
            case "length", ["text" | "blob"]:
                return Term(f"length({arguments[0].sql})::bigint", "integer")
            case "lower" | "upper", ["text"]:
                # SQLite changes ASCII letters only, and so does PostgreSQL under "C".
                return Term(f'{function}({arguments[0].sql} COLLATE "C")', "text")
            case "trim" | "ltrim" | "rtrim", ["text"]:
                name = "btrim" if function == "trim" else function
                return Term(f"{name}({arguments[0].sql}, ' ')", "text")
            case "abs", ["integer" | "real"]:
                return Term(f"abs({arguments[0].sql})", arguments[0].kind)
            case "coalesce" | "ifnull", [first, *rest] if rest and all(k == first for k in rest):
                return Term(f"coalesce({', '.join(a.sql for a in arguments)})", first)
        _refuse(f"{function}() of {', '.join(kinds) or 'nothing'} has no surely equal form")

    def _take(self) -> _Token:
        if self._at >= len(self._tokens):
            _refuse("the expression ends too early")
        self._at += 1
        return self._tokens[self._at - 1]


def _number(text: str) -> Term:
    if text[:2].lower() == "0x":
        _refuse("a hexadecimal number has no equal in PostgreSQL 15")
    if text.isdigit():
        if int(text) >= 2**63:
            _refuse("a number beyond 64 bits is a REAL in SQLite")
        return Term(text, "integer", constant=int(text))
    return Term(text, "real", constant=float(text))


def _truth(term: Term) -> Term:
    """A term where SQLite asks whether it is true: any number but zero is."""
    if term.kind in ("boolean", "null"):
        return replace(term, sql="(NULL::boolean)") if term.kind == "null" else term
    if term.kind in ("integer", "real", "numeric"):
        return Term(f"({term.sql} <> 0)", "boolean")
    _refuse(f"a {term.kind} value stands where true or false is asked for")


def _compare(one: Term, operator: str, other: Term) -> Term:
    if "null" in (one.kind, other.kind):
        _refuse("a comparison with NULL is never true")
    if "boolean" in (one.kind, other.kind):
        _refuse("the outcome of a comparison is used as a number")
    if {one.kind, other.kind} <= {"integer", "real", "numeric"}:
        _refuse_inexact(one, other)
        return Term(f"({one.sql} {operator} {other.sql})", "boolean")
    if one.kind != other.kind:
        _refuse(f"{one.kind} is compared with {other.kind}, which SQLite converts by affinity")
    if one.kind == "blob":
        return Term(f"({one.sql} {operator} {other.sql})", "boolean")
    for term, beside in ((one, other), (other, one)):
        if term.numbers and (
            not isinstance(beside.constant, str) or _NUMERIC_TEXT.match(beside.constant)
        ):
            _refuse("SQLite would compare the text as a number where it looks like one")
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
        _refuse(f"{one.kind} and {other.kind} are compared exactly only in SQLite")
    if one.computed and other.computed:
        _refuse("an overflow has another meaning on each side")


def _compute(one: Term, operator: str, other: Term) -> Term:
    if (one.kind, other.kind) != ("integer", "integer"):
        _refuse(f"arithmetic on {one.kind} and {other.kind} rounds or overflows in its own way")
    if one.computed or other.computed:
        _refuse("an overflow has another meaning on each side")
    if operator in "/%":
        if not isinstance(other.constant, int) or other.constant <= 0:
            _refuse("a division by zero is NULL in SQLite and an error in PostgreSQL")
        return Term(f"({one.sql} {operator} {other.sql})", "integer")
    # As numeric it cannot overflow; SQLite goes over to REAL, beyond any whole number of its own.
    return Term(f"({one.sql}::numeric {operator} {other.sql}::numeric)", "integer", computed=True)
