"""`cdc replay` into each of its destinations, to the end and to earlier moments."""

import psycopg
import pytest

from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lock import SourceLock
from tests.replay.conftest import PAST


def test_a_sqlite_file_with_its_own_ddl(shop):
    """Every value in its storage class, tables and indexes as the application made them, and
    nothing of ours; at the end proven, and at an earlier event what was there."""
    seq = shop.live()
    made = shop.replay("--into-sqlite", shop.site.folder / "copy.db")
    assert (made["equal"], made["unproven"], made["changed_since"]) == (True, "", 0)
    schema = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE '%\\_cdc%' ESCAPE '\\'"
    kept = {name: sql for name, sql in shop.site.sqlite(schema) if "_cdc" not in name}
    assert dict(shop.site.sqlite(schema, name="copy.db")) == kept
    for table in ("orders", "words", "notes"):
        assert shop.rows(table) == shop.rows(table, "copy.db")
    shop.replay("--into-sqlite", shop.site.folder / "early.db", "--until-seq", seq)
    early = shop.site.sqlite("SELECT count(*), max(id) FROM orders", name="early.db")
    assert early == [(60, 89)]
    assert "is there already" in shop.replay("--into-sqlite", shop.site.folder / "early.db", code=2)


def test_rows_without_a_key_are_kept_but_not_sure(shop):
    """SQLite has as many rows as one likes whose key is NULL, and no event tells which it is of."""
    site = shop.site
    site.sqlite(
        "CREATE TABLE t (k TEXT, l TEXT, v, PRIMARY KEY (k, l)); CREATE TABLE sure (k TEXT UNIQUE)"
    )
    site.configure(on_error="quarantine", more=PAST)
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (NULL, 'a', 1), ('b', NULL, 3), ('c', 'd', 4)")
    site.sqlite("INSERT INTO sure VALUES (NULL), (NULL)")
    site.catch_up()
    made = shop.replay("--into-sqlite", site.folder / "copy.db")
    assert made["equal"]
    rows = site.sqlite("SELECT * FROM t ORDER BY v", name="copy.db")
    assert rows == site.sqlite("SELECT * FROM t ORDER BY v")
    assert site.sqlite("SELECT * FROM sure", name="copy.db") == [(None,), (None,)]
    [note] = made["notes"]
    assert note.startswith("table t had rows whose key is NULL")
    # Of two with the same key the triggers read the first one.
    site.sqlite("INSERT INTO t VALUES (NULL, 'a', 2)")
    site.catch_up()
    made = shop.replay("--into-sqlite", site.folder / "later.db", code=1)
    assert made["notes"] == [note]
    differing = [each for each in made["proof"] if each["missing"] or each["extra"]]
    assert [each["table"] for each in differing] == ["t"]


def test_a_file_that_is_lost_is_rebuilt_from_the_archive(shop):
    """Neither the source nor PostgreSQL is needed; all that was archived is there again."""
    shop.live()
    shop.site.catch_up()
    before = {table: shop.rows(table) for table in ("orders", "words", "notes")}
    schema = "SELECT sql FROM sqlite_schema WHERE name IN ('orders', 'by_price', 'notes')"
    kept = set(shop.site.sqlite(schema))
    shop.site.file().unlink()
    shop.site.configure(dsn="postgresql://nobody@nowhere.invalid/nothing")
    made = shop.replay("--into-sqlite", shop.site.folder / "copy.db")
    assert "does not exist" in made["archive_alone"]
    assert before == {table: shop.rows(table, "copy.db") for table in before}
    assert set(shop.site.sqlite(schema, name="copy.db")) == kept


