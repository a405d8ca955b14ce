"""The plan as SQL: what `cdc plan --ddl` prints loads into an empty database as it stands."""

import sys
from collections.abc import Iterator

from cdc.plan.plan import Plan


def print_ddl(plan: Plan) -> None:
    """Print every statement to standard output, and as comments what none of them can say."""
    for line in _lines(plan):
        sys.stdout.write(line + "\n")


def _lines(plan: Plan) -> Iterator[str]:
    yield "-- What `cdc run` would make in PostgreSQL. It makes all of this by itself."
    for statement in plan.statements():
        yield f"\n{statement};"
    left_out = [
        f"{source.name}, {table.name}: {words}"
        for source in plan.sources
        for table in source.tables
        for words in table.left_out()
    ]
    if left_out:
        yield "\n-- Not carried over:"
    for words in left_out:
        # A line break in a text of SQLite's would end the comment.
        yield "-- " + " ".join(words.split())
