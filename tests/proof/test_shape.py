"""What is wrong with a target besides its rows is found, and counts where it refutes the proof."""

from contextlib import contextmanager

import psycopg
import pytest

from cdc.crossing.mapper import kept_mapping
from cdc.postgres import state
from cdc.postgres.gate import close_gate, open_gate, read_gate
from cdc.proof.integrity import look_at_keys
from cdc.proof.outcome import TableOutcome
from cdc.sqlite.captures import captured
from cdc.sqlite.connection import SourceFile

TABLES = """
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, account INTEGER REFERENCES accounts (id), price REAL NOT NULL
);
CREATE TABLE lines (
    place INTEGER, name TEXT REFERENCES accounts (note), PRIMARY KEY (place)
) WITHOUT ROWID;
INSERT INTO accounts VALUES (1, 'one', 'n'), (2, 'two', NULL);
INSERT INTO orders VALUES (1, 1, 1.5), (2, 2, 2.5), (3, NULL, 3.5), (7, 99, 4.5), (8, 98, 5.5);
INSERT INTO lines VALUES (1, NULL);
"""


@pytest.fixture(scope="module")
def copied(module_site):
    """Two tables with a foreign key between them that has orphans; tests undo what they do."""
    module_site.sqlite(TABLES)
    module_site.configure(more='[sources.tables.accounts.columns.note]\ntype = "varchar(20)"')
    module_site.catch_up()
    return module_site


@contextmanager
def altered(site, statement, back):
    """A target that somebody has altered, for the length of the block."""
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute(statement.encode())
        try:
            yield
        finally:
            conn.execute(back.encode())


def look(site, table, *, full=False):
    verdict = site.prove(full=full)
    [found] = [t for t in verdict.sources[0].tables if t.name == table]
    return verdict, found


def test_a_target_as_it_was_made_is_sound(copied):
    """Nothing but the orphans, which SQLite has as well, and which are counted."""
    verdict = copied.prove(full=True)
    assert verdict.converged, verdict
    tables = {t.name: t for t in verdict.sources[0].tables}
    assert [f.text for t in tables.values() for f in t.findings] == [
        "foreign key (account) to accounts: 2 rows refer to none"
    ]
    [reference] = tables["orders"].references
    assert (reference.columns, reference.parent) == (("account",), "accounts")
    assert (reference.valid, reference.orphans) == (False, 2)
    assert {name: (t.rows, t.target_rows) for name, t in tables.items()} == {
        "accounts": (2, 2),
        "orders": (5, 5),
        "lines": (1, 1),
    }


def test_orphans_are_found_behind_a_valid_key(copied):
    """What was written in replica role was never checked, and VALIDATE may have been before."""
    with altered(
        copied,
        "UPDATE pg_constraint SET convalidated = true WHERE contype = 'f'",
        "UPDATE pg_constraint SET convalidated = false WHERE contype = 'f'",
    ):
        verdict, orders = look(copied, "orders", full=True)
    assert verdict.converged
    assert "2 rows refer to none, although it counts as valid" in orders.findings[0].text


def test_a_key_that_cannot_be_made_says_why(copied):
    """No unique index of PostgreSQL stands behind it, or its parent is elsewhere."""
    _, lines = look(copied, "lines", full=True)
    [reference] = lines.references
    assert (reference.valid, reference.orphans) == (None, 0)


def test_an_incremental_proof_reads_no_whole_table_for_orphans(copied):
    """That would cost what exists, and not what has changed."""
    _, orders = look(copied, "orders")
    assert orders.references == []


@pytest.mark.parametrize(
    ("statement", "back", "words"),
    [
        (
            "DROP TRIGGER _cdc_guard ON public.orders",
            "SELECT cdc.protect('public.orders')",
            "missing",
        ),
        (
            "ALTER TABLE public.orders ENABLE TRIGGER _cdc_guard",
            "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER _cdc_guard",
            "ALWAYS",
        ),
        (
            "ALTER TABLE public.orders DISABLE TRIGGER ALL",
            (
                "ALTER TABLE public.orders ENABLE TRIGGER ALL;"
                "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER _cdc_guard;"
                "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER _cdc_queue;"
                "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER _cdc_queue_all"
            ),
            "ALWAYS",
        ),
        (
            (
                "DROP TRIGGER _cdc_guard ON public.orders;"
                "CREATE TRIGGER _cdc_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"
                " ON public.orders FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION cdc.guard();"
                "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER _cdc_guard"
            ),
            "DROP TRIGGER _cdc_guard ON public.orders; SELECT cdc.protect('public.orders')",
            "is not the guard of cdc",
        ),
    ],
)
def test_a_target_without_its_guard_is_not_proven(copied, statement, back, words):
    """Others may write to it now, or have: what was equal need not stay so."""
    with altered(copied, statement, back):
        verdict, orders = look(copied, "orders")
        assert orders.equal
        assert not verdict.converged
        [finding] = [f for f in orders.findings if f.kind == "guard"]
        assert words in finding.text
    assert copied.prove().converged


