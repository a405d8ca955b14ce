"""`cdc quarantine`: what it lists and shows, and how rows are tried again or given up."""

import signal

import pytest

from tests.support.waiting import wait_until

TYPES = """
[sources.tables.staff.columns]
pay.type = "double precision"
"""


@pytest.fixture
def payroll(site):
    """A file with two rows in the quarantine, 2 and 3, and one that fits."""
    site.sqlite("CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT, pay REAL)")
    site.configure(on_error="quarantine", more=TYPES)
    site.sqlite(
        "INSERT INTO staff VALUES (?, ?, ?)", (1, "A", 1.5), (2, "B", "much"), (3, "C", b"\0\1")
    )
    site.catch_up()
    return site


def listed(site, *options):
    return site.cdc("quarantine", "list", "--json", *options).json["entries"]


def mend(site, key):
    """Let a row fit without an event that says so."""
    with site.connection() as db:
        triggers = list(db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"))
        for name, _ in triggers:
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE staff SET pay = 7.5 WHERE id = ?", (key,))
        for _, sql in triggers:
            db.execute(sql)


def test_proof_says_what_it_leaves_out(payroll):
    """The rows that PostgreSQL lacks by rights are part of the answer, given up or not."""
    for _ in range(2):
        outcome = payroll.cdc("verify", "--full")
        assert outcome.code == 0
        assert "Converged but for 2 rows in the quarantine: 1 rows are equal" in outcome.out
        payroll.cdc("quarantine", "drop", listed(payroll)[0]["id"])


def test_list_says_what_is_wrong(payroll):
    """Whose row it is, where, and why, in words and in JSON."""
    outcome = payroll.cdc("quarantine", "list")
    assert outcome.code == 0
    assert "TEXT 'much' does not fit column pay (double precision)" in outcome.out
    first, second = listed(payroll)
    assert first == first | {
        "source": "shop",
        "file": str(payroll.file()),
        "table": "staff",
        "key": ["2"],
        "column": "pay",
        "dropped": None,
    }
    assert second["key"] == ["3"]
    assert listed(payroll, "--table", "other") == []
    assert listed(payroll, "--source", "shop", "--table", "STAFF") == [first, second]


def test_show_prints_the_row_whole(payroll):
    """Every value, exact, in JSON as SQL literals."""
    entry = listed(payroll)[1]
    outcome = payroll.cdc("quarantine", "show", entry["id"][:8])
    assert outcome.code == 0
    assert "BLOB" in outcome.out
    shown = payroll.cdc("quarantine", "show", entry["id"], "--json").json
    assert shown["row"] == {"id": "3", "name": "'C'", "pay": "X'0001'"}


def test_an_unknown_id_is_refused(payroll, refused):
    """An id that is not there, or of more than one entry, changes nothing."""
    refused(payroll.cdc("quarantine", "show", "zz"), 2, "No entries", "'zz'")
    refused(payroll.cdc("quarantine", "drop", ""), 2, "2 entries")
    refused(payroll.cdc("quarantine", "drop"), 2, "--all")
    assert len(listed(payroll)) == 2


def test_status_and_lag_count_it(payroll):
    """Both say how many rows the target lacks for being in the quarantine."""
    assert payroll.cdc("lag", "--json").json["sources"][0]["quarantined"] == 2
    [table] = payroll.cdc("status", "--json").json["sources"][0]["tables"]
    assert table["quarantined"] == 2
    assert "2 rows in quarantine" in payroll.cdc("status").out


def test_drop_gives_rows_up_until_they_change(payroll):
    """A dropped row no longer counts; it is on record, and comes back with its next good image."""
    entry = listed(payroll)[0]
    assert payroll.cdc("quarantine", "drop", entry["id"], "--json").json == {"dropped": 1}
    assert [each["key"] for each in listed(payroll)] == [["3"]]
    assert len(listed(payroll, "--dropped")) == 2
    assert payroll.cdc("lag", "--json").json["sources"][0]["quarantined"] == 1
    payroll.assert_equal()
    payroll.sqlite("UPDATE staff SET pay = 2.5 WHERE id = 2")
    payroll.catch_up()
    assert len(listed(payroll, "--dropped")) == 1
    payroll.assert_equal()


def test_retry_without_a_daemon(payroll):
    """The command takes the lock, reads the rows as they are now, and writes those that fit."""
    outcome = payroll.cdc("quarantine", "retry", "--all", "--json")
    assert (outcome.code, outcome.json) == (1, {"tried": 2, "healed": 0})
    mend(payroll, 2)
    outcome = payroll.cdc("quarantine", "retry", "--all", "--json")
    assert (outcome.code, outcome.json) == (1, {"tried": 2, "healed": 1})
    assert [each["key"] for each in listed(payroll)] == [["3"]]
    assert payroll.postgres("SELECT pay FROM staff WHERE id = 2") == [(7.5,)]
    payroll.assert_equal()


def test_retry_asks_a_running_daemon(payroll):
    """It answers between two batches, and goes on."""
    daemon = payroll.daemon()
    outcome = payroll.cdc("quarantine", "retry", "--all", "--json")
    assert (outcome.code, outcome.json) == (1, {"tried": 2, "healed": 0})
    assert daemon.said("quarantine_retried", healed=0)
    payroll.sqlite("UPDATE staff SET pay = 2.5 WHERE id = 2")
    wait_until(lambda: len(listed(payroll)) == 1, what=lambda: daemon.text)
    assert daemon.stop() == 0
    payroll.assert_equal()


def test_retry_that_gets_no_answer_is_withdrawn(payroll):
    """When the daemon does not answer in time, nothing will be done later on."""
    daemon = payroll.daemon()
    daemon.send(signal.SIGSTOP)
    outcome = payroll.cdc("quarantine", "retry", "--all", "--wait", "0")
    daemon.send(signal.SIGCONT)
    assert outcome.code == 3
    assert "did not answer" in outcome.err
    assert "withdrawn" in outcome.err
    assert payroll.postgres("SELECT count(*) FROM cdc.request") == [(0,)]
