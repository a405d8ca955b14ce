"""A service knows which of its rows was lost, came twice, or came back."""

import sqlite3
from contextlib import closing

import pytest

from cdc.demo.services.ledger import Ledger, Receipts


@pytest.fixture
def file():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE positions (ticker TEXT, position INTEGER)")
        yield connection


def checked(ledger, file):
    ledger.check("positions", file)
    return ledger.count.lost, ledger.count.doubled


def acknowledged(*receipts):
    ledger = Ledger()
    for receipt in receipts:
        ledger.acknowledge(receipt.rows)
    return ledger


def wrote(ticker, position):
    receipts = Receipts()
    receipts.wrote("positions", ticker, position=position)
    return receipts


def deleted(ticker):
    receipts = Receipts()
    receipts.deleted("positions", ticker)
    return receipts


def sent(ticker):
    receipts = Receipts()
    receipts.sent("positions", ticker)
    return receipts


@pytest.mark.parametrize(
    ("receipts", "rows", "found"),
    [
        ([wrote("a", 1)], [("a", 1)], (0, 0)),
        ([wrote("a", 1), wrote("a", 2)], [("a", 2)], (0, 0)),
        ([wrote("a", 1), wrote("a", 2)], [("a", 1)], (1, 0)),
        ([wrote("a", 1)], [], (1, 0)),
        ([wrote("a", 1)], [("a", 1), ("a", 1)], (0, 1)),
        ([wrote("a", 1), deleted("a")], [], (0, 0)),
        ([wrote("a", 1), deleted("a")], [("a", 1)], (1, 0)),
        ([wrote("a", 1), deleted("a"), sent("a")], [("a", 9)], (0, 0)),
        # What was sent again and ignored leaves the row as it was.
        ([wrote("a", 1), sent("a")], [("a", 1)], (0, 0)),
        ([wrote("a", 1), sent("a")], [("a", 2)], (1, 0)),
        ([sent("a")], [], (1, 0)),
    ],
)
def test_the_last_acknowledged_write_is_what_must_be_there(file, receipts, rows, found):
    file.executemany("INSERT INTO positions VALUES (?, ?)", rows)
    ledger = acknowledged(*receipts)
    assert checked(ledger, file) == found
    assert ledger.count.checked == 1


def test_a_row_whose_commit_was_never_answered_may_be_as_it_likes(file):
    ledger = acknowledged(wrote("a", 1))
    ledger.doubt(wrote("a", 2).rows)
    assert ledger.tables == []
