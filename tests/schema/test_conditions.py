"""What rows have to keep to: made with the table, and made good behind a table that was altered."""

from cdc.postgres import left_out
from tests.support.sites import Site

REBUILD = """
BEGIN;
CREATE TABLE new (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, size INTEGER NOT NULL,
    CONSTRAINT sane CHECK (size > 0), CONSTRAINT sane CHECK (kind IN ('a', 'b')));
INSERT INTO new SELECT id, kind, size FROM item;
DROP TABLE item;
ALTER TABLE new RENAME TO item;
COMMIT;
"""


def _state(site: Site) -> tuple[list[str], dict[str, bool]]:
    """The columns that are NOT NULL, and the checks with whether they are valid."""
    columns = site.postgres(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnotnull"
        " AND attnum > 0 ORDER BY attnum"
    )
    checks = site.postgres(
        "SELECT conname, convalidated FROM pg_constraint"
        " WHERE contype = 'c' AND conrelid = 'item'::regclass"
    )
    return [name for (name,) in columns], dict(checks)


def _rebuilt(site: Site) -> None:
    """A site whose table gets its conditions by a rebuild while the daemon follows it."""
    site.sqlite(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, kind TEXT, size INTEGER);"
        "INSERT INTO item VALUES (1, 'a', 1), (2, 'b', 2)"
    )
    site.configure()
    site.catch_up()
    assert _state(site) == (["id"], {})
    site.sqlite(REBUILD)


def test_a_rebuild_tightens_the_target(site: Site) -> None:
    """Two checks of one name in SQLite have two in PostgreSQL."""
    _rebuilt(site)
    site.catch_up()
    site.assert_equal()
    assert _state(site) == (["id", "kind", "size"], {"sane": True, "sane1": True})


def test_a_kill_while_a_column_is_tightened_is_made_good(site: Site) -> None:
    """What stood there for a moment is gone, and the column is as it should be."""
    _rebuilt(site)
    site.catch_up()
    site.postgres("ALTER TABLE item ALTER size DROP NOT NULL")
    site.postgres("ALTER TABLE item ADD CONSTRAINT _cdc_not_null CHECK (size IS NOT NULL)")
    site.catch_up()
    assert _state(site) == (["id", "kind", "size"], {"sane": True, "sane1": True})


def test_rows_that_do_not_keep_to_it_are_told(site: Site) -> None:
    """What older rows break is there for new ones, and `cdc status` has the reason."""
    _rebuilt(site)
    site.catch_up()
    site.postgres("ALTER TABLE item DROP CONSTRAINT sane, ALTER size DROP NOT NULL")
    site.postgres("SELECT set_config('cdc.session', 'on', false); UPDATE item SET size = NULL")
    site.postgres("ALTER TABLE item ADD CONSTRAINT sane CHECK (size IS NOT NULL) NOT VALID")
    site.catch_up()
    with site.target() as target, target.lease() as conn:
        told = {each.what: each.reason for each in left_out.read(conn, "shop")}
    assert told == {
        "NOT NULL of size": "rows of the target have none",
        "CHECK sane": "rows break it; it is there, but NOT VALID",
    }
    assert _state(site) == (["id", "kind"], {"sane": False, "sane1": True})


def test_checks_hold_on_mapped_types(site: Site) -> None:
    """A CHECK of sized texts, exact numbers, booleans and dates is PostgreSQL's own thereafter."""
    site.sqlite(
        "CREATE TABLE item (id INTEGER PRIMARY KEY,"
        " status TEXT CHECK (status IN ('open', 'closed')),"
        " price REAL CHECK (price BETWEEN 0 AND 1),"
        " paid BOOLEAN CHECK (paid IN (0, 1)),"
        " day TEXT CHECK (day >= '2020-01-01'));"
        "INSERT INTO item VALUES (1, 'open', 0.25, 1, '2025-08-01')"
    )
    types = {"status": "varchar(9)", "price": "numeric(10,4)", "day": "date"}
    columns = [f'{name}.type = "{type_}"' for name, type_ in types.items()]
    site.configure(more="\n".join(["[sources.tables.item.columns]", *columns]))
    site.catch_up()
    site.assert_equal()
    assert len(_state(site)[1]) == 4
    with site.target() as target, target.lease() as conn:
        assert left_out.read(conn, "shop") == []
