"""What the triggers ask of the application's own SQLite: little work, and nothing modern."""

import random

import pytest

from cdc.sqlite import introspect
from cdc.sqlite.ddl import tokens
from cdc.sqlite.triggers import render

from .conftest import NUMBERED, Story
from .shapes import SHAPES, Names, Shape, TableShape, names, quoted


def costs(story: Story, shape: Shape, called: Names) -> list[int]:
    """SQLite's instructions for an insert, an update and a delete of one row, in each table."""
    found = []
    for table in shape.tables:
        name = quoted(called[table.label])
        columns = ", ".join(quoted(called[c.label]) for c in table.writable)
        values = ", ".join(NUMBERED[c.values].format(5) for c in table.writable)
        column = quoted(called[table.writable[-1].label])
        where = condition(table, called)
        found += [
            story.instructions(f"INSERT INTO {name} ({columns}) VALUES ({values})"),
            story.instructions(f"UPDATE {name} SET {column} = {column} WHERE {where}"),
            story.instructions(f"DELETE FROM {name} WHERE {where}"),
        ]
    return found


def condition(table: TableShape, called: Names) -> str:
    """A condition on the new row, which SQLite finds without looking at others."""
    if (rowid := table.rowid(called)) is not None:
        return f"{rowid} = last_insert_rowid()"
    domains = {c.label: c.values for c in table.columns}
    return " AND ".join(
        f"{quoted(called[label])} = {NUMBERED[domains[label]].format(5)}" for label in table.key
    )


ROOMY = [shape for shape in SHAPES if "generated columns" not in shape.name]
"""All but those whose generated values are too few for many rows."""


@pytest.mark.parametrize("shape", ROOMY, ids=lambda shape: shape.name)
def test_the_cost_of_a_change_does_not_grow_with_the_table(story: Story, shape: Shape) -> None:
    """Every look-up of a trigger uses an index: ten times the rows, the same instructions."""
    called = names(shape, random.Random(1), hostile=False)
    for table in shape.tables:
        story.runs(*table.ddl(called))
    story.install()
    story.grow(shape, called, 60)
    few = costs(story, shape, called)
    story.grow(shape, called, 600)
    many = costs(story, shape, called)
    assert all(after <= before + 60 for before, after in zip(few, many, strict=True)), (few, many)


MODERN = ("ON", "WITH", "RETURNING", "OVER", "FILTER", "RIGHT", "FULL", "NULLS")
ALLOWED_BEFORE_A_PARENTHESIS = [
    "julianday",
    "typeof",
    "EXISTS",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "WHEN",
    "THEN",
    "KEY",
]


def test_the_triggers_use_nothing_that_an_old_sqlite_lacks(story: Story) -> None:
    """SQLite 3.8.2 runs them: no functions but julianday and typeof, no upsert, no common table
    expression, no row value.
    """
    plain = [s for s in SHAPES if not any("(" in i[1:] for t in s.tables for i in t.indexes)]
    assert len(plain) > 30
    for shape in plain:
        names = {label: label for label in shape.labels} | dict(shape.fixed_names)
        ddl = [sql for table in shape.tables for sql in table.ddl(names)]
        story.tries("DROP TABLE t", "DROP TABLE o")
        story.runs(*ddl)
        for table in story.tables():
            with story.opened() as file:
                sql = render(introspect.source_table(file, table), 1)
            for text in (*sql.triggers.values(), *sql.mirror):
                check_words(text)


def check_words(text: str) -> None:
    found = list(tokens(text))
    for before, token, after in zip(found, found[1:], found[2:], strict=False):
        if token.text == "(" and before.kind == "word":
            own = before.text.startswith("_cdc_")
            assert own or before.text in ALLOWED_BEFORE_A_PARENTHESIS, (before.text, text)
        if token.is_word("ON"):
            assert before.text.upper() in ("INSERT", "UPDATE", "DELETE") or "INDEX" in text
        else:
            assert token.kind != "word" or token.text not in MODERN
        # (a, b) = (c, d) is a row value; a condition in parentheses never meets a comparison.
        assert not (token.text in "=<>" and before.text == ")" and after.text == "(")
