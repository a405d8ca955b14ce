"""What the plan says of the schema: its DDL loads as printed, and orphans are counted."""

import pytest

from cdc.errors import CdcError

LIBRARY = """
CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE UNIQUE);
CREATE TABLE book (
    isbn TEXT PRIMARY KEY,
    author INTEGER REFERENCES author ON DELETE CASCADE,
    written_by TEXT REFERENCES author (name),
    "we""ird" REAL DEFAULT 1.5 CHECK ("we""ird" > 0),
    note TEXT CHECK (note LIKE 'x%'),
    shout TEXT AS (upper(note)),
    code TEXT AS (hex(note))
) WITHOUT ROWID;
CREATE INDEX by_author ON book (author) WHERE author > 0;
CREATE UNIQUE INDEX book_pkey ON book (note, "we""ird" DESC);
CREATE TABLE loan (book TEXT REFERENCES book, since TEXT DEFAULT CURRENT_TIMESTAMP, "select" BLOB);
CREATE TABLE "Loan list" (a INTEGER, b INTEGER, FOREIGN KEY (a, b) REFERENCES pair (x, y));
CREATE TABLE pair (x INTEGER, y INTEGER, z, PRIMARY KEY (x, y));
"""


@pytest.fixture
def library(site):
    site.sqlite(LIBRARY)
    site.configure()
    return site


def tables(outcome):
    return {t["name"]: t for source in outcome.json["sources"] for t in source["tables"]}


def relations(site):
    return site.postgres(
        "SELECT c.relkind, c.relname, pg_get_indexdef(c.oid)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' ORDER BY 1, 2"
    )


def test_ddl_loads_as_printed(library):
    """Standard output is one script, and running it makes every table with its columns."""
    outcome = library.cdc("plan", "--ddl")
    assert outcome.code == 0, outcome.err
    library.postgres(outcome.out)
    columns = {"isbn", "author", "written_by", 'we"ird', "note", "shout", "code"}
    assert set(library.columns("book")) == columns
    made = {name for _, name, _ in relations(library)}
    assert {"author", "book", "loan", "Loan list", "pair", "by_author"} <= made
    # What cannot be said is said as a comment.
    assert "-- shop, book: CHECK: note LIKE 'x%'" in outcome.out


def test_ddl_of_two_files_with_the_same_names_loads(site):
    """Indexes of two files may have one name; in one schema of PostgreSQL they may not."""
    for name in ("a.db", "b.db"):
        site.sqlite(
            f"CREATE TABLE t{name[0]} (id INTEGER PRIMARY KEY, v INTEGER);"
            f"CREATE INDEX by_v ON t{name[0]} (v); CREATE INDEX t{name[0]}_pkey ON t{name[0]} (v)",
            name=name,
        )
    site.configure("a.db", "b.db")
    outcome = site.cdc("plan", "--ddl")
    assert outcome.code == 0
    site.postgres(outcome.out)
    assert len([kind for kind, *_ in relations(site) if kind == "i"]) == 6


def test_ddl_is_not_json(library):
    """To ask for both is wrong usage."""
    assert library.cdc("plan", "--ddl", "--json").code == 2


def test_what_is_not_carried_over_is_told(library):
    """With its text and the reason; and what is carried over is no part of that."""
    outcome = library.cdc("plan", "--json")
    book = tables(outcome)["book"]
    left = {each["what"]: each for each in book["not_carried_over"]}
    assert left["CHECK"]["text"] == "note LIKE 'x%'"
    assert all(each["reason"] for each in left.values())
    assert "generated column code" in left
    assert book["computed"] == ["shout"]
    assert "by_author" in book["indexes"]
    report = library.cdc("plan").out
    assert "Not carried over:" in report
    assert "LIKE 'x%'" in report


def test_orphans_are_counted(library):
    """Rows that refer to nothing, by every key; NULL refers to nothing on purpose."""
    library.sqlite("INSERT INTO author VALUES (1, 'Ada')")
    for row in (
        ("a", 1, "ada"),  # NOCASE: SQLite compares as the parent's column does
        ("b", 2, None),
        ("c", None, "Bo"),
        ("d", "1", None),  # by the parent's affinity this is 1
        ("e", 3, None),
        ("f", 4, None),
        ("g", 5, None),
    ):
        library.sqlite("INSERT INTO book (isbn, author, written_by) VALUES (?, ?, ?)", row)
    library.sqlite('INSERT INTO "Loan list" VALUES (1, 2), (1, NULL), (NULL, NULL), (3, 4)')
    library.sqlite("INSERT INTO pair VALUES (3, 4, 5)")
    outcome = library.cdc("plan", "--json")
    assert outcome.code == 0
    found = tables(outcome)
    to_author, by_name = found["book"]["foreign_keys"]
    assert (to_author["orphans"], to_author["examples"]) == (4, [["'b'"], ["'e'"], ["'f'"]])
    assert (by_name["orphans"], by_name["examples"]) == (1, [["'c'"]])
    assert found["loan"]["foreign_keys"][0]["orphans"] == 0
    [pair] = found["Loan list"]["foreign_keys"]
    assert (pair["parent_columns"], pair["orphans"]) == (["x", "y"], 1)
    report = library.cdc("plan").out
    assert "4 rows refer to nothing, such as key 'b'; 'e'; 'f'" in report
    assert "1 row refers to nothing" in report
    assert "no orphans" in report


