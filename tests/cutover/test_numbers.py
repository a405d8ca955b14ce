"""Numbers that were given to rows are given to no other ones, on either side."""

from cdc.cutover.forward import Cutover
from tests.support.waiting import wait_until

from .conftest import run

EMPTIED = """
CREATE TABLE tickets (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT);
INSERT INTO tickets (at) VALUES ('a'), ('b'), ('c');
DELETE FROM tickets;
CREATE TABLE never (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT);
"""


def test_an_empty_table_goes_on_behind_the_numbers_of_its_deleted_rows(site):
    """SQLite remembers them, and so does PostgreSQL; a table that never had any begins with 1."""
    site.sqlite(EMPTIED)
    site.configure(more="[cutover]\nhold_ms = 3000\n", poll_ms=100)
    site.daemon()
    wait_until(site.caught_up)
    assert site.prove(full=True).converged
    report = run(site, Cutover)
    assert report.outcome == "switched", report
    assert site.postgres("INSERT INTO tickets (at) VALUES ('d') RETURNING id") == [(4,)]
    assert site.postgres("INSERT INTO never (at) VALUES ('d') RETURNING id") == [(1,)]
