"""SQLite's expressions as PostgreSQL's, where the meaning is surely the same.

What is translated is a small language: comparisons of columns with constants and with columns of
the same kind, AND, OR, NOT, IS NULL, IN, BETWEEN, whole-number arithmetic that cannot overflow, and
a few functions of text. All else is refused with the reason: LIKE (SQLite ignores case), values of
different kinds (SQLite's affinities convert them), functions that differ. Nothing is guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from cdc.constraints import folded
from cdc.mapping.arithmetic import Compute, compute
from cdc.mapping.functions import call
from cdc.mapping.terms import NotTranslatable, Term, compare, number, refuse, string, truth

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
_UNLIKE: Final = {
    "LIKE": "LIKE takes no notice of the case of ASCII letters in SQLite",
    "GLOB": "GLOB has no equal in PostgreSQL",
    "REGEXP": "REGEXP is a function of the application",
    "MATCH": "MATCH is a function of the application",
}
_MOMENTS: Final = ("CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME")


def condition(text: str, columns: Mapping[str, Term]) -> str:
    """A CHECK or the WHERE of an index as a boolean expression. Raises NotTranslatable."""
    return truth(_Parser(text, columns).whole()).sql


def expression(text: str, columns: Mapping[str, Term], compute: Compute = compute) -> Term:
    """Any expression as a value. Raises NotTranslatable."""
    return _Parser(text, columns, compute).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    """A recursive descent through SQLite's precedence, from OR down to a single value."""

    def __init__(self, text: str, columns: Mapping[str, Term], compute: Compute = compute) -> None:
        self._compute = compute
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
        refuse(_UNLIKE.get(word.upper(), f"{word} has no surely equal form here"))

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
            refuse(f"{text} is missing where it was expected")

    def _or(self) -> Term:
        term = self._and()
        while self._next("OR"):
            term = Term(f"({truth(term).sql} OR {truth(self._and()).sql})", "boolean")
        return term

    def _and(self) -> Term:
        term = self._not()
        while self._next("AND"):
            term = Term(f"({truth(term).sql} AND {truth(self._not()).sql})", "boolean")
        return term

    def _not(self) -> Term:
        if self._next("NOT"):
            return Term(f"(NOT {truth(self._not()).sql})", "boolean")
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
                term = compare(term, "=", self._order())
            elif self._next("<>") or self._next("!="):
                term = compare(term, "<>", self._order())
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
        return compare(term, distinct, other)

    def _in(self, term: Term, negated: str) -> Term:
        self._expect("(")
        if self._next(")"):
            refuse("PostgreSQL has no empty list for IN")
        # The right side of IN has no affinity and no collation of its own.
        found = []
        while True:
            choice = replace(self._or(), collation=None)
            found.append(choice.sql if choice.kind == "null" else compare(term, "=", choice).sql)
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
        both = f"{compare(term, '>=', low).sql} AND {compare(term, '<=', high).sql}"
        return Term(f"({negated}({both}))", "boolean")

    def _order(self) -> Term:
        term = self._sum()
        while operator := next((o for o in ("<=", ">=", "<", ">") if self._next(o)), None):
            term = compare(term, operator, self._sum())
        return term

    def _sum(self) -> Term:
        term = self._product()
        while operator := next((o for o in ("+", "-") if self._next(o)), None):
            term = self._compute(term, operator, self._product())
        return term

    def _product(self) -> Term:
        term = self._joined()
        while operator := next((o for o in ("*", "/", "%") if self._next(o)), None):
            term = self._compute(term, operator, self._joined())
        return term

    def _joined(self) -> Term:
        term = self._collated()
        while self._next("||"):
            other = self._collated()
            if (term.kind, other.kind) != ("text", "text"):
                refuse("|| joins what is not text")
            term = Term(f"({term.sql} || {other.sql})", "text")
        return term

    def _collated(self) -> Term:
        term = self._signed()
        while self._next("COLLATE"):
            name = self._take().text.strip("\"'`[]").upper()
            if name not in ("BINARY", "NOCASE"):
                refuse(f"the collation {name} has no equal")
            term = replace(term, collation=f"!{name}")
        return term

    def _signed(self) -> Term:
        if self._next("-"):
            term = self._signed()
            if not isinstance(term.constant, int | float) or isinstance(term.constant, bool):
                refuse("a minus stands before what is no number")
            return replace(term, sql=f"(-{term.sql})", constant=-term.constant)
        if self._next("+"):
            term = self._signed()
            return term if term.constant is not None else refuse("a plus takes the affinity away")
        return self._value()

    def _value(self) -> Term:
        if self._next("("):
            term = self._or()
            if self._next(","):
                refuse("rows of values are compared")
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
                return number(token.text)
            case "quoted":
                return self._quoted(token.text)
            case "word":
                return self._word(token.text)
        raise NotTranslatable(f"{token.text} has no surely equal form")

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
                refuse(f"{moment} is text in SQLite")
            case "CASE" | "CAST" | "EXISTS" | "SELECT" | "RAISE":
                refuse(f"{word.upper()} has no surely equal form")
        return self._column(word)

    def _column(self, name: str) -> Term:
        term = self._columns.get(folded(name))
        if term is None:
            refuse(f"{name} is no column of the target")
        return term if term.sql else refuse(term.reason)

    def _call(self, function: str) -> Term:
        arguments: list[Term] = []
        while not self._next(")"):
            if arguments:
                self._expect(",")
            if self._next("*"):
                refuse(f"{function}(*) has no surely equal form")
            arguments.append(self._or())
        return call(function, arguments)

    def _take(self) -> _Token:
        if self._at >= len(self._tokens):
            refuse("the expression ends too early")
        self._at += 1
        return self._tokens[self._at - 1]