def test_a_schema_is_proven_and_goes_on(shop):
    """The same command moves it on to what came since; to an earlier event it does not go back."""
    seq = shop.live()
    made = shop.replay("--into-schema", "old", "--until-seq", seq)
    assert made["seq"] == seq
    assert shop.site.postgres("SELECT count(*) FROM old.orders") == [(60,)]
    made = shop.replay("--into-schema", "old")
    assert (made["equal"], made["newest"], made["unproven"]) == (True, True, "")
    shop.site.sqlite("DELETE FROM orders WHERE id % 2")
    made = shop.replay("--into-schema", "old")
    assert (made["equal"], made["changed_since"]) == (True, 0)
    words = shop.replay("--into-schema", "old", "--until-seq", seq, code=2)
    assert "already, behind event" in words
    assert "other tables" in shop.replay("--into-schema", "old", "--table", "words", code=2)
    assert "is there already" in shop.replay("--into-schema", "public", code=2)


def test_a_difference_is_found(shop):
    """What somebody changes in the schema shows in the comparison, and in the exit code."""
    shop.live()
    shop.replay("--into-schema", "copy")
    shop.site.postgres(
        "UPDATE copy.orders SET price = 1 WHERE id = (SELECT max(id) FROM copy.orders)"
    )
    shop.site.postgres("DELETE FROM copy.words WHERE n = 1")
    made = shop.replay("--into-schema", "copy", code=1)
    found = {t["table"]: (t["missing"], t["extra"], t["different"]) for t in made["proof"]}
    assert found == {"orders": (0, 0, 1), "words": (1, 0, 0), "notes": (0, 0, 0)}


def test_another_database_and_some_tables(shop, server_dsn):
    """The schema that the configuration names, in a database that knows nothing of cdc."""
    shop.live()
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute("CREATE DATABASE cdc_test_other")
        try:
            dsn = psycopg.conninfo.make_conninfo(server_dsn, dbname="cdc_test_other")
            made = shop.replay("--into-dsn", dsn, "--table", "orders", "--table", "WORDS")
            assert (made["tables"], made["equal"]) == (["orders", "words"], True)
            with psycopg.connect(dsn) as conn:
                [(count,)] = conn.execute("SELECT count(*) FROM public.orders").fetchall()
            assert count == shop.site.sqlite("SELECT count(*) FROM orders")[0][0]
        finally:
            admin.execute("DROP DATABASE cdc_test_other WITH (FORCE)")


def test_a_target_that_was_dropped_entirely_is_rebuilt(shop):
    """Tables and the schema cdc are gone; the replay alone brings them back, and the daemon goes on
    from there without copying anything."""
    shop.live()
    shop.site.postgres("DROP SCHEMA cdc CASCADE; DROP TABLE orders, words, notes CASCADE")
    made = shop.replay("--yes")
    assert (made["equal"], made["unproven"]) == (True, "")
    before = shop.site.postgres("SELECT name, created_at, copied_rows FROM cdc.captured_table")
    shop.site.sqlite("DELETE FROM orders WHERE id % 2; INSERT INTO words VALUES ('new', 7, NULL)")
    shop.target_is_proven()
    after = shop.site.postgres("SELECT name, created_at, copied_rows FROM cdc.captured_table")
    assert sorted(before) == sorted(after)


@pytest.fixture
def put_back(site, server_dsn):
    """`put_back()`: PostgreSQL as it is now; what it returns, called, puts it back to that."""
    name = f"{psycopg.conninfo.conninfo_to_dict(site.dsn)['dbname']}_old"

    def keep():
        run(f"CREATE DATABASE {name} TEMPLATE {name.removesuffix('_old')}")

        def restore():
            site.dsn = psycopg.conninfo.make_conninfo(site.dsn, dbname=name)
            site.configure(more=PAST)

        return restore

    def run(statement):
        with psycopg.connect(server_dsn, autocommit=True) as admin:
            admin.execute(statement.encode())

    yield keep
    run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.parametrize("by", ["cdc run", "cdc replay"])
