"""Tables that can only be compared whole: once is enough, as long as the log tells what changed."""

from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from cdc.crossing.pairs import pairs
from cdc.proof import tables
from cdc.proof.snapshot import snapshot
from cdc.proof.target import ProvenTable
from cdc.proof.unordered import Scratch, marks
from cdc.proof.watch import DriftWatch
from cdc.sqlite.connection import SourceFile
from cdc.stop import Stop

LOOSE = (
    "CREATE TABLE words (word TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);"
    "CREATE TABLE log (at TEXT PRIMARY KEY, price REAL);"
    "INSERT INTO words WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < 3000) SELECT 'Word ' || i, i FROM n;"
    "INSERT INTO log SELECT datetime('2025-06-01', n || ' minutes'), n / 8.0 FROM words"
)

LOCAL = """
[sources.tables.log.columns.at]
type = "timestamptz"
timezone = "America/New_York"
separator = " "
"""


@pytest.fixture
def loose(site, monkeypatch):
    """A site with two such tables, copied; `loose.compared` names those compared whole since."""
    site.sqlite(LOOSE)
    site.configure(more=LOCAL)
    site.catch_up()
    site.compared = []
    whole = tables.compare_whole

    def note(sides, rows, outcome):
        site.compared.append(outcome.name)
        whole(sides, rows, outcome)

    monkeypatch.setattr(tables, "compare_whole", note)
    return site


def proven(site, **request):
    """The tables of a proof by name, and which of them were compared whole."""
    site.compared.clear()
    [source] = site.prove(**request).sources
    assert source.problem == ""
    return {each.name: each for each in source.tables}, sorted(site.compared)


def spoil(site, statement):
    """Write behind everybody's back."""
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute(statement.encode())


def test_only_what_was_touched_is_compared_again(loose):
    _, compared = proven(loose)
    assert compared == ["log", "words"]
    loose.sqlite("UPDATE words SET n = -n WHERE n < 6; DELETE FROM log WHERE price = 1")
    loose.sqlite("INSERT INTO log VALUES ('2025-07-07 07:07:07', 7)")
    loose.catch_up()
    found, compared = proven(loose)
    assert compared == []
    assert {name: each.kept_rows for name, each in found.items()} == {"log": 3000, "words": 3000}
    assert all(each.equal for each in found.values())
    # That is kept, too: from the last proof on.
    [(positions,)] = loose.postgres("SELECT array_agg(DISTINCT position) FROM cdc.proven_range")
    assert positions == [7]


def test_a_difference_among_what_was_touched_is_named(loose):
    proven(loose)
    loose.sqlite("UPDATE words SET n = -n WHERE n = 17; UPDATE log SET price = 0 WHERE price = 1")
    loose.catch_up()
    spoil(loose, "UPDATE words SET n = 18 WHERE n = -17")
    found, compared = proven(loose)
    assert compared == []
    assert [each.different for each in (found["words"], found["log"])] == [1, 0]
    [difference] = found["words"].examples
    assert difference.key == ("'Word 17'",)


def test_what_differs_is_never_kept_as_proven(loose):
    """No event names its key: who rested on it would not see it a second time."""
    spoil(loose, "UPDATE words SET n = 18 WHERE n = 17; DELETE FROM log WHERE price = 2")
    for _ in range(2):
        found, compared = proven(loose)
        assert compared == ["log", "words"]
        assert (found["words"].different, found["log"].missing) == (1, 1)
    spoil(loose, "UPDATE words SET n = 17 WHERE word = 'Word 17'")
    proven(loose)
    _, compared = proven(loose)
    assert compared == ["log"]


def test_nothing_is_kept_for_longer_than_asked(loose):
    proven(loose)
    assert proven(loose)[1] == []
    assert proven(loose, max_age=timedelta())[1] == ["log", "words"]
    assert proven(loose, full=True)[1] == ["log", "words"]
    loose.sqlite("UPDATE words SET n = n + 1")
    loose.catch_up()
    # So many keys take longer one by one than all rows at once.
    assert proven(loose)[1] == ["words"]


def test_the_watch_compares_all_of_it_once_in_its_hours(loose):
    """Not in each of its passes."""
    with loose.target() as target:
        watch = DriftWatch(loose.config, target, Stop())
        [source] = loose.config.sources
        for expected in (["log", "words"], [], []):
            loose.compared.clear()
            watch.look(source)
            assert sorted(loose.compared) == expected
        loose.postgres(
            "UPDATE cdc.proven_range SET proven_at = proven_at - %s * interval '1 hour'"
            " WHERE name = 'log'",
            loose.config.verify.watch_hours,
        )
        loose.compared.clear()
        watch.look(source)
        assert loose.compared == ["log"]


def test_a_row_answers_for_one_key_only(loose):
    """Two rows of SQLite that would be one to PostgreSQL are not both there."""
    with loose.target() as target, target.lease() as conn, closing(Scratch()) as scratch:
        with SourceFile(loose.file()) as file:
            found = {each.captured.name: each.mapped for each in pairs(conn, file, "shop")}
        table = ProvenTable("shop", found["log"])
        with snapshot(conn, table) as seen:
            scratch.fill(table, seen)
        assert scratch.rows == 3000
        rows = [("2025-06-01 00:01:00", 1 / 8.0), ("2025-06-01T00:01:00-04:00", 1 / 8.0)]
        (key, row), (same, _) = marks(table, table.forms_of_rows(rows))
        assert key == same
        assert scratch.take([key, same, "nothing"]) == [row, None, None]
        assert scratch.take([key]) == [None]
        assert len({table.source_key(form) for form in scratch.left()}) == 2999