@pytest.mark.parametrize(
    ("statement", "back", "words"),
    [
        (
            "ALTER TABLE public.accounts ALTER note TYPE text",
            "ALTER TABLE public.accounts ALTER note TYPE varchar(20)",
            "column note is text and has to be varchar(20)",
        ),
        (
            "ALTER TABLE public.orders RENAME price TO cost",
            "ALTER TABLE public.orders RENAME cost TO price",
            "column price double precision is missing",
        ),
        (
            "ALTER TABLE public.orders DROP CONSTRAINT orders_pkey",
            "ALTER TABLE public.orders ADD PRIMARY KEY (id)",
            "its primary key is missing",
        ),
    ],
)
def test_a_target_of_another_shape_is_not_proven(copied, statement, back, words):
    """Its rows are not even compared, and the difference is named."""
    with altered(copied, statement, back):
        verdict = copied.prove(full=True)
        assert not verdict.converged
        [table] = [t for t in verdict.sources[0].tables if t.misshapen]
        assert not table.done
        assert any(words in finding.text for finding in table.findings), table
    assert copied.prove(full=True).converged


def test_not_null_on_one_side_is_told_and_refutes_nothing(copied):
    """The rows are equal all the same; a later one may be refused."""
    with altered(
        copied,
        "ALTER TABLE public.accounts ALTER name DROP NOT NULL;"
        "ALTER TABLE public.orders ALTER price SET NOT NULL",
        "ALTER TABLE public.accounts ALTER name SET NOT NULL",
    ):
        verdict, accounts = look(copied, "accounts")
    assert verdict.converged
    [finding] = accounts.findings
    assert (finding.kind, finding.text) == ("not_null", "column name is NOT NULL in SQLite only")


def test_the_way_back_is_looked_at(copied):
    """Without its triggers, writes of others after the cutover would not flow back."""
    with altered(
        copied,
        "ALTER TABLE public.orders DISABLE TRIGGER _cdc_queue",
        "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER _cdc_queue",
    ):
        verdict, orders = look(copied, "orders")
    assert verdict.converged
    assert [finding.kind for finding in orders.findings] == ["queue"]


def test_a_sequence_behind_its_key_waits_for_the_cutover(copied):
    """The copy brings keys without asking the sequence: that is no finding while nobody asks it."""
    verdict, orders = look(copied, "orders")
    assert verdict.converged
    assert orders.sequence.behind
    assert (orders.sequence.next_value, orders.sequence.greatest_key) == (1, 8)


def test_a_sequence_behind_its_key_is_a_finding_once_the_gate_is_open(copied):
    """From then on an INSERT asks it, and fails."""
    verdict, _ = look(copied, "orders")
    [mapped] = [found for found in proven_tables(copied) if found[2].name == "orders"]
    with copied.target() as target, target.lease() as conn:
        closed = read_gate(conn)
        opened = open_gate(conn, closed.epoch, wait_seconds=5)
        try:
            look_at_keys(conn, copied.config, "shop", [mapped], parents={}, orphans=False)
        finally:
            close_gate(conn, opened.epoch, wait_seconds=5)
    [finding] = mapped[2].findings
    assert finding.contradicts
    assert "orders_id_seq would give 1, and the greatest id is 8" in finding.text
    assert verdict.converged


def proven_tables(site):
    """The tables of the site as a proof of them begins."""
    with site.target() as target, target.lease() as conn:
        made = {table.name: table for table in state.captured_tables(conn, "shop")}
    with SourceFile(site.file()) as file, file.reading():
        return [
            (each, kept_mapping(made[each.name], each), TableOutcome(each.name, each.name))
            for each in captured(file)
        ]
