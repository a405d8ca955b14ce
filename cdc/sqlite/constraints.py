"""The constraints of a table: what the pragmas tell, and what only its DDL does.

CHECKs, generated columns and AUTOINCREMENT stand nowhere but in the CREATE TABLE statement that
SQLite keeps. CHECK, AS, GENERATED and AUTOINCREMENT are reserved there, so as bare words they are
what they look like.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from cdc.constraints import Check, Constraints, ForeignKey, Index, IndexTerm
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.ddl import Token, index_definition, tokens
from cdc.sqlite.names import is_own, unquote


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of the application: `sql` as SQLite keeps it."""

    name: str
    table: str
    sql: str


def constraints(file: SourceFile, name: str) -> Constraints:
    """The constraints of table `name`; for use within a read transaction."""
    sql = str(
        file.query("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,)).get
    )
    defaults = file.query(
        "SELECT name, dflt_value FROM pragma_table_xinfo(?) WHERE dflt_value IS NOT NULL", (name,)
    )
    body = _body(sql)
    return Constraints(
        indexes=tuple(_indexes(file, name)),
        foreign_keys=tuple(_foreign_keys(file, name, body)),
        checks=tuple(_checks(sql, body)),
        defaults=dict(defaults),
        generated=dict(_generated(sql, body)),
        autoincrement=any(token.is_word("AUTOINCREMENT") for token in body),
    )


def views(file: SourceFile) -> list[tuple[str, str]]:
    """The views of the file: (name, SQL)."""
    return list(file.query("SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name"))


def application_triggers(file: SourceFile) -> list[Trigger]:
    """The triggers of the application, by table and name; none of ours."""
    rows = file.query(
        "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'"
        " ORDER BY tbl_name, name"
    )
    return [Trigger(*row) for row in rows if not is_own(row[0])]


def _indexes(file: SourceFile, table: str) -> Iterator[Index]:
    rows = list(
        file.query(
            'SELECT l.name, l."unique", l.origin, s.sql'
            " FROM pragma_index_list(?) AS l"
            " LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name"
            " WHERE l.origin <> 'pk' ORDER BY l.name",
            (table,),
        )
    )
    for name, unique, origin, sql in rows:
        definition = index_definition(sql) if sql else None
        terms = tuple(
            IndexTerm(
                column if cid >= 0 else None,
                definition.terms[at] if cid < 0 and definition else None,
                collation,
                bool(descending),
            )
            for at, (cid, column, collation, descending) in enumerate(
                file.query(
                    'SELECT cid, name, upper(coll), "desc" FROM pragma_index_xinfo(?)'
                    " WHERE key = 1 ORDER BY seqno",
                    (name,),
                )
            )
        )
        predicate = definition.predicate if definition else None
        yield Index(name, terms, bool(unique), predicate, declared=origin == "c")


def _foreign_keys(file: SourceFile, table: str, body: list[Token]) -> Iterator[ForeignKey]:
    keys: dict[int, list[tuple[str, str, str | None, str, str]]] = {}
    for number, parent, own, referred, on_update, on_delete in file.query(
        'SELECT id, "table", "from", "to", on_update, on_delete'
        " FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq",
        (table,),
    ):
        keys.setdefault(number, []).append((parent, own, referred, on_update, on_delete))
    # SQLite numbers them from the last in the DDL to the first; so do we, backwards.
    deferred = list(_deferred(body))
    for at, columns in enumerate(keys.values()):
        parent, _, _, on_update, on_delete = columns[0]
        yield ForeignKey(
            tuple(own for _, own, *_ in columns),
            parent,
            tuple(referred for _, _, referred, *_ in columns if referred is not None),
            on_update,
            on_delete,
            deferred=at < len(deferred) and deferred[at],
        )


def _deferred(body: list[Token]) -> Iterator[bool]:
    """For each foreign key in the order of the DDL, whether it waits for the COMMIT."""
    starts = [at for at, token in enumerate(body) if token.is_word("REFERENCES")]
    for start, end in pairwise([*starts, len(body)]):
        words = [token.text.upper() for token in body[start:end] if token.depth == 1]
        yield any(
            words[at : at + 3] == ["DEFERRABLE", "INITIALLY", "DEFERRED"] and words[at - 1] != "NOT"
            for at in range(len(words))
        )


def _checks(sql: str, body: list[Token]) -> Iterator[Check]:
    for at, token in enumerate(body):
        if token.is_word("CHECK") and token.depth == 1:
            named = at >= 2 and body[at - 2].is_word("CONSTRAINT")
            yield Check(_inside(sql, body, at + 1), unquote(body[at - 1].text) if named else None)


def _generated(sql: str, body: list[Token]) -> Iterator[tuple[str, str]]:
    column: str | None = None
    for at, token in enumerate(body):
        if token.depth == 1 and (at == 0 or (body[at - 1].text == "," and body[at - 1].depth == 1)):
            column = unquote(token.text)
        if token.is_word("AS") and token.depth == 1 and column is not None:
            yield column, _inside(sql, body, at + 1)


def _body(sql: str) -> list[Token]:
    """The tokens between the outer parentheses of a CREATE TABLE statement."""
    everything = list(tokens(sql))
    opening = next(at for at, t in enumerate(everything) if t.text == "(" and t.depth == 0)
    closing = next(at for at, t in enumerate(everything) if t.text == ")" and t.depth == 0)
    return everything[opening + 1 : closing]


def _inside(sql: str, body: list[Token], opening: int) -> str:
    """The text in the parentheses that `body[opening]` opens."""
    first = body[opening]
    closing = next(t for t in body[opening + 1 :] if t.text == ")" and t.depth == first.depth)
    return sql[first.end : closing.start].strip()