def test_orphans_agree_with_sqlite(library):
    """As many as SQLite's own check finds, where it can be asked."""
    library.sqlite("INSERT INTO author VALUES (1, 'a'), (2, 'b')")
    library.sqlite(
        "INSERT INTO book (isbn, author, written_by) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL"
        " SELECT i + 1 FROM n WHERE i < 500) SELECT 'isbn ' || i, i % 3, char(96 + i % 5) FROM n"
    )
    expected = library.sqlite("SELECT count(*) FROM pragma_foreign_key_check('book')")
    keys = tables(library.cdc("plan", "--json"))["book"]["foreign_keys"]
    assert sum(key["orphans"] for key in keys) == expected[0][0] > 0


@pytest.mark.parametrize(
    ("parent", "exclude", "reason"),
    [
        ("", (), "there is no such table"),
        ("CREATE TABLE p (id INTEGER PRIMARY KEY)", ("p",), "is not captured"),
        ("CREATE TABLE p (id INTEGER)", (), "no unique values"),
        ("CREATE TABLE p (id TEXT COLLATE NOCASE UNIQUE)", (), "collation of SQLite's"),
        ("CREATE TABLE p (id TEXT PRIMARY KEY)", (), "p becomes bigint, and id text"),
    ],
)
def test_keys_that_lead_nowhere(site, parent, exclude, reason):
    """A foreign key that PostgreSQL does not get is told with the reason, and is no obstacle."""
    site.sqlite(f"{parent}; CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id))")
    site.configure()
    if exclude:
        text = site.config_path.read_text()
        site.config_path.write_text(text + f"\nexclude = {list(exclude)}\n".replace("'", '"'))
    outcome = site.cdc("plan", "--json")
    assert outcome.code == 0, outcome.err
    [key] = tables(outcome)["c"]["foreign_keys"]
    assert not key["carried_over"]
    assert reason in key["reason"]
    assert reason in site.cdc("plan").out


def test_parent_that_is_not_part_of_the_selection(library):
    """With --table, the other tables are still captured by the run."""
    outcome = library.cdc("plan", "--table", "loan", "--json")
    [key] = tables(outcome)["loan"]["foreign_keys"]
    assert (key["carried_over"], key["orphans"]) == (True, 0)


def test_trigger_that_may_hide_changes_is_named(site):
    """The one pattern that capture cannot see is told where it can occur."""
    site.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY);"
        "CREATE TRIGGER quiet AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END;"
        "CREATE TRIGGER loud AFTER INSERT ON t BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    site.configure()
    [source] = site.cdc("plan", "--json").json["sources"]
    told = {trigger["name"]: trigger["may_hide_changes"] for trigger in source["triggers"]}
    assert told == {"quiet": True, "loud": False}
    assert site.cdc("plan").out.count("It can end a statement") == 1


CHECKED = """
CREATE TABLE t (
    id INTEGER PRIMARY KEY, price REAL CHECK (price > 0), low REAL, high REAL,
    CONSTRAINT sane CHECK (low IS NULL OR high IS NULL OR low <= high)
);
INSERT INTO t VALUES (1, 0.5, 1, 2), (2, NULL, NULL, 2);
PRAGMA ignore_check_constraints = ON;
INSERT INTO t VALUES (3, -1, 2, 1), (4, -2, 1, 2);
"""


def test_rows_that_break_a_check(site):
    """SQLite was told not to look when they were written; the run would stop at them."""
    site.sqlite(CHECKED)
    site.configure()
    price, sane = site.plan().problems
    assert "2 rows break CHECK (price > 0)" in price.text
    assert price.keys == ((3,), (4,))
    assert "1 row breaks CHECK (low IS NULL OR" in sane.text
    assert "such as key 3; 4" in site.cdc("plan").out
    with pytest.raises(CdcError, match="violates check constraint"):
        site.catch_up()
    site.configure(on_error="quarantine")
    plan = site.plan()
    assert (plan.problems, len(plan.set_aside)) == ([], 2)
    site.catch_up()
    assert site.postgres("SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_checks_of_a_table_made_by_hand_are_its_own(site):
    """Neither looked for in SQLite's rows, nor in the DDL."""
    site.sqlite(CHECKED)
    site.postgres("CREATE TABLE t (id bigint PRIMARY KEY, price float8, low float8, high float8)")
    site.configure(more="[sources.tables.t]\nexisting = true")
    plan = site.plan()
    assert (plan.problems, plan.statements()) == ([], [])
    site.catch_up()
    site.assert_equal()
