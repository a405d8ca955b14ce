"""The first type of a column takes every value that is there, wherever in the table it stands."""

import pytest

from cdc.crossing.fitting import Look, fitting_types
from cdc.errors import SourceBusy
from cdc.sqlite import introspect
from cdc.sqlite.connection import SourceFile
from tests.support.sites import Site

FILL = """
CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE, paid BOOLEAN, price DECIMAL(10,2), anything,
    at TIMESTAMP, fine DATE, empty DATE);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO t SELECT i, '2025-08-01', i % 2, i / 4.0, i, '2025-08-01 09:30:00', '2025-08-01', NULL
    FROM n;
"""


@pytest.fixture
def table(site: Site) -> Site:
    site.sqlite(FILL)
    site.configure()
    return site


def test_one_value_in_the_middle_decides(table: Site) -> None:
    """What no sample sees keeps the copy from nothing; the plan says the same types."""
    table.sqlite(
        "UPDATE t SET day = 'soon', paid = 2, price = 0.125, anything = x'00', at = 'never'"
        " WHERE id = 2500"
    )
    (planned,) = table.cdc("plan", "--json").json["sources"][0]["tables"]
    table.catch_up()
    table.assert_equal()
    assert table.columns("t") == {
        "id": "bigint",
        "day": "text",
        "paid": "bigint",
        "price": "numeric",
        "anything": "text",
        "at": "text",
        "fine": "date",
        "empty": "text",
    }
    assert {c["name"]: c["sql_type"] for c in planned["columns"]} == table.columns("t")


def test_declarations_are_kept_where_all_values_keep_them(table: Site) -> None:
    table.catch_up()
    table.assert_equal()
    assert table.columns("t") == {
        "id": "bigint",
        "day": "date",
        "paid": "boolean",
        "price": "numeric(10,2)",
        "anything": "bigint",
        "at": "timestamp without time zone",
        "fine": "date",
        "empty": "text",
    }


def test_a_look_at_all_rows_can_be_given_up(table: Site) -> None:
    """Whoever asks the daemon to stop does not wait for the end of a large table."""
    looks = iter([False, True])
    with SourceFile(table.file()) as file:
        with file.reading():
            source = introspect.source_table(file, "t")
        with pytest.raises(SourceBusy, match="stop"):
            fitting_types(file, source, [1, 2, 4], Look(0.0001, lambda: next(looks)))


def test_a_declaration_that_sqlite_does_not_know_promises_nothing(site: Site) -> None:
    """It makes numbers of texts that look like one; what may come next has to fit all the same."""
    site.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, empty JSON, body JSON, code STRING, mixed UUID);"
        """INSERT INTO t VALUES (1, NULL, '{"a": 1}', '7', '7'), (2, NULL, '[]', '8.5', 'x')"""
    )
    site.configure()
    site.catch_up()
    assert site.columns("t") == {
        "id": "bigint",
        "empty": "text",
        "body": "text",
        "code": "numeric",
        "mixed": "text",
    }
    site.sqlite("""INSERT INTO t (id, empty) VALUES (3, '{"a": 1}'), (4, '5'), (5, 1e300 * 1e9)""")
    site.catch_up()
    site.assert_equal()
