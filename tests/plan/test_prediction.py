"""What the plan predicts is what a run does."""

import pytest

from cdc.cli.plan_json import as_json
from cdc.errors import ValueDoesNotFit

ROWS = 3000
"""More than the sample at either end that the types are chosen by."""

MIDDLE = ROWS // 2

GOOD = {
    "INTEGER": "i",
    "REAL": "i / 8.0",
    "TEXT": "'word ' || i",
    "BLOB": "CAST('bytes ' || i AS BLOB)",
    "DECIMAL(10,2)": "i / 8.0",
    "BOOLEAN": "i % 2",
    "DATETIME": "'2025-11-02 01:30:00'",
    "": "i",
}

BAD = (
    ("INTEGER", "'n/a'"),
    ("INTEGER", "0.5"),
    ("INTEGER", "X'00'"),
    ("REAL", "'$117,750'"),
    ("TEXT", "X'61'"),
    ("TEXT", "'zero' || char(0) || 'byte'"),
    ("TEXT", "CAST(X'FF' AS TEXT)"),
    ("BLOB", "'text'"),
    ("BLOB", "7"),
)

WIDER = (
    ("DECIMAL(10,2)", "'unknown'"),
    ("BOOLEAN", "2"),
    ("DATETIME", "'never'"),
    ("", "'text'"),
)
"""Values that a declaration does not mean which asks for less than SQLite lets in."""


def fill(site, declared):
    site.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared});"
        "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {ROWS}) SELECT i, {GOOD[declared]} FROM n"
    )
    site.configure()


SPELT = {"timestamp": "timestamp without time zone"}
"""Types that PostgreSQL names differently from their DDL."""


@pytest.mark.parametrize(("declared", "value"), [*((declared, None) for declared in GOOD), *WIDER])
def test_what_fits_is_applied(site, declared, value):
    """The plan says so, and the run ends with both sides equal."""
    fill(site, declared)
    if value is not None:
        site.sqlite(f"UPDATE t SET v = {value} WHERE id = {MIDDLE}")
    plan = as_json(site.plan())
    assert plan["fits"]
    [table] = plan["sources"][0]["tables"]
    site.catch_up()
    site.assert_equal()
    planned = {column["target"]: column["sql_type"] for column in table["columns"]}
    assert {name: SPELT.get(type_, type_) for name, type_ in planned.items()} == site.columns("t")


@pytest.mark.parametrize(("declared", "value"), BAD)
def test_what_does_not_fit_is_refused(site, declared, value):
    """One value beyond the sample: the plan names its key, the run stops at it, and with the lines
    that the plan advises the next plan and the next run are content.
    """
    fill(site, declared)
    site.sqlite(f"UPDATE t SET v = {value} WHERE id = {MIDDLE}")
    plan = as_json(site.plan())
    assert not plan["fits"]
    [problem] = plan["sources"][0]["problems"]
    assert (problem["table"], problem["column"]) == ("t", "v")
    [table] = plan["sources"][0]["tables"]
    [example] = table["columns"][1]["examples"]
    assert example["key"] == [str(MIDDLE)]
    with pytest.raises(ValueDoesNotFit, match=f"key {MIDDLE}:"):
        site.catch_up()
    site.configure(more="\n".join(problem["configuration"]))
    assert site.plan().problems == []
    site.catch_up()
    site.assert_equal()


def test_key_that_is_null(site):
    """SQLite lets it be; PostgreSQL has no such row."""
    site.sqlite("CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1), (NULL, 2)")
    site.sqlite("INSERT INTO t VALUES (NULL, 3)")
    site.configure()
    outcome = site.cdc("plan")
    assert outcome.code == 1
    assert "2 rows have NULL in k" in outcome.out
    assert site.cdc("run", "--until-caught-up").code == 3
    site.sqlite("DELETE FROM t WHERE k IS NULL")
    assert site.cdc("plan").code == 0


def test_what_the_configuration_sets_aside(site):
    """A misfit that goes to quarantine is told, and is no reason to say no."""
    site.sqlite("CREATE TABLE t (k TEXT PRIMARY KEY, v REAL); INSERT INTO t VALUES (NULL, 'x')")
    site.configure(on_error="quarantine")
    outcome = site.cdc("plan")
    assert outcome.code == 0
    assert "! 1 row has NULL in k" in outcome.out
    assert "rows go to quarantine" in outcome.out
    assert site.cdc("run", "--until-caught-up").code == 0


def test_table_that_cannot_be_captured(site):
    """It is named with the reason that the run gives."""
    site.sqlite("CREATE TABLE t (rowid, oid, _rowid_); CREATE TABLE u (id INTEGER PRIMARY KEY)")
    site.configure()
    outcome = site.cdc("plan")
    assert outcome.code == 1
    assert 'Table "t"' in outcome.out
    assert "has no key" in outcome.out
    assert "u → public.u" in outcome.out
    run = site.cdc("run", "--until-caught-up")
    assert run.code == 3
    assert "has no key" in run.err


def test_application_whose_writes_would_fail(site):
    """What only shows when the triggers are there is tried on a copy of the schema."""
    with site.connection() as db:
        db.create_scalar_function("mine", lambda x: x, 1, deterministic=True)
        db.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE UNIQUE INDEX i ON t (mine(v));"
        ).fetchall()
    site.configure()
    before = site.file().read_bytes()
    outcome = site.cdc("plan")
    assert outcome.code == 1
    assert "no such function: mine" in outcome.out
    assert str(site.file()) in outcome.out
    assert site.file().read_bytes() == before
    assert "no such function: mine" in site.cdc("run", "--until-caught-up").err


def test_table_in_the_way(site):
    """A table of PostgreSQL that cdc did not make is seen, where PostgreSQL can be asked."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    site.configure()
    site.postgres("CREATE TABLE t (id bigint)")
    outcome = site.cdc("plan")
    assert outcome.code == 1
    assert "public.t exists in PostgreSQL" in outcome.out
    assert site.cdc("run", "--until-caught-up").code == 3


def test_two_tables_for_one_target(site):
    """Of two sources with a table of one name, the second has nowhere to go."""
    for name in ("a.db", "b.db"):
        site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY)", name=name)
    site.configure("a.db", "b.db")
    outcome = site.cdc("plan")
    assert outcome.code == 1
    assert "public.t is the target of table t of source a already" in outcome.out
    site.configure("a.db", "b.db", own_schemas=True)
    assert site.cdc("plan").code == 0
