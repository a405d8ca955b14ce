"""The key of a row as a person writes it on the command line: one word for each column of it."""

import re
from collections.abc import Sequence
from typing import Final

from cdc.errors import ConfigError
from cdc.proof.literals import parse_literal
from cdc.schema import Column, Key, Table, Value

_NUMBER: Final = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_QUOTED: Final = re.compile(r"(?:[xX]?'|CAST\()")
_LARGEST: Final = 2**63


def parse_key(table: Table, words: Sequence[str]) -> Key:
    """The key that the words stand for, each as its column would store it.

    A word in quotes is read as SQL has it ('7' is a text, x'37' a blob). Raises ConfigError.
    """
    columns = table.key_columns
    if len(words) != len(columns):
        names = ", ".join(column.name for column in columns)
        raise ConfigError(
            f"The key of table {table.name} is ({names}): it takes {_count(len(columns))}, and"
            f" {_count(len(words))} {'was' if len(words) == 1 else 'were'} given.",
            hint="Give the values in this order, each as a word of its own.",
        )
    return tuple(_value(table, column, word) for column, word in zip(columns, words, strict=True))


def _count(values: int) -> str:
    return f"{values} value" if values == 1 else f"{values} values"


def _value(table: Table, column: Column, word: str) -> Value:
    if _QUOTED.match(word):
        try:
            return parse_literal(word)
        except ValueError:
            raise ConfigError(
                f"{word} is not a whole literal of SQL.",
                hint="A text in quotes is written 'like this', one with a quote in it 'it''s', and"
                " a blob x'00ff'.",
            ) from None
    if table.integer_key and not re.fullmatch(r"\s*[+-]?[0-9]+\s*", word):
        raise ConfigError(
            f"{word!r} is no integer; the key of table {table.name} is the integer {column.name}."
        )
    return stored(column, word)


def stored(column: Column, word: str) -> Value:
    """What SQLite stores where it is given a text for this column.

    A column without a type would keep the text; a number is taken to be meant as one.

    >>> [stored(Column("c", a, a), "7.0") for a in ("INTEGER", "REAL", "TEXT", "BLOB")]
    [7, 7.0, '7.0', 7.0]
    """
    if column.affinity == "TEXT" or not _NUMBER.fullmatch(word):
        return word
    if re.fullmatch(r"\s*[+-]?[0-9]+\s*", word) and -_LARGEST <= int(word) < _LARGEST:
        return float(word) if column.affinity == "REAL" else int(word)
    number = float(word)
    if column.affinity in {"INTEGER", "NUMERIC"} and abs(number) < 2**53 and number.is_integer():
        return int(number)
    return number
