"""Proofs of many rows: killed in the middle, and with one row of them changed."""

from contextlib import contextmanager

import psycopg
import pytest

from cdc.postgres import state
from tests.support.waiting import wait_until

ROWS = 300_000
SOAK_ROWS = 10_000_000

TABLES = """
CREATE TABLE many (id INTEGER PRIMARY KEY, a TEXT, b REAL);
CREATE TABLE more (id INTEGER PRIMARY KEY, a TEXT);
INSERT INTO many WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT i, 'row ' || i, i / 3.0 FROM n;
INSERT INTO more SELECT id, a FROM many WHERE id <= 100;
"""


def tamper(site, statement):
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute(statement.encode())


@pytest.fixture(scope="module")
def copied(module_site):
    module_site.sqlite(TABLES.format(rows=ROWS))
    module_site.configure()
    module_site.catch_up()
    return module_site


@contextmanager
def locked(site, table):
    """Nobody may read a table of the target for the length of the block."""
    with psycopg.connect(site.dsn) as conn:
        conn.execute(f"LOCK TABLE public.{table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def kept(site):
    return dict(site.postgres("SELECT name, sum(rows) FROM cdc.proven_range GROUP BY name"))


def outcomes(verdict):
    return {table.name: table for table in verdict.sources[0].tables}


def test_one_row_among_many_is_named(copied):
    """One bit of one of them; the proof says which row and which column."""
    tamper(copied, "UPDATE many SET b = b + 0.0000000001 WHERE id = 271828")
    try:
        verdict = copied.prove(full=True)
    finally:
        tamper(copied, "UPDATE many SET b = 271828 / 3.0::float8 WHERE id = 271828")
    many = outcomes(verdict)["many"]
    [row] = many.examples
    assert (many.rows, many.different) == (ROWS, 1)
    assert (row.key, [column.column for column in row.columns]) == (("271828",), ["b"])
    assert copied.prove(full=True).converged


def test_a_proof_that_was_killed_goes_on_without_trusting_what_changed(copied):
    """What it had proven is kept; a row that changed since then is compared all the same."""
    tamper(copied, "DELETE FROM cdc.proven_range")
    with locked(copied, "more"):
        process = copied.cdc.begin("verify", "--full")
        try:
            wait_until(lambda: kept(copied) == {"many": ROWS})
        finally:
            process.kill()
            process.communicate()
    assert kept(copied) == {"many": ROWS}
    copied.sqlite("UPDATE many SET a = 'changed' WHERE id IN (7, 200000)")
    copied.catch_up()
    # As if the applier had got one of them wrong while nobody looked.
    tamper(copied, "UPDATE many SET a = 'wrong' WHERE id = 200000")
    found = outcomes(copied.prove())
    tamper(copied, "UPDATE many SET a = 'changed' WHERE id = 200000")
    assert (found["many"].ranges, found["many"].kept_rows) == (0, ROWS)
    assert [row.key for row in found["many"].examples] == [("200000",)]
    assert (found["more"].kept_rows, found["more"].rows) == (0, 100)
    assert copied.prove().converged


def test_a_proof_beside_a_copy_says_so(copied):
    """A table that is being copied again is not proven, and differs in nothing."""
    with copied.target() as target, target.lease() as conn:
        [more] = [t for t in state.captured_tables(conn, "shop") if t.name == "more"]
        state.restart_copy(
            conn,
            "shop",
            "more",
            definition=more.definition | {"fresh": False},
            since_seq=more.since_seq,
        )
    verdict = copied.prove(full=True)
    copied.catch_up()
    found = outcomes(verdict)
    assert not verdict.converged
    assert "not copied yet" in found["more"].problem
    assert (found["more"].differences, found["many"].equal) == (0, True)
    assert copied.prove().converged


@pytest.mark.soak
def test_one_row_among_ten_million_is_named(site):
    """The same where nothing of the table fits into memory at once."""
    site.sqlite(TABLES.format(rows=SOAK_ROWS))
    site.configure()
    site.catch_up()
    tamper(site, "UPDATE many SET a = a || ' ' WHERE id = 9876543")
    many = outcomes(site.prove(full=True))["many"]
    assert (many.rows, [row.key for row in many.examples]) == (SOAK_ROWS, [("9876543",)])
