"""`cdc events`: the recorded events as JSON lines, whole, exact and in order."""

import errno
import json
import logging
import math
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cdc.mapping.codec import same
from cdc.replay.feed import Feed, follow
from cdc.replay.reader import READ_EVENTS, EventReader
from cdc.replay.selection import Selection
from cdc.schema import UndecodableText
from cdc.sqlite import wakeup
from cdc.sqlite.wakeup import Watch
from cdc.stop import Alarm, Stop
from tests.replay.conftest import LOCK_BOUND, NOWHERE, Ledger, row_of
from tests.support.command import ROOT
from tests.support.waiting import wait_until

STAFF = "CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT UNIQUE, pay REAL, any)"


@pytest.fixture
def staff(ledger):
    """One captured table."""
    ledger.sqlite(STAFF)
    ledger.capture()
    return ledger


@pytest.fixture(scope="module")
def stormy_bytes(tmp_path_factory):
    """A file that was captured while it was empty, when an application had written for a while."""
    ledger = Ledger(tmp_path_factory.mktemp("storm"), NOWHERE, None)
    ledger.storm("--pause", 1000).stop()  # it has made its tables, and no more
    ledger.capture()
    storm = ledger.storm("--keys", 60, "--pause", 0)
    wait_until(lambda: ledger.sqlite("SELECT count(*) > 150 FROM journal")[0][0])
    storm.stop()
    return ledger.file().read_bytes()


@pytest.fixture
def stormy(ledger, stormy_bytes):
    """The events of an application that wrote all it could think of."""
    ledger.file().write_bytes(stormy_bytes)
    return ledger


def rows(ledger, table):
    """The rows of a table, each by the names of its columns."""
    with ledger.connection() as db:
        cursor = db.execute(f"SELECT * FROM {table}")
        names = [name for name, *_ in db.execute(f"SELECT name FROM pragma_table_info('{table}')")]
        return [dict(zip(names, row, strict=True)) for row in cursor]


TABLES = {"journal": ["n"], "accounts": ["id"], "positions": ["id"], "pairs": ["a", "b"]}


def test_the_events_are_what_happened(stormy):
    """Applied one after the other from an empty file on, they give every row of every table."""
    state: dict[str, dict[str, dict]] = {}
    lines = stormy.lines()
    for line in lines:
        key = json.dumps(line["key"])
        table = state.setdefault(line["table"], {})
        if line["row"] is None:
            table.pop(key)  # a row goes only where there was one
        else:
            table[key] = row_of(line["row"])
    assert [line["seq"] for line in lines] == [*range(1, len(lines) + 1)]
    assert {line["op"] for line in lines} == {"insert", "update", "delete", "evict", "rekey"}
    for table, key in TABLES.items():
        expected = {json.dumps({k: row[k] for k in key}): row for row in rows(stormy, table)}
        assert state[table] == expected


VALUES = [
    None, 0, -1, 2**63 - 1, -(2**63), 0.1, 1.0, -0.0, 1e16, 5e-324, 1.7976931348623157e308,
    math.inf, -math.inf, "", 'é\n"\\', "a\0b", "7", b"", b"\x00\xff", UndecodableText(b"f\xff"),
]  # fmt: skip


def test_every_value_is_exact(staff):
    """Each storage class, bit for bit, read back from the printed line by any JSON parser."""
    for number, value in enumerate(VALUES):
        mark = "CAST(? AS TEXT)" if isinstance(value, UndecodableText) else "?"
        staff.sqlite(f"INSERT INTO staff (id, any) VALUES (?, {mark})", (number, value))
    found = [row_of(line["row"])["any"] for line in staff.lines()]
    assert [type(value) for value in found] == [type(value) for value in VALUES]
    assert all(same(a, b) for a, b in zip(found, VALUES, strict=True))


def test_an_undecodable_text_of_utf_16_keeps_its_bytes(ledger):
    """A lone surrogate in a UTF-16 file has no form in UTF-8."""
    with ledger.connection() as db:
        db.execute("PRAGMA encoding = 'UTF-16le'")
        db.execute(STAFF)
    ledger.capture()
    ledger.sqlite("INSERT INTO staff VALUES (1, 'ö', 1, CAST(x'00d8' AS TEXT))")
    [line] = ledger.lines()
    row = row_of(line["row"])
    assert row["name"] == "ö"
    assert row["any"] == UndecodableText(b"\x00\xd8") or row["any"] == "\ufffd"