def test_postgresql_put_back_to_an_older_backup(shop, put_back, by):
    """What it lacks was pruned from the file since. The daemon takes it from the archive; a replay
    rebuilds all of it."""
    shop.live()
    restore = put_back()
    shop.site.sqlite("DELETE FROM orders WHERE id % 5 = 0; UPDATE words SET n = n + 1")
    shop.site.catch_up()
    shop.site.sqlite("REPLACE INTO orders (item, price) SELECT item, price + 1 FROM orders")
    shop.site.catch_up()
    shop.site.sqlite("DELETE FROM notes WHERE text IS NULL")
    restore()
    [(position,)] = shop.site.postgres("SELECT applied_seq FROM cdc.source")
    assert shop.site.sqlite("SELECT min(seq) FROM _cdc_changelog")[0][0] > position + 1
    if by == "cdc replay":
        assert shop.replay("--yes")["equal"]
    shop.target_is_proven()


def test_tables_that_were_dropped_or_spoilt_are_rebuilt(shop):
    """Where the schema cdc is still there, what it knows of the log stays known."""
    shop.live()
    shop.site.catch_up()
    boundaries = shop.site.postgres("SELECT count(*) FROM cdc.boundary")
    shop.site.postgres(
        "DROP TABLE words CASCADE; SET cdc.session = 'on'; UPDATE orders SET price = 0;"
        "INSERT INTO notes (rowid, text) VALUES (99, 'stray')"
    )
    assert shop.replay("--yes")["equal"]
    assert shop.site.postgres("SELECT count(*) FROM cdc.boundary") >= boundaries
    shop.target_is_proven()


def test_a_replay_of_the_target_to_an_earlier_event_is_caught_up_with(shop):
    """The position is that of the rows: the daemon applies the rest, out of the archive."""
    seq = shop.live()
    shop.replay("--yes", "--until-seq", seq)
    assert shop.site.postgres("SELECT applied_seq FROM cdc.source") == [(seq,)]
    assert shop.site.postgres("SELECT count(*) FROM orders") == [(60,)]
    shop.target_is_proven()


def test_the_target_needs_a_yes_and_nobody_else_at_work(shop):
    """Without --yes nothing is done; who holds the source is named."""
    shop.live()
    assert "would be dropped" in shop.replay(code=2)
    lock = SourceLock.acquire(shop.site.file(), command="cdc run", target="somewhere")
    try:
        assert "is held by cdc run (process" in shop.replay("--yes", code=3)
    finally:
        lock.release()
    shop.site.postgres("SELECT cdc.turn_gate(true, epoch) FROM cdc.gate")
    assert "PostgreSQL takes the writes now" in shop.replay("--yes", code=3)


def test_rows_that_came_from_postgresql_are_replayed_too(shop):
    """The way back has left events of its own: in every destination they count, and the target is
    never set back behind them, for the daemon would pass over them."""
    seq = shop.live()
    newest = "(SELECT max(seq) FROM _cdc_changelog)"
    shop.site.sqlite(f"UPDATE _cdc_changelog SET origin = 1 WHERE seq = {newest}")
    shop.site.catch_up()
    assert shop.site.differences() != []  # as nobody has written that row to PostgreSQL
    made = shop.replay("--into-schema", "copy")
    assert made["equal"]
    assert "rows came back from PostgreSQL" in shop.replay("--yes", "--until-seq", seq, code=1)
    assert shop.replay("--yes")["equal"]
    shop.site.assert_equal()


def test_a_dry_run_counts_and_writes_nothing(shop):
    """Events and baselines, and from where; nothing is made anywhere."""
    seq = shop.live()
    found = shop.replay("--dry-run", "--into-sqlite", shop.site.folder / "none.db")
    assert found["events"] == found["seq"] == shop.newest()
    assert 0 < found["events_archived"] < found["events"]
    assert (found["baselines"], found["baseline_rows"]) == (3, 96)
    assert not shop.site.file("none.db").exists()
    assert shop.replay("--dry-run", "--until-seq", seq)["events"] == seq
    assert shop.site.postgres("SELECT count(*) FROM pg_namespace WHERE nspname = 'none'") == [(0,)]


