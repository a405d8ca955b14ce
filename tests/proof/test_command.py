"""`cdc verify` as a person or a script runs it."""

import signal

import psycopg
import pytest

from cdc.proof import sources
from cdc.proof.runs import LOCK, ProofBusy
from tests.support.waiting import wait_until

TABLES = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')"


@pytest.fixture(scope="module")
def copied(module_site):
    """A table that is copied, and at rest."""
    module_site.sqlite(TABLES)
    module_site.configure()
    module_site.catch_up()
    return module_site


def tamper(site, statement):
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute(statement.encode())


def test_equal_sides_are_a_yes(copied):
    """Exit code 0, and the page where it was asked for."""
    found = copied.cdc("verify", "--html", "page.html", "--json")
    assert found.code == 0, found.err
    assert found.json["converged"] is True
    [table] = found.json["sources"][0]["tables"]
    assert (table["rows"], table["sound"], table["findings"]) == (2, True, [])
    page = (copied.folder / "page.html").read_text(encoding="utf-8")
    assert "cdc verify --html page.html --json" in page


def test_a_table_is_named_as_sqlite_names_it(copied):
    """In whichever case."""
    found = copied.cdc("verify", "--table", "T", "--json")
    assert found.code == 0, found.err
    assert [table["table"] for table in found.json["sources"][0]["tables"]] == ["t"]


def test_a_difference_is_a_no(copied):
    """Exit code 1; the row is named."""
    tamper(copied, "UPDATE t SET a = 'x' WHERE id = 2")
    found = copied.cdc("verify", "--full")
    tamper(copied, "UPDATE t SET a = 'b' WHERE id = 2")
    assert found.code == 1
    assert "shop.t: key (2): a is 'b' in SQLite and 'x' in PostgreSQL" in found.out


def test_a_target_without_its_guard_is_a_no(copied):
    """The rows are equal, and the answer says why that is not enough."""
    tamper(copied, "ALTER TABLE t DISABLE TRIGGER _cdc_guard")
    found = copied.cdc("verify", "--full")
    tamper(copied, "ALTER TABLE t ENABLE ALWAYS TRIGGER _cdc_guard")
    assert found.code == 1
    assert "shop.t: the guard is not enabled ALWAYS" in found.out
    assert "1 target tables are not what they should be" in found.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--table", "none"), "No source has a captured table 'none'"),
        (("--source", "none"), "none"),
        (("--html", "no folder/page.html"), "no file can be written there"),
    ],
)
def test_what_is_not_there_is_a_wrong_use(copied, options, words):
    """Exit code 2, before anything is compared where that can be known."""
    found = copied.cdc("verify", *options)
    assert found.code == 2
    assert words in found.err
    assert not found.out


def test_two_at_once_are_refused(copied, monkeypatch):
    """The second one says that another is under way."""
    monkeypatch.setattr(sources, "PATIENCE_SECONDS", 0.1)
    with psycopg.connect(copied.dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        with pytest.raises(ProofBusy, match="another proof of this target is under way") as found:
            copied.prove()
    assert found.value.exit_code == 3


def test_a_file_that_is_gone_could_not_be_used(copied):
    """Exit code 3: nobody knows whether both sides are equal."""
    path = copied.file()
    path.rename(path.with_suffix(".aside"))
    try:
        found = copied.cdc("verify")
    finally:
        path.with_suffix(".aside").rename(path)
    assert found.code == 3
    assert str(path) in found.out + found.err


def test_a_target_that_was_never_filled_could_not_be_used(site):
    """Exit code 3, and what to do first."""
    site.sqlite(TABLES)
    site.configure()
    found = site.cdc("verify")
    assert found.code == 3
    assert "was never replicated to this target" in found.out
    assert "cdc run" in found.out


def test_without_a_server_there_is_no_answer(site):
    """Exit code 3."""
    site.sqlite(TABLES)
    site.configure(dsn="postgresql://nobody@127.0.0.1:1/nothing")
    found = site.cdc("verify")
    assert found.code == 3
    assert "127.0.0.1:1" in found.err


def test_an_interrupt_ends_it_at_once(copied):
    """Exit code 1: it could not be told. Nothing of it is left behind, and the next one goes on."""
    copied.sqlite("UPDATE t SET a = 'not applied' WHERE id = 1")
    process = copied.cdc.begin("verify")
    wait_until(
        lambda: copied.postgres("SELECT owner FROM cdc.hold_back WHERE owner LIKE 'proof %'")
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "Stopped before its end" in out
    assert "Traceback" not in err
    assert copied.postgres("SELECT owner FROM cdc.hold_back WHERE owner LIKE 'proof %'") == []
    copied.catch_up()
    assert copied.prove().converged
