"""A read takes more at once while that is quick, and ends when its time is up."""

import sqlite3

import pytest

from cdc.sqlite import rows
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.rows import Bound, Gulps, read_rows


class Clock:
    """In the place of the module `time`; goes on by `step` at each look."""

    def __init__(self):
        self.now, self.step = 100.0, 0.0

    def monotonic(self):
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rows, "time", clock)
    return clock


def test_they_grow_while_they_are_quick_and_shrink_when_they_are_not(clock):
    """A quarter of what is left is the most that the next, larger one may take."""
    gulps, sizes = Gulps(1.0, 8), []
    for seconds in (0.01, 0.01, 0.01, 0.01, 0.3, 0.3, 0.3, 0.3):
        clock.now += seconds
        gulps.taken()
        sizes.append(gulps.size)
    assert sizes == [2, 4, 8, 8, 4, 2, 1, 1]
    assert gulps.left == pytest.approx(1.0 - 0.04 - 1.2)


def test_a_read_ends_when_its_time_is_up(tmp_path, clock):
    """Wherever it stands: it has not read all, and says so."""
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
    with SourceFile(path) as file, file.reading():
        clock.step = 0.001
        found = read_rows(file, ["id"], "FROM t ORDER BY id", (), Bound(0.005, 1000))
    assert not found.complete
    assert [row[0] for row in found.rows] == list(range(found.count))
    assert 1 < found.count < 1000
