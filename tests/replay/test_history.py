"""`cdc history`: every recorded state of one row."""

import json
import subprocess
import sys

import pytest

LEGACY = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement)
"""


def legacy(ledger, *statements, name="shop.db"):
    """What an application does, by Python's own sqlite3 in a process of its own."""
    arguments = [sys.executable, "-c", LEGACY, str(ledger.file(name)), *statements]
    subprocess.run(arguments, check=True, timeout=30)


@pytest.fixture
def positions(ledger):
    """A table whose rows REPLACE evicts, and one with a composite key."""
    legacy(
        ledger,
        "CREATE TABLE positions (id INTEGER PRIMARY KEY, ticker TEXT UNIQUE, size REAL)",
        "CREATE TABLE pairs (a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "INSERT INTO positions VALUES (1, 'OLD', 1.0), (2, 'STILL', 2.0)",
    )
    ledger.capture()
    return ledger


def states(run, *words):
    code, out, _ = run("history", *words, "--json")
    assert code == 0
    return json.loads(out)


def test_every_state_of_a_row(positions, run):
    """Inserts, updates, deletes and what comes back, each with what changed."""
    legacy(
        positions,
        "INSERT INTO positions VALUES (5, 'A', 1.5)",
        "UPDATE positions SET size = 2.5 WHERE id = 5",
        "UPDATE positions SET size = 2.5 WHERE id = 5",
        "INSERT OR REPLACE INTO positions VALUES (6, 'A', 9)",  # evicts 5
        "DELETE FROM positions WHERE id = 6",
        "INSERT INTO positions VALUES (5, 'B', 0)",
        "INSERT OR REPLACE INTO positions VALUES (5, 'C', 0)",
        "UPDATE positions SET id = 7 WHERE id = 5",
    )
    found = states(run, "POSITIONS", "5")
    assert (found["source"], found["table"], found["key"]) == ("shop", "positions", {"id": 5})
    assert [(s["op"], s["row"] and s["row"]["ticker"], s["changed"]) for s in found["states"]] == [
        ("insert", "A", None),
        ("update", "A", ["size"]),
        ("update", "A", []),
        ("evict", None, None),
        ("insert", "B", None),
        ("insert", "C", ["ticker"]),
        ("rekey", None, None),
    ]
    assert found["present"] is None
    assert states(run, "positions", "7")["present"] == {"id": 7, "ticker": "C", "size": 0.0}


def test_it_reads_without_colour(positions, run):
    """An asterisk and both values mark what changed; times are local and UTC."""
    legacy(
        positions,
        "INSERT INTO positions VALUES (5, 'A', 1.5)",
        "UPDATE positions SET size = 2.5 WHERE id = 5",
        "DELETE FROM positions WHERE id = 5",
    )
    code, out, err = run("history", "positions", "5")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["positions", "id", "=", "5", "(source", "shop)"]
    assert lines[-2][-5:] == ["*", "size", "1.5", "→", "2.5"]
    assert lines[-1][-3:] == ["delete", "no", "row"]
    assert not any("ticker" in line for line in lines[5:])
    assert "are kept from 1" in err
    whole = run("history", "positions", "5", "--whole")[1]
    assert whole.count("ticker") == 2


def test_a_composite_key_takes_a_word_for_each_column(positions, run):
    """In the order of the key; values are read as the columns store them."""
    legacy(
        positions,
        "INSERT INTO pairs VALUES ('p', 7, x'00ff')",
        "INSERT INTO pairs VALUES ('7', 7, 1)",
        "UPDATE pairs SET v = 2 WHERE b = 7",
    )
    found = states(run, "pairs", "p", "7")
    assert [state["row"]["v"] for state in found["states"]] == [{"b": "AP8="}, 2]
    assert found["states"][1]["changed"] == ["v"]
    assert states(run, "pairs", "'7'", "7.0")["states"][0]["row"]["v"] == 1
    assert run("history", "pairs", "--", "p", "-7")[0] == 1


def test_a_row_that_has_not_changed_is_shown_as_it_is(positions, run):
    """What lies before the beginning of the log is said, and not guessed at."""
    code, _, err = run("history", "positions", "2")
    assert code == 0
    assert "has not changed" in err
    assert "'STILL'" in err
    assert states(run, "positions", "2")["states"] == []
    legacy(positions, "UPDATE positions SET size = 3 WHERE id = 2")
    found = states(run, "positions", "2")
    assert [(s["op"], s["changed"]) for s in found["states"]] == [("update", None)]
    assert found["log_begins"]["seq"] == 1


def test_a_row_that_never_was(positions, run):
    """Exit code 1: nobody has heard of it."""
    code, _, err = run("history", "positions", "77")
    assert code == 1
    assert "no such row" in err


def test_renamed_columns_and_a_new_capture(positions, run):
    """States before a change of the schema are told in today's names; a new capture is marked."""
    legacy(
        positions,
        "INSERT INTO positions VALUES (5, 'A', 1.5)",
        "ALTER TABLE positions RENAME COLUMN size TO amount",
        "ALTER TABLE positions ADD COLUMN note TEXT",
    )
    positions.capture()
    legacy(positions, "UPDATE positions SET amount = 3 WHERE id = 5")
    before, after = states(run, "positions", "5")["states"]
    assert (before["row"], before["anew"]) == ({"id": 5, "ticker": "A", "amount": 1.5}, False)
    assert (after["changed"], after["anew"]) == (["amount", "note"], True)
    out = run("history", "positions", "5")[1]
    assert "the capture began anew here" in out
    assert "no such column → NULL" in out


def test_a_change_that_no_trigger_saw_is_noticed(positions, run):
    """Where the file holds a row that the last event says is gone, there was a gap."""
    legacy(
        positions,
        "INSERT INTO positions VALUES (5, 'A', 1.5)",
        "DELETE FROM positions WHERE id = 5",
    )
    with positions.connection() as db:
        for (name,) in list(db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
            db.execute(f'DROP TRIGGER "{name}"')
    legacy(positions, "INSERT INTO positions VALUES (5, 'A', 1.5)")
    assert "the capture had a gap" in run("history", "positions", "5")[2]


def test_one_table_in_two_files_needs_the_source(positions, run):
    """Which row is meant is never guessed."""
    positions.sqlite("CREATE TABLE positions (id INTEGER PRIMARY KEY)", name="more.db")
    positions.capture("more.db")
    positions.configure("shop.db", "more.db")
    legacy(positions, "INSERT INTO positions VALUES (5)", name="more.db")
    code, _, err = run("history", "positions", "5")
    assert code == 2
    assert "More than one source has a table 'positions': shop, more" in err
    assert states(run, "positions", "5", "--source", "more")["source"] == "more"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope", "1"), "No event tells of a table 'nope'"),
        (("pairs", "p"), "the key of table pairs is (a, b)"),
        (("positions", "five"), "'five' is no integer"),
        (("pairs", "x'0", "1"), "no whole literal"),
        (("pairs", "'open", "1"), "not a whole literal"),
    ],
)
def test_what_does_not_parse_is_refused(positions, run, words, said):
    """With exit code 2, and a word on how to write it."""
    code, out, err = run("history", *words)
    assert (code, out) == (2, "")
    assert said.lower().replace("no whole", "not a whole") in err.lower()
