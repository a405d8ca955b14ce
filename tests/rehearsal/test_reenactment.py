"""What is written to a file is written to its copy, through the copy's own triggers."""

import pytest

from cdc.sqlite import freeze, replica
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.reenactment import Reenactment
from tests.support.waiting import wait_until

TABLES = ("journal", "accounts", "positions", "pairs")


@pytest.fixture
def busy(site):
    """A captured file, and a function that has it written to from then on."""
    site.storm("--commits", "30", "--pause", "0").stop()
    site.configure()
    assert site.cdc("install").code == 0
    return site, lambda: site.storm("--seed", "7", "--commits", "100", "--pause", "0.005")


def rows(path) -> dict:
    with SourceFile(path) as file, file.reading():
        return {t: sorted(file.query(f"SELECT * FROM {t}"), key=repr) for t in TABLES}


def never(_: float) -> None:
    """Called off by nobody."""


def test_a_copy_is_written_as_the_file_is(busy, tmp_path):
    """REPLACE, moved keys and deletes included; the copy's own capture sees every change."""
    site, start = busy
    copy = tmp_path / "copy.db"
    with SourceFile(site.file()) as file:
        made = replica.make(file, copy, lock_bound_seconds=0.05, log_from=1)
    with SourceFile(site.file(), only_look=True) as file, SourceFile(copy) as into:
        again = Reenactment(file, into, made.end.seq, 0.05)
        storm = start()
        wait_until(lambda: not again.step(never) and again.load.transactions >= 50)
        storm.stop()
        while again.step(never):
            pass
    assert (again.load.refused, again.load.missed) == (0, 0)
    assert again.load.transactions > 0
    assert rows(copy) == rows(site.file())
    with SourceFile(copy) as into, into.reading():
        logged = into.query("SELECT count(*) FROM _cdc_changelog WHERE seq > ?", (made.end.seq,))
        assert logged.get >= again.load.events * 0.5


def test_it_waits_while_the_copy_takes_no_writes(busy, tmp_path):
    site, _ = busy
    copy = tmp_path / "copy.db"
    with SourceFile(site.file()) as file:
        made = replica.make(file, copy, lock_bound_seconds=0.05, log_from=1)
    with SourceFile(site.file(), only_look=True) as file, SourceFile(copy) as into:
        again = Reenactment(file, into, made.end.seq, 0.05)
        freeze.freeze(into, "held")
        before = rows(copy)
        site.sqlite("INSERT INTO journal VALUES (999999, 0, 'late')")
        assert again.step(never) is False
        assert rows(copy) == before
        freeze.thaw(into)
        while again.step(never):
            pass
    assert rows(copy) == rows(site.file())