def test_a_time_is_the_boundary_before_it(shop):
    """Up to a time: the last moment between two transactions that is known; what was before the
    first event is not told."""
    seq = shop.live()
    [(at,)] = shop.site.postgres(
        "SELECT to_char(to_timestamp((at - 2440587.5) * 86400) AT TIME ZONE 'UTC',"
        f" 'YYYY-MM-DD HH24:MI:SS.US') FROM cdc.boundary WHERE seq = {seq}"
    ) or [(None,)]
    assert at is not None
    # The clock of an event is exact to some microseconds.
    made = shop.replay("--into-schema", "then", "--until", f"{at[:-3]}999Z")
    assert (made["seq"], made["whole"]) == (seq, True)
    words = shop.replay("--into-schema", "before", "--until", "2020-01-01 00:00Z", code=1)
    assert "before the time that is asked for" in words
    assert "has no event" in shop.replay("--into-schema", "x", "--until-seq", 10**6, code=2)


def test_a_gap_in_the_capture_is_named(shop):
    """What was written while a trigger was gone is nobody's to tell; the next baseline is."""
    shop.live()
    shop.site.catch_up()
    sure = shop.newest()
    [(trigger,)] = shop.site.sqlite(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'orders'"
        " AND name LIKE '%_delete'"
    )
    shop.site.sqlite(f'DROP TRIGGER "{trigger}"; DELETE FROM orders WHERE id % 2')
    shop.site.sqlite("UPDATE words SET n = 1; UPDATE words SET n = 2")
    hole = shop.newest()
    shop.site.catch_up()
    shop.site.sqlite("UPDATE orders SET price = 3")
    words = shop.replay("--into-schema", "a", "--until-seq", hole - 1, code=1)
    assert f"may have missed changes between event {sure:,} and event {hole:,}" in words
    assert f"event {sure:,}" in words.split("→")[1]
    assert shop.replay("--into-schema", "a", "--until-seq", hole - 1, "--table", "words")["events"]
    assert shop.replay("--into-schema", "b", "--until-seq", sure)["seq"] == sure
    assert shop.replay("--into-schema", "c")["equal"]


def test_rows_that_no_column_holds_are_set_aside(shop):
    """As in the live quarantine, whole; and the comparison knows of them."""
    shop.site.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 2)"
    )
    shop.site.configure(on_error="quarantine")
    shop.site.catch_up()
    shop.site.sqlite("UPDATE t SET n = 'word' WHERE id = 1; INSERT INTO t VALUES (2, 3)")
    shop.site.catch_up()
    made = shop.replay("--into-schema", "copy")
    assert (made["quarantined"], made["equal"]) == ({"t": 1}, True)
    assert shop.site.postgres("SELECT name, reason FROM copy._cdc_quarantine") != []
    assert shop.replay("--yes")["quarantined"] == {"t": 1}
    shop.site.assert_equal()


def test_a_flipped_bit_ends_the_replay(shop):
    """No row of a damaged segment is written as if it were sound."""
    shop.live()
    [segment, *_] = sorted((shop.site.folder / ".cdc" / "archive").rglob("*-events-*"))
    data = bytearray(segment.read_bytes())
    data[-20] ^= 4
    segment.write_bytes(bytes(data))
    assert "is damaged" in shop.replay("--into-schema", "copy", code=3)


def test_the_source_is_only_read(shop):
    """Into another place the file is not changed by a byte, and nobody holds its lock."""
    shop.live()
    before = shop.site.file().read_bytes()
    shop.replay("--into-schema", "copy")
    shop.replay("--into-sqlite", shop.site.folder / "copy.db")
    assert shop.site.file().read_bytes() == before
    with SourceFile(shop.site.file()) as file, file.reading():
        assert file.query("SELECT count(*) FROM orders").get == 60
