"""Just enough of SQLite's grammar to take an index definition apart.

PRAGMA index_xinfo tells everything about an index except the text of its expressions and of its
WHERE clause; those are read off the CREATE INDEX statement that SQLite keeps.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<space>   \s+ | --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted>  '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<word>    [^\W\d][\w$]* )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL: `kind` is "quoted", "word" or "other"; `depth` counts open parentheses."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.upper() == word


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of `sql` without white space and comments.

    A parenthesis has the depth of what surrounds it.
    """
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "other"
        if kind == "space":
            continue
        text = match.group()
        if text == ")":
            depth -= 1
        yield Token(kind, text, match.start(), match.end(), depth)
        if text == "(":
            depth += 1


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """The texts of an index: one per term, without ASC or DESC, and its WHERE clause or None."""

    terms: tuple[str, ...]
    predicate: str | None


def index_definition(sql: str) -> IndexDefinition:
    """Take a CREATE INDEX statement apart.

    >>> index_definition("CREATE UNIQUE INDEX i ON t (lower(a) DESC, b) WHERE c > 0")
    IndexDefinition(terms=('lower(a)', 'b'), predicate='c > 0')
    """
    all_tokens = list(tokens(sql))
    opening = next(t for t in all_tokens if t.text == "(" and t.depth == 0)
    closing = next(t for t in all_tokens if t.text == ")" and t.depth == 0)
    inner = [t for t in all_tokens if opening.end <= t.start < closing.start]
    rest = [t for t in all_tokens if t.start > closing.start]
    predicate = sql[rest[0].end : rest[-1].end].strip() if rest else None
    return IndexDefinition(tuple(_term_texts(sql, inner)), predicate)


def _term_texts(sql: str, inner: list[Token]) -> Iterator[str]:
    term: list[Token] = []
    for token in [*inner, None]:
        if token is not None and not (token.text == "," and token.depth == 1):
            term.append(token)
            continue
        if term[-1].is_word("ASC") or term[-1].is_word("DESC"):
            term.pop()
        yield sql[term[0].start : term[-1].end]
        term = []