def test_a_range_of_events_and_of_times(stormy):
    """Both ends belong to it, and what is left out is left out of nothing else."""
    every = stormy.lines()
    first, last = every[len(every) // 3]["seq"], every[len(every) // 2]["seq"]
    between = stormy.lines(first=first, last=last)
    assert between == [line for line in every if first <= line["seq"] <= last]
    since, until = (datetime.fromisoformat(every[i]["at"]) for i in (40, 80))
    assert since.tzinfo is not None
    found = stormy.lines(since=since, until=until)
    assert found == [line for line in every if since <= datetime.fromisoformat(line["at"]) <= until]
    assert 0 < len(found) < len(every)
    assert stormy.lines(since=datetime.now(UTC) + timedelta(days=1)) == []


def test_one_table_and_one_key(stormy):
    """Names fold as SQLite folds them; a key is compared as it is stored."""
    every = stormy.lines()
    assert stormy.lines(table="PAIRS") == [line for line in every if line["table"] == "pairs"]
    key = next(line["key"] for line in reversed(every) if line["table"] == "pairs")
    found = stormy.lines(table="pairs", key=(key["a"], str(key["b"])))
    assert found == [line for line in every if line["table"] == "pairs" and line["key"] == key]
    assert found


def test_debezium_tells_what_was_before(stormy):
    """`before` is the `after` of the key's previous event, wherever the printing begins."""
    envelopes = stormy.lines(form="debezium")
    last: dict[str, dict | None] = {}
    plain = stormy.lines()
    for envelope, line in zip(envelopes, plain, strict=True):
        key = json.dumps([line["table"], line["key"]])
        before = last.get(key)
        if before is not None:
            assert envelope["before"] == before
        elif envelope["op"] == "d":
            assert {k: envelope["before"][k] for k in line["key"]} == line["key"]
        else:
            assert envelope["before"] is None
        assert (envelope["after"] is None) == (line["row"] is None) == (envelope["op"] == "d")
        if line["op"] == "insert":
            assert envelope["op"] == ("c" if before is None else "u")
        assert envelope["source"]["seq"] == line["seq"]
        assert envelope["source"]["table"] == line["table"]
        last[key] = envelope["after"]
    assert {envelope["op"] for envelope in envelopes} == {"c", "u", "d"}
    at = random.Random(1).choice(plain[50:])["seq"]
    assert _timeless(stormy.lines(form="debezium", first=at)) == _timeless(
        [e for e in envelopes if e["source"]["seq"] >= at]
    )


def _timeless(envelopes):
    return [{k: v for k, v in e.items() if not k.startswith("ts_")} for e in envelopes]


def test_a_large_log_is_read_in_short_transactions(staff):
    """No read brings more than its bound, and together they bring all."""
    with staff.connection() as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
            " INSERT INTO staff (id) SELECT i FROM n"
        )
    with EventReader(staff.config.source("shop"), LOCK_BOUND) as reader:
        sizes = []
        while events := reader.read():
            sizes.append(len(events))
    assert sum(sizes) == 25_000
    assert max(sizes) <= READ_EVENTS


def test_the_events_of_a_renamed_table_belong_to_it(staff):
    """--table takes the earlier names of the table and of its key, too."""
    staff.sqlite("INSERT INTO staff (id, name) VALUES (1, 'A')")
    with staff.connection() as db:
        db.execute("ALTER TABLE staff RENAME TO people")
        db.execute("ALTER TABLE people RENAME COLUMN id TO person")
    staff.capture()
    staff.sqlite("UPDATE people SET name = 'B' WHERE person = 1")
    assert [line["table"] for line in staff.lines(table="people", key=("1",))] == [
        "staff",
        "people",
    ]


