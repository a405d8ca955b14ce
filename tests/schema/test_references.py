"""Foreign keys between tables of different files, as the configuration names them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.crossing.references import SourceReferences, references_of
from cdc.errors import ConfigError
from cdc.postgres import constraints, left_out
from tests.support.sites import Site
from tests.support.waiting import wait_until

KEY = """
[[foreign_keys]]
from = "fills.Fills"
columns = ["trade_id"]
to = "trades.trades"
to_columns = ["ticket_id"]
on_delete = "cascade"
"""

WHAT = "foreign key (trade_id) to trades.trades"


@pytest.fixture
def desk(site: Site) -> Site:
    site.sqlite(
        "CREATE TABLE trades (id INTEGER PRIMARY KEY, ticket_id TEXT UNIQUE);"
        "INSERT INTO trades (ticket_id) VALUES ('A'), ('B')",
        name="trades.db",
    )
    site.sqlite(
        "CREATE TABLE fills (id INTEGER PRIMARY KEY, trade_id TEXT);"
        "INSERT INTO fills (trade_id) VALUES ('A'), ('B'), (NULL)",
        name="fills.db",
    )
    site.configure("fills.db", "trades.db", own_schemas=True, more=KEY)
    return site


def _keys(site: Site) -> list[tuple[str, bool, str]]:
    return site.postgres(
        "SELECT conname, convalidated, confdeltype FROM pg_constraint WHERE contype = 'f'"
    )


def _missing(site: Site) -> dict[str, str]:
    with site.target() as target, target.lease() as conn:
        return {each.what: each.reason for each in left_out.read(conn, "fills")}


def test_a_key_between_two_files_is_made_and_validated(desk: Site) -> None:
    desk.catch_up()
    desk.assert_equal()
    assert _keys(desk) == [("fills_trade_id_fkey", True, "c")]
    assert WHAT not in _missing(desk)


def test_orphans_are_counted_until_there_are_none(desk: Site) -> None:
    desk.sqlite("INSERT INTO fills (trade_id) VALUES ('X'), ('Y')", name="fills.db")
    desk.catch_up()
    assert _keys(desk) == [("fills_trade_id_fkey", False, "c")]
    assert _missing(desk)[WHAT].startswith("2 rows refer to none")
    assert WHAT in desk.cdc("status").out
    desk.sqlite("INSERT INTO trades (ticket_id) VALUES ('X'), ('Y')", name="trades.db")
    desk.catch_up()
    assert _keys(desk) == [("fills_trade_id_fkey", True, "c")]
    assert WHAT not in _missing(desk)


@pytest.mark.parametrize("name", ["fills", "trades"])
def test_a_table_at_either_end_can_be_made_anew(desk: Site, name: str) -> None:
    """The key goes with the old table, and comes again with the new one."""
    desk.catch_up()
    desk.sqlite(f"ALTER TABLE {name} ADD COLUMN note TEXT", name=f"{name}.db")
    desk.catch_up()
    desk.assert_equal()
    assert _keys(desk) == [("fills_trade_id_fkey", True, "c")]


@pytest.mark.parametrize("file", ["fills", "trades"])
def test_a_renamed_table_takes_the_key_along(desk: Site, file: str) -> None:
    """What the configuration names follows; the key of the name before is not left behind."""
    desk.catch_up()
    desk.sqlite(f"ALTER TABLE {file} RENAME TO renamed", name=f"{file}.db")
    old, new = {"fills": ("fills.Fills", "fills.renamed"), "trades": ("s.trades", "s.renamed")}[
        file
    ]
    more = KEY.replace(old, new)
    desk.configure("fills.db", "trades.db", own_schemas=True, more=more)
    desk.catch_up()
    desk.assert_equal()
    ((name, valid, _),) = _keys(desk)
    assert (name.endswith("_trade_id_fkey"), valid) == (True, True)


def test_a_column_that_goes_while_it_runs_takes_the_key_with_it(desk: Site) -> None:
    """Replication goes on, and the status says why there is no key."""
    desk.catch_up()
    desk.sqlite("ALTER TABLE fills RENAME COLUMN trade_id TO trade", name="fills.db")
    desk.catch_up()
    desk.assert_equal()
    assert _keys(desk) == []
    assert "trade_id is no column of fills.fills" in _missing(desk)[WHAT]


def test_a_change_while_it_runs_brings_the_key_again(desk: Site) -> None:
    daemon = desk.daemon()
    desk.sqlite("ALTER TABLE trades ADD COLUMN note TEXT", name="trades.db")
    desk.sqlite("UPDATE trades SET note = 'x'", name="trades.db")
    desk.wait_until_equal(daemon=daemon)
    wait_until(lambda: _keys(desk) == [("fills_trade_id_fkey", True, "c")])
    assert daemon.stop() == 0


def test_a_key_that_leaves_the_configuration_goes_and_a_changed_one_is_made_anew(
    desk: Site,
) -> None:
    desk.catch_up()
    changed = KEY.replace("cascade", "set null")
    desk.configure("fills.db", "trades.db", own_schemas=True, more=changed)
    desk.catch_up()
    assert _keys(desk) == [("fills_trade_id_fkey", True, "n")]
    desk.configure("fills.db", "trades.db", own_schemas=True)
    desk.catch_up()
    assert _keys(desk) == []


def test_types_that_postgresql_does_not_compare_are_reported(desk: Site) -> None:
    """Without columns named, the key is meant, which is a number."""
    more = KEY.replace('to_columns = ["ticket_id"]', "")
    desk.configure("fills.db", "trades.db", own_schemas=True, more=more)
    desk.catch_up()
    assert _keys(desk) == []
    assert _missing(desk)[WHAT] == "trade_id becomes text, and id bigint"


def test_columns_that_are_not_unique_are_reported(desk: Site) -> None:
    desk.sqlite("CREATE TABLE notes (ticket_id TEXT)", name="trades.db")
    more = KEY.replace("trades.trades", "trades.notes")
    desk.configure("fills.db", "trades.db", own_schemas=True, more=more)
    desk.catch_up()
    assert "no unique constraint" in _missing(desk)[WHAT.replace(".trades", ".notes")]


@pytest.mark.parametrize(
    ("old", "new", "words", "allowed"),
    [
        ('"fills.Fills"', '"fils.fills"', "begins with no source", "fills, trades"),
        ('"trades.trades"', '"trades.trade"', "no captured table 'trade'", "trades"),
        ('["trade_id"]', '["trade"]', "has no column 'trade'", "id, trade_id"),
        ('["ticket_id"]', '["ticket"]', "has no column 'ticket'", "id, ticket_id"),
        ('["ticket_id"]', '["id", "ticket_id"]', "equally many", ""),
    ],
)
def test_a_key_about_what_is_not_there_is_refused(
    desk: Site, old: str, new: str, words: str, allowed: str
) -> None:
    more = KEY.replace(old, new)
    desk.configure("fills.db", "trades.db", own_schemas=True, more=more)
    with pytest.raises(ConfigError, match=words) as caught:
        desk.catch_up()
    assert allowed in caught.value.hint
    planned = desk.cdc("plan")
    assert planned.code == 2
    assert words in planned.err


def test_the_plan_prints_the_key_and_its_ddl_loads(desk: Site) -> None:
    desk.postgres(desk.cdc("plan", "--ddl").out)
    assert _keys(desk) == [("fills_trade_id_fkey", True, "c")]
    assert "(trade_id) → trades.trades (ticket_id): no orphans" in desk.cdc("plan").out


def test_the_plan_counts_the_orphans_of_two_files(desk: Site) -> None:
    """With the keys of the first few, as the run will find them; NULL refers to nothing."""
    desk.sqlite(
        "INSERT INTO fills (trade_id) VALUES ('X'), ('A'), ('Y'), (NULL), ('X')", name="fills.db"
    )
    fills = next(t for source in desk.plan().sources for t in source.tables if t.name == "fills")
    [key] = fills.foreign_keys
    assert key.orphans is not None
    assert (key.orphans.count, key.orphans.examples) == (3, [(4,), (6,), (8,)])
    desk.catch_up()
    assert _missing(desk)[WHAT].startswith("3 rows refer to none")


def _made_by_two(
    desk: Site, monkeypatch: pytest.MonkeyPatch, where: object, name: str, *, before: str = ""
) -> None:
    """Have the thread of one file come when that of the other is about to do something: to call
    `name`. What it finds PostgreSQL to be `before` is then as the second finds it.
    """
    do = getattr(where, name)
    coming: list[Any] = []
    with desk.target() as target, ThreadPoolExecutor() as threads:
        wanted = references_of(desk.config)

        def and_another(*arguments: Any) -> Any:
            if not coming:
                if before:
                    desk.postgres(before)
                another = SourceReferences("trades", wanted, target)
                coming.append(threads.submit(another.complete, ["trades"]))
                wait_until(lambda: coming[0].done() or desk.advisory_waits)
            return do(*arguments)

        monkeypatch.setattr(where, name, and_another)
        SourceReferences("fills", wanted, target).complete(["fills"])
        coming[0].result()


def test_two_threads_that_make_a_key_at_once_make_one(
    desk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file has a thread of its own, and both may be done at the same moment."""
    desk.catch_up()
    desk.postgres("ALTER TABLE fills.fills DROP CONSTRAINT fills_trade_id_fkey")
    _made_by_two(desk, monkeypatch, constraints, "make_foreign_key")
    assert _keys(desk) == [("fills_trade_id_fkey", True, "c")]
    assert WHAT not in _missing(desk)


