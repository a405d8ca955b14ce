"""Which tables are replicated, what their columns become, and under which names."""

import psycopg
import pytest

STAFF = "CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO staff VALUES (1, 'A')"

HOSTILE = (
    'we"ird',
    "semi; DROP TABLE staff; --",
    "it's",
    "select",
    "Mixed Case",
    "mixed case2",
    "naïve 🎵 名前",
    "%s %(name)s {0} $1",
    "tab\there",
    "new\nline",
    " padded ",
    "ctid",
    "x" * 63,
    "y" * 64 + "1",
    "y" * 64 + "2",
    "é" * 40,
    "_underscore",
    "pg_class",
    "cdc",
    "a.b",
    "[brackets]",
    "back`tick",
    "back\\slash",
    "",
)
"""Names that SQLite takes."""


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def test_excluded_tables_are_left_alone(site):
    """A table that the configuration leaves out gets no triggers and no target."""
    site.sqlite(STAFF + "; CREATE TABLE log_a (x); CREATE TABLE LOG_b (x); CREATE TABLE log (x)")
    site.configure(more='exclude = ["log_*"]')
    site.catch_up()
    assert set(site.copied_rows()) == {"staff", "log"}
    assert site.sqlite(
        "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1"
    ) == [("log",), ("staff",)]


def test_table_that_is_excluded_later_loses_its_triggers(site):
    """The capture follows the configuration; what was copied stays in the target."""
    site.sqlite(STAFF + "; CREATE TABLE log (x); INSERT INTO log VALUES (1)")
    site.configure()
    site.catch_up()
    site.configure(more='exclude = ["log"]')
    site.catch_up()
    triggers = "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'log'"
    assert site.sqlite(triggers) == []
    assert site.postgres("SELECT x FROM log") == [(1,)]
    site.sqlite("INSERT INTO log VALUES (2)")
    site.configure()
    site.catch_up()
    site.assert_equal()


def test_schema_of_the_configuration_takes_the_tables(site):
    """Each source goes to its own schema where it names one, else to that of [postgres]."""
    for name in ("one.db", "two.db"):
        site.sqlite(STAFF, name=name)
    site.configure("one.db", "two.db", schema="first", more='schema = "Second One"')
    site.catch_up()
    site.assert_equal()
    assert site.postgres("SELECT name FROM first.staff") == [("A",)]
    assert site.postgres('SELECT name FROM "Second One".staff') == [("A",)]


def test_override_of_a_type_is_followed(site):
    """A column becomes what the configuration says; one more override copies the table anew."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
    site.sqlite("INSERT INTO t VALUES (?, ?, ?)", (1, 7, "x"), (2, None, None))
    site.configure(more='[sources.tables.t.columns.a]\ntype = "numeric"')
    site.catch_up()
    site.assert_equal()
    assert site.columns("t") == {"id": "bigint", "a": "numeric", "b": "text"}
    site.configure(more='[sources.tables.T.columns.B]\ntype = "literal"')
    site.catch_up()
    site.assert_equal()
    assert site.postgres("SELECT b FROM t ORDER BY id") == [("'x'",), (None,)]


def test_type_is_widened_to_the_values_that_are_there(site):
    """SQLite holds nobody to a declared type: what is in the column decides, and is told."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, x TEXT, b BLOB)")
    site.sqlite(
        "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
        (1, 1, 1.5, "a", b"\0"),
        (2, "one", "much", b"\xff", "text"),
        (3, 2.5, None, "a\0b", 7),
    )
    site.configure()
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 0
    assert "Column n of table t is declared INTEGER but holds other values" in outcome.err
    site.assert_equal()
    assert set(site.columns("t").values()) == {"bigint", "text"}


def test_value_that_does_not_fit_halts_its_source_alone(site):
    """A value without a faithful form is never altered: its source halts, the others go on."""
    for name in ("good.db", "bad.db"):
        site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", name=name)
    site.configure("good.db", "bad.db", own_schemas=True)
    daemon = site.daemon()
    site.sqlite("INSERT INTO t VALUES (1, 'twelve'), (2, 12)", name="bad.db")
    daemon.wait_for("halted", source="bad")
    [line] = daemon.said("halted")
    assert "TEXT 'twelve' does not fit column n (bigint)" in line["message"]
    site.sqlite("INSERT INTO t VALUES (1, 1)", name="good.db")
    daemon.wait_until(lambda: site.lags()[0].applied_seq == 1)
    daemon.wait_until(lambda: site.lags()[1].state == "halted")  # the log says it first
    good, bad = site.lags()
    assert (good.state, bad.state) == ("tailing", "halted")
    assert "twelve" in bad.message
    assert site.cdc("lag", "--max-events", "1000000", "--max-seconds", "86400").code == 1
    assert daemon.stop() == 3
    assert site.postgres("SELECT count(*) FROM good.t") == [(1,)]
    assert site.postgres("SELECT count(*) FROM bad.t") == [(0,)]


def test_halted_source_goes_on_after_an_override(site):
    """The remedy that the message names works: map the column otherwise, and start again."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (1, 'twelve'), (2, 12)")
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 3
    assert "does not fit column n" in outcome.err
    site.configure(more='[sources.tables.t.columns.n]\ntype = "literal"')
    site.catch_up()
    site.assert_equal()


def test_value_that_does_not_fit_in_the_first_copy_halts_as_well(site):
    """Beyond the rows that the mapping was chosen from there may be anything."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    with site.connection() as db, db:
        db.executemany("INSERT INTO t VALUES (?, ?)", ((i, i) for i in range(50_000)))
    site.sqlite("UPDATE t SET n = 'twelve' WHERE id = 25000")
    site.configure()
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 3
    assert "key 25000: TEXT 'twelve' does not fit column n" in outcome.err


def test_row_without_a_key_is_refused(site):
    """SQLite lets a declared key be NULL; PostgreSQL has no such row, so the source halts."""
    site.sqlite("CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER)")
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (NULL, 1)")
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 3
    assert "key" in outcome.err


def test_hostile_names_go_the_whole_way(site):
    """Any name that SQLite takes for a table or a column arrives, and never as SQL."""
    columns = ", ".join(f"{quoted(name)} TEXT" for name in HOSTILE)
    site.sqlite(STAFF)
    for name in HOSTILE:
        if name:  # SQLite takes an empty name for a column, and forgets such a table
            site.sqlite(f"CREATE TABLE {quoted(name)} (key INTEGER PRIMARY KEY, {columns})")
            site.sqlite(
                f"INSERT INTO {quoted(name)} VALUES ({', '.join('?' * (len(HOSTILE) + 1))})",
                (1, *HOSTILE),
            )
    site.configure()
    daemon = site.daemon()
    for name in filter(None, HOSTILE):
        site.sqlite(f"UPDATE {quoted(name)} SET key = 2, {quoted(HOSTILE[0])} = 'new'")
        site.sqlite(f"INSERT INTO {quoted(name)} (key) VALUES (3), (4)")
        site.sqlite(f"DELETE FROM {quoted(name)} WHERE key = 3")
    site.wait_until_equal(daemon=daemon)
    assert len(site.copied_rows()) == len(HOSTILE)


def test_target_refuses_other_writers(site):
    """Until the cutover nobody but cdc writes to a target table."""
    site.sqlite(STAFF)
    site.configure()
    site.catch_up()
    for statement in ("DELETE FROM staff", "TRUNCATE staff", "INSERT INTO staff VALUES (2, 'B')"):
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            site.postgres(statement)
    site.assert_equal()