def test_the_command_prints_lines(staff, run):
    """Data to standard output; the options mean what they say."""
    staff.sqlite("INSERT INTO staff (id, name) VALUES (?, ?)", (1, "A"), (2, "B"), (3, "C"))
    code, out, err = run("events", "--from", 2, "--to", 2)
    assert (code, err) == (0, "")
    assert json.loads(out)["key"] == {"id": 2}
    assert run("events", "--table", "staff", "--key", 3)[1].count("\n") == 1
    assert run("events", "--since", "2999-01-01")[1] == ""
    [line] = map(json.loads, run("events", "--format", "debezium", "--from", 3)[1].splitlines())
    assert line["op"] == "c"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--table", "nope"), "No event tells of a table 'nope'"),
        (("--table", "staff", "--key", "one"), "'one' is no integer"),
        (("--table", "staff", "--key", "1", "--key", "2"), "takes 1 value, and 2 values were"),
        (("--key", "1"), "--key needs --table"),
        (("--since", "noon"), "'noon' is no point in time"),
        (("--until", "2025-07-31 12:00 Mars/Base"), "no time zone 'Mars/Base'"),
        (("--until", "2025-03-09 02:30 America/New_York"), "never shows this time"),
        (("--follow", "--to", "3"), "--follow has no end"),
        (("--source", "other"), 'there is no source "other"'),
    ],
)
def test_wrong_usage_is_refused(staff, run, words, said):
    """Before anything is printed, with exit code 2."""
    staff.sqlite("INSERT INTO staff (id) VALUES (1)")
    code, out, err = run("events", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_positions_of_several_sources_need_a_name(ledger, run):
    """Each log counts from one."""
    for name in ("shop.db", "more.db"):
        ledger.sqlite(STAFF, name=name)
        ledger.capture(name)
        ledger.sqlite("INSERT INTO staff (id) VALUES (1)", name=name)
    ledger.configure("shop.db", "more.db")
    assert run("events", "--from", 1)[0] == 2
    code, out, _ = run("events")
    assert code == 0
    assert [json.loads(line)["source"] for line in out.splitlines()] == ["shop", "more"]
    assert run("events", "--from", 1, "--source", "more")[1].count("\n") == 1


def test_a_file_without_a_changelog_is_refused(ledger, run):
    """It says how to record changes."""
    ledger.sqlite(STAFF)
    code, _, err = run("events")
    assert code == 3
    assert "cdc install --source shop" in err


class Following:
    """`cdc events --follow` as a process, its lines read as they come."""

    def __init__(self, ledger, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cdc", "events", "--follow", *options],
            cwd=ledger.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self):
        return json.loads(self.process.stdout.readline())

    def end(self, number):
        """Its exit code and words, once it was sent a signal."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err.decode()


@pytest.fixture
def following(staff):
    """`following(*options)` starts it; nothing of it is left behind."""
    started = []

    def start(*options):
        started.append(Following(staff, *options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_following_prints_each_commit_and_stops_on_a_signal(staff, following, number):
    """What is there, then what comes, schema changes included; then a clean end."""
    staff.sqlite("INSERT INTO staff (id, name) VALUES (1, 'A')")
    follower = following()
    assert follower.line()["key"] == {"id": 1}
    staff.sqlite("INSERT INTO staff (id, name) VALUES (2, 'B')")
    assert follower.line()["key"] == {"id": 2}
    with staff.connection() as db:
        for i in range(6):  # wider than the changelog was
            db.execute(f"ALTER TABLE staff ADD COLUMN c{i}")
    staff.capture()
    staff.sqlite("UPDATE staff SET c5 = 'new' WHERE id = 2")
    assert follower.line()["row"]["c5"] == "new"
    assert follower.end(number) == (0, "")


def test_following_ends_when_nobody_reads(staff, following):
    """Also while nothing is written, and without a word."""
    staff.sqlite("INSERT INTO staff (id, name) VALUES (1, 'A')")
    follower = following()
    follower.line()
    follower.process.stdout.close()
    assert follower.process.wait(timeout=30) == 0
    assert follower.process.stderr.read() == b""


def test_following_ends_when_the_file_is_another(staff, following):
    """A restored backup does not go on where the lost file ended."""
    staff.sqlite("INSERT INTO staff (id, name) VALUES (1, 'A')")
    backup = staff.file().read_bytes()
    staff.sqlite("INSERT INTO staff (id, name) VALUES (2, 'B')")
    follower = following("--table", "staff")
    assert [follower.line()["key"]["id"] for _ in range(2)] == [1, 2]
    restored = staff.folder / "restored.db"
    restored.write_bytes(backup)
    restored.rename(staff.file())
    _, err = follower.process.communicate(timeout=30)
    assert follower.process.returncode == 3
    assert b"is not the file any more that was read up to event 2" in err


def test_following_without_anything_that_wakes_it(staff, monkeypatch, caplog):
    """Where the system has no more watches to give, the file is looked at now and then."""

    def used_up():
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(wakeup, "Observer", used_up)
    staff.sqlite("INSERT INTO staff (id) VALUES (1)")
    stop, seen = Stop(), []

    def put(lines):
        seen.extend(lines)
        if len(seen) == 1:
            staff.sqlite("INSERT INTO staff (id) VALUES (2)")
        else:
            stop.ask()

    with EventReader(staff.config.source("shop"), LOCK_BOUND) as reader:
        feed = Feed(reader, Selection(), "json")
        follow([feed], put, stop, poll_seconds=0.01, is_wanted=lambda: True)
    assert [json.loads(line)["key"]["id"] for line in seen] == [1, 2]
    assert [r.levelno for r in caplog.records if r.name == "cdc.sqlite.wakeup"] == [logging.WARNING]
    assert "inotify instance limit reached" in caplog.text


def test_folder_that_has_gone_keeps_no_other_from_being_watched(tmp_path, caplog):
    bell, watch = Alarm(), Watch()
    watch.add(tmp_path / "a" / "gone.db", lambda: None)
    watch.add(tmp_path / "there.db", bell.ring)
    watch.start()
    try:
        (tmp_path / "there.db").touch()
        assert bell.wait(10.0)
    finally:
        watch.stop()
    assert caplog.text.count("Not every file can be watched") == 1


def test_a_reader_that_leaves_early_is_no_error(staff):
    """`cdc events | head -1` ends without a traceback."""
    with staff.connection() as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)"
            " INSERT INTO staff (id, name) SELECT i, i FROM n"
        )
    with subprocess.Popen(
        [sys.executable, "-m", "cdc", "events"],
        cwd=staff.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""
