"""What tables and columns are called in PostgreSQL: kept, folded, chosen, and never in doubt."""

import pytest

from cdc.errors import ConfigError, TargetRefused
from tests.support.sites import Site

LONG = "A_table_whose_name_is_longer_than_the_sixty_three_bytes_of_PostgreSQL"
SHOP = f"""
CREATE TABLE Customer (ID INTEGER PRIMARY KEY, "Full Name" TEXT, Level INTEGER
    CONSTRAINT Sane CHECK (level > 0));
CREATE INDEX By_Level ON Customer (Level);
CREATE TABLE {LONG} (id INTEGER PRIMARY KEY, ctid TEXT, B TEXT, c TEXT);
INSERT INTO Customer VALUES (1, 'Ann', 3);
INSERT INTO {LONG} VALUES (1, 'x', 'y', 'z');
"""


def _tables(site: Site) -> set[str]:
    found = site.postgres(
        "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname <> ALL (%s)",
        ["cdc", "pg_catalog", "information_schema"],
    )
    return {name for (name,) in found}


def test_names_are_kept_in_their_case(site: Site) -> None:
    site.sqlite(SHOP)
    site.configure()
    site.catch_up()
    assert 'public."Customer"' in _tables(site)
    assert list(site.columns("Customer")) == ["ID", "Full Name", "Level"]


def test_folding_renames_what_is_there(site: Site) -> None:
    """Another fold later renames the very tables, and what follows them keeps up."""
    site.sqlite(SHOP)
    site.configure()
    site.catch_up()
    before = site.created()
    site.configure(fold="lower")
    site.catch_up()
    assert site.created() == before
    assert list(site.columns("customer")) == ["id", "full name", "level"]
    indexes = {name for (name,) in site.postgres("SELECT indexname FROM pg_indexes")}
    assert "by_level" in indexes
    site.sqlite("UPDATE Customer SET Level = 4")
    site.catch_up()
    site.assert_equal()


def test_a_chosen_name_goes_before_a_folded_one(site: Site) -> None:
    """The column that was to get a name by folding yields to the one that it was given."""
    site.sqlite(SHOP)
    site.configure(
        fold="lower",
        more=f'[sources.tables.{LONG}]\nname = "Short"\ncolumns.c.name = "b"\n',
    )
    site.catch_up()
    site.assert_equal()
    names = list(site.columns("Short"))
    assert (names[0], names[3]) == ("id", "b")
    assert names[1].startswith("ctid_")
    assert names[2].startswith("b_")
    notes = site.cdc("plan", "--json").json["sources"][0]["tables"]
    (told,) = (table["notes"] for table in notes if table["name"] == LONG)
    assert told == [
        f"Column ctid is called {names[1]} there: PostgreSQL keeps that name for itself.",
        f"Column B is called {names[2]} there: another one is called b.",
    ]


def test_a_name_that_is_too_long_is_cut_and_told(site: Site) -> None:
    site.sqlite(SHOP)
    site.configure(fold="lower")
    site.catch_up()
    (name,) = (n.removeprefix("public.") for n in _tables(site) if "longer" in n)
    assert name.startswith(LONG.lower()[:54] + "_")
    assert len(name) == 63
    outcome = site.cdc("plan")
    assert f"The table is called {name} there: PostgreSQL's names end at 63 bytes." in outcome.out


def test_names_of_two_files_that_folding_makes_one_are_told_apart(site: Site) -> None:
    """The first in the order of the configuration keeps the name, at each later start, too."""
    site.sqlite("CREATE TABLE Log (a INTEGER PRIMARY KEY); INSERT INTO Log VALUES (1)", name="a.db")
    site.sqlite("CREATE TABLE log (b INTEGER PRIMARY KEY); INSERT INTO log VALUES (2)", name="b.db")
    site.configure("a.db", "b.db", fold="lower")
    notes = [s["tables"][0]["notes"] for s in site.cdc("plan", "--json").json["sources"]]
    for _ in range(2):
        site.catch_up()
        site.assert_equal()
    assert list(site.columns("log")) == ["a"]
    (other,) = (name.removeprefix("public.") for name in _tables(site) - {"public.log"})
    assert other.startswith("log_")
    assert notes == [[], [f"The table is called {other} there: another one is called log."]]
    assert site.postgres(f"SELECT b FROM {other}") == [(2,)]


def test_the_same_name_in_two_files_needs_a_decision(site: Site) -> None:
    """Neither table is guessed another name: a schema each or a name says which is which."""
    for name in ("a.db", "b.db"):
        site.sqlite("CREATE TABLE log (a INTEGER PRIMARY KEY)", name=name)
    site.configure("a.db", "b.db")
    problems = site.cdc("plan", "--json").json["sources"][1]["problems"]
    assert problems[0]["configuration"] == ["[sources.tables.log]", 'name = "log_b"']
    with pytest.raises(TargetRefused, match="exists already") as refused:
        site.catch_up()
    assert "another name for the table" in refused.value.hint
    site.configure("a.db", "b.db", more="\n".join(problems[0]["configuration"]))
    site.catch_up()
    site.assert_equal()
    assert _tables(site) == {"public.log", "public.log_b"}


def test_two_tables_may_not_be_given_one_name(site: Site) -> None:
    site.sqlite("CREATE TABLE a (x INTEGER PRIMARY KEY); CREATE TABLE b (x INTEGER PRIMARY KEY)")
    site.configure(more='[sources.tables.a]\nname = "c"\n[sources.tables.b]\nname = "c"')
    with pytest.raises(ConfigError, match="must be unique in its schema"):
        _ = site.config
