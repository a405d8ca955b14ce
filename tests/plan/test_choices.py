"""What the configuration chose is counted, and what could be chosen is written out."""

import pytest

from cdc.cli.plan_json import as_json
from tests.support.sites import Site

PRICES = """
CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL, name TEXT, closed TEXT);
INSERT INTO t VALUES
    (1, 0.5, 'short', '2025-08-01T09:30:00'),
    (2, 0.12345, 'much too long', '2025-11-02T01:30:00'),
    (3, -7.25, NULL, '2025-03-09T02:30:00'),
    (4, 0.99995, 'short', NULL);
"""

CHOSEN = """
[sources.tables.t.columns]
price = { type = "numeric(10,4)", on_misfit = "round" }
name = { type = "varchar(8)", on_misfit = "truncate" }

[sources.tables.t.columns.closed]
type = "timestamptz"
timezone = "America/New_York"
ambiguous = "later"
missing = "forward"
"""


@pytest.fixture
def prices(site: Site) -> Site:
    site.sqlite(PRICES)
    return site


def planned(site: Site, *, fits: bool):
    """The columns of the one table by name, and the problems."""
    plan = as_json(site.plan())
    assert plan["fits"] == fits, plan
    [source] = plan["sources"]
    [table] = source["tables"]
    return {column["name"]: column for column in table["columns"]}, source["problems"]


def test_values_that_will_be_altered_are_counted_apart(prices):
    """Each with its key and what will stand in PostgreSQL; and so it does stand there."""
    prices.configure(more=CHOSEN)
    columns, problems = planned(prices, fits=True)
    assert problems == []
    assert columns["price"]["altered"] == {
        "count": 2,
        "examples": [
            {"key": ["2"], "value": "0.12345", "stored": "0.1235"},
            {"key": ["4"], "value": "0.99995", "stored": "1.0000"},
        ],
    }
    assert columns["name"]["altered"]["examples"] == [
        {"key": ["2"], "value": "'much too long'", "stored": "'much too'"}
    ]
    settled = columns["closed"]["settled"]
    assert settled["count"] == 2
    prices.catch_up()
    stored = {
        "price": prices.postgres("SELECT price::text FROM t WHERE id IN (2, 4) ORDER BY id"),
        "name": prices.postgres("SELECT quote_literal(name) FROM t WHERE id = 2"),
        "closed": prices.postgres(
            "SELECT to_char(closed AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00:00') FROM t"
            " WHERE id IN (2, 3) ORDER BY id"
        ),
    }
    for name, values in stored.items():
        found = columns[name]["altered"]["examples"] + columns[name]["settled"]["examples"]
        assert [(example["stored"],) for example in found] == values


def test_null_instead_is_counted(prices):
    """It is shown as SQL writes it, unlike the text of that name."""
    prices.configure(
        more='[sources.tables.t.columns.name]\ntype = "varchar(8)"\non_misfit = "null"'
    )
    columns, _ = planned(prices, fits=True)
    assert columns["name"]["altered"] == {
        "count": 1,
        "examples": [{"key": ["2"], "value": "'much too long'", "stored": "NULL"}],
    }


def test_report_shows_them(prices):
    """People see the same, and that nothing is wrong."""
    prices.configure(more=CHOSEN)
    report = prices.cdc("plan").out
    assert "numeric(10,4) ≈ 2" in report
    assert "≈ 2 values of price are rounded, as configured:" in report
    assert "key 2: 0.12345 becomes 0.1235" in report
    assert "key 2: '2025-11-02T01:30:00' becomes 2025-11-02 06:30:00+00:00" in report
    assert "All fits: 1 table, 4 rows; for 5 values another is stored" in report


def remedies(problem):
    return [problem, *problem["otherwise"]]


def entry(lines):
    """The settings of an entry, without its header."""
    assert lines[0].startswith("[sources.tables.t.columns.")
    return dict(line.split(" = ", 1) for line in lines[1:])


@pytest.mark.parametrize(
    ("rows", "given", "offered"),
    [
        (
            "(1, 0.5), (2, 0.12345)",
            'type = "numeric(10,4)"\nname = "price"',
            [
                {"type": '"double precision"', "name": '"price"'},
                {"type": '"numeric(10,4)"', "name": '"price"', "on_misfit": '"round"'},
            ],
        ),
        (
            "(1, '2025-08-01 09:30:00'), (2, '2025-11-02 01:30:00')",
            'type = "timestamptz"\ntimezone = "America/New_York"\non_misfit = "quarantine"',
            [
                {
                    "type": '"timestamptz"',
                    "timezone": '"America/New_York"',
                    "ambiguous": '"earlier"',
                    "missing": '"forward"',
                    "on_misfit": '"quarantine"',
                },
                {"type": '"text"', "on_misfit": '"quarantine"'},
            ],
        ),
        (
            "(1, 1762065000123), (2, 1762065000124)",
            'type = "timestamp"',
            [{"type": '"timestamp"', "epoch": '"ms"'}, {"type": '"bigint"'}],
        ),
        (
            "(1, 'fits'), (2, 'does not')",
            'type = "varchar(5)"\non_misfit = "null"',
            None,
        ),
        (
            "(1, 'fits'), (2, 'does not')",
            'type = "varchar(5)"',
            [{"type": '"text"'}, {"type": '"varchar(5)"', "on_misfit": '"truncate"'}],
        ),
    ],
    ids=["digits", "clock", "unit", "nothing wrong", "length"],
)
def test_the_whole_entry_is_offered(site, rows, given, offered):
    """Each entry is written out with all that belongs to it; put in the old one's place it makes
    every value fit.
    """
    affinity = "REAL" if "numeric" in given else "INTEGER" if "1762" in rows else "TEXT"
    site.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {affinity}); INSERT INTO t VALUES {rows}"
    )
    site.configure(more=f"[sources.tables.t.columns.v]\n{given}")
    if offered is None:
        planned(site, fits=True)
        return
    _, [problem] = planned(site, fits="quarantine" in given)
    found = [each["configuration"] for each in remedies(problem)]
    assert [entry(lines) for lines in found] == offered
    for lines in found:
        site.configure(more="\n".join(lines))
        _, problems = planned(site, fits=True)
        assert problems == []
