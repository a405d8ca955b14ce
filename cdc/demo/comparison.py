"""Compares every row of both sides: `python -m cdc.demo.comparison DIRECTORY`.

It does so as a stranger would who trusts nobody: with Python's own `sqlite3`, with psycopg, and
without a line of the code that copied the rows. Nobody may write meanwhile. A value of PostgreSQL
says by its type what it was made of: a number with so many digits, or a moment in New York.

The exit code is 0 when all rows are equal, 1 when they are not.
"""

import argparse
import itertools
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import psycopg

from cdc.demo.environment import Environment
from cdc.demo.services.ledger import HOMES
from cdc.demo.services.postgres_desk import SESSION

SHOWN: Final = 5
"""So many differences of a table are named."""

_KEY: Final = 0
"""Every table of the legacy system has its key in its first column."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one table."""

    table: str
    rows: int
    differences: list[str]


def compare(directory: Path, database_url: str) -> Iterator[Outcome]:
    """Every table, row by row in the order of its key."""
    with psycopg.connect(database_url, options=SESSION) as postgres:
        for table, home in HOMES.items():
            with closing(sqlite3.connect(directory / home.file)) as file:
                yield _compare(table, file, postgres)


def _compare(table: str, file: sqlite3.Connection, postgres: psycopg.Connection) -> Outcome:
    columns = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
    query = f"SELECT {', '.join(columns)} FROM {table}"
    theirs = {row[_KEY]: row for row in postgres.execute(query.encode())}
    like = next(iter(theirs), None)
    rows, differences = 0, []
    for row in file.execute(query):
        rows += 1
        other = theirs.pop(as_in(like, row[_KEY]), None)
        if other is None:
            differences.append(f"{row[_KEY]} is missing in PostgreSQL")
            continue
        differences += [
            f"{row[_KEY]}: {column} is {ours!r} in SQLite and {value!r} in PostgreSQL"
            for column, ours, value in zip(columns, row, other, strict=True)
            if value != as_in(value, ours)
        ]
    differences += [f"{key} is missing in SQLite" for key in theirs]
    return Outcome(table, rows, differences)


def as_in(like: object, value: Any) -> Any:
    """A value of SQLite in the form of the value of PostgreSQL that it became.

    >>> as_in(Decimal("0.3733"), 0.37333333333333335), as_in(time(17), "17:00:00")
    (Decimal('0.3733'), datetime.time(17, 0))
    """
    match like:
        case _ if value is None:
            return None
        case Decimal():
            # repr() is the shortest decimal that gives the double.
            return Decimal(repr(value)).quantize(like, rounding=ROUND_HALF_UP)
        case datetime():
            moment = datetime.fromisoformat(value)
            # The hour that the clocks show twice is taken for its first pass.
            return moment if like.tzinfo is None else moment.replace(tzinfo=like.tzinfo, fold=0)
        case date():
            return date.fromisoformat(value)
        case time():
            return time.fromisoformat(value)
    return value


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cdc.demo.comparison", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the seven files are")
    directory = parser.parse_args(argv).directory
    equal = True
    for outcome in compare(directory, Environment.read(directory).database_url):
        verdict = "equal" if not outcome.differences else f"{len(outcome.differences)} DIFFERENCES"
        print(f"{outcome.table:<14} {outcome.rows:>7,} rows  {verdict}")
        for words in itertools.islice(outcome.differences, SHOWN):
            print(f"    {words}")
        equal = equal and not outcome.differences
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