def test_who_looks_last_records_last(desk: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one thread has found missing is not recorded behind the other one's having made it."""
    desk.catch_up()
    desk.postgres("ALTER TABLE fills.fills DROP CONSTRAINT fills_trade_id_fkey")
    of_trades = "UPDATE cdc.captured_table SET state = '{}' WHERE source = 'trades'"
    desk.postgres(of_trades.format("copying"))
    live = of_trades.format("live")
    _made_by_two(desk, monkeypatch, left_out, "record_one", before=live)
    assert _keys(desk) == [("fills_trade_id_fkey", True, "c")]
    assert WHAT not in _missing(desk)


def test_a_plain_role_leaves_the_key_to_the_cutover(desk: Site) -> None:
    """Where writes are checked, a child could come before its parent from the other file."""
    role = f"cdc_test_{uuid4().hex}"
    desk.postgres(f"CREATE ROLE {role} LOGIN PASSWORD 'custard'")
    desk.postgres(f"GRANT CREATE ON DATABASE {conninfo_to_dict(desk.dsn)['dbname']} TO {role}")
    admin, desk.dsn = desk.dsn, make_conninfo(desk.dsn, user=role, password="custard")
    desk.configure("fills.db", "trades.db", own_schemas=True, more=KEY)
    try:
        desk.catch_up()
        desk.sqlite("INSERT INTO fills (trade_id) VALUES ('C')", name="fills.db")
        desk.catch_up()  # the child is there, its parent is not
        desk.sqlite("INSERT INTO trades (ticket_id) VALUES ('C')", name="trades.db")
        desk.catch_up()
        desk.assert_equal()
        assert _keys(desk) == []
        assert "wait for the cutover" in _missing(desk)[WHAT]
    finally:
        desk.dsn = admin
        desk.postgres(f"DROP OWNED BY {role} CASCADE")
        desk.postgres(f"DROP ROLE {role}")
