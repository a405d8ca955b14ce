"""Many events are replayed group by group, as if they had all been there at once."""

from itertools import chain

import pytest

from cdc.archive import latest
from cdc.pipeline.batch import Compactor
from cdc.postgres.apply import Applier
from cdc.rebuild.into_postgres import PostgresWriter
from cdc.rebuilt import Standing
from cdc.replay import pieces
from cdc.replay.goal import Until, find_goal
from cdc.replay.plan import make_plan
from cdc.replay.store import open_store
from tests.replay.conftest import PAST

BUSY = """
CREATE TABLE whole (k INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE worded (k TEXT PRIMARY KEY NOT NULL, v TEXT) WITHOUT ROWID;
CREATE TABLE measured (k REAL PRIMARY KEY NOT NULL, v);
CREATE TABLE paired (v, k INTEGER NOT NULL, l TEXT NOT NULL, PRIMARY KEY (k, l));
CREATE TABLE leading (k INTEGER NOT NULL, l TEXT NOT NULL, v, PRIMARY KEY (k, l));
"""

KEYS = ({"k": "{i}"}, {"k": "'w{i}'"}, {"k": "{i}.5"}, {"k": "{i}", "l": "'l{i}'"})


def changes(number: int) -> str:
    """Some rows of each table written, changed, deleted and written again."""
    made = []
    for table in ("whole", "worded", "measured", "paired", "leading"):
        key = {"whole": 0, "worded": 1, "measured": 2}.get(table, 3)
        for i in range(number, number + 12):
            columns = {name: value.format(i=i) for name, value in KEYS[key].items()}
            names, values = ", ".join(columns), ", ".join(columns.values())
            where = " AND ".join(f"{name} = {value}" for name, value in columns.items())
            made += [
                f"INSERT OR REPLACE INTO {table} ({names}, v) VALUES ({values}, 'x{i}')",
                f"UPDATE {table} SET v = {number} WHERE {where}",
            ]
            if i % 3 == 0:
                made.append(f"DELETE FROM {table} WHERE {where}")
            if i % 6 == 0:
                made.append(f"INSERT INTO {table} ({names}, v) VALUES ({values}, NULL)")
    return ";".join(made)


@pytest.fixture
def busy(shop, monkeypatch):
    """Archived events of all kinds of keys; so few are decoded, and are many enough for COPY."""
    monkeypatch.setattr(latest, "AT_ONCE", 5)
    monkeypatch.setitem(Applier.__init__.__kwdefaults__, "bulk_rows", 1)
    shop.site.sqlite(BUSY)
    shop.site.configure(more=PAST, on_error="quarantine")
    shop.site.catch_up()
    for number in range(0, 60, 6):
        shop.site.sqlite(changes(number))
    shop.site.catch_up()
    return shop


def piece_by_piece(shop, tables):
    """What a replay of these tables is made of: the groups of each piece."""
    config = shop.site.config
    with open_store(config, config.sources[0]) as store:
        goal = find_goal(store, Until(), lambda _: None)
        plan = make_plan(store, goal, tables)
        begin = Standing(store.log_id, plan.start, None, None, 0, plan.numbers)
        return [(piece, list(piece.groups)) for piece in pieces.pieces(store, plan, begin)]


def test_keys_that_are_apart_come_group_by_group_and_others_together(busy):
    apart = piece_by_piece(busy, ["whole", "worded", "leading"])
    assert any(len(groups) > 10 for _, groups in apart)
    assert {len(group) for _, groups in apart for group in groups[:-1]} <= {3, 4, 5}
    for piece, groups in apart:
        assert piece.events == sorted(chain.from_iterable(groups))
        assert [list(group) for group in piece.groups] == groups
    for table in ("measured", "paired"):
        together = [groups for _, groups in piece_by_piece(busy, [table]) if groups]
        assert {len(groups) for groups in together} == {1}
        for [group] in together:
            assert group == sorted(group)


def test_a_schema_and_a_file_hold_the_same_as_without_groups(busy, monkeypatch):
    many = []
    prepare = Applier.prepare_many

    def note(applier, parts):
        many.append(prepare(applier, parts))
        return many[-1]

    monkeypatch.setattr(Applier, "prepare_many", note)
    assert busy.replay("--into-schema", "again")["equal"]
    assert any(many)
    assert busy.replay("--into-sqlite", busy.site.folder / "again.db")["equal"]


def test_only_keys_that_are_apart_are_taken_for_that(busy, monkeypatch):
    arranged = []
    arrange = Compactor.arrange

    def note(compactor, events):
        arranged.append(events)
        return arrange(compactor, events)

    monkeypatch.setattr(Compactor, "arrange", note)
    assert busy.replay("--into-schema", "unsure", "--table", "measured")["equal"]
    assert not arranged
    assert busy.replay("--into-schema", "sure", "--table", "whole")["equal"]
    assert arranged


def test_a_row_that_does_not_fit_is_set_aside_from_whichever_group(busy, monkeypatch):
    """Then all are looked at together; and what was set aside by an earlier piece leaves again."""
    monkeypatch.setattr(pieces, "STRETCH_VALUES", 100)
    unfit = "'a' || char(0)"
    busy.site.sqlite(f"UPDATE whole SET v = {unfit} WHERE k < 30; UPDATE worded SET v = {unfit}")
    busy.site.catch_up()
    busy.site.sqlite("UPDATE worded SET v = 'b'")
    busy.site.catch_up()
    made = busy.replay("--into-schema", "again")
    [(aside,)] = busy.site.sqlite("SELECT count(*) FROM whole WHERE k < 30")
    assert (made["equal"], made["quarantined"]) == (True, {"whole": aside})
    [(kept,)] = busy.site.postgres("SELECT count(*) FROM again.worded WHERE v = 'b'")
    assert [(kept,)] == busy.site.sqlite("SELECT count(*) FROM worded")


def test_damage_is_found_while_a_piece_is_decoded(busy, monkeypatch):
    """A line that no event was ever written as."""
    add = latest.Latest.add

    def mangled(found, lines):
        add(found, [line[:-1] if number == 7 else line for number, line in enumerate(lines)])

    monkeypatch.setattr(latest.Latest, "add", mangled)
    assert "A line of a segment is no event" in busy.replay("--into-schema", "again", code=3)


def test_the_writer_knows_what_it_cannot_prepare_in_parts(busy, monkeypatch):
    """With too few of them arrays are quicker than COPY."""
    monkeypatch.setitem(Applier.__init__.__kwdefaults__, "bulk_rows", 10**6)
    whole = []
    prepare = PostgresWriter._prepare_changes

    def note(writer, piece):
        whole.append((writer._applier.prepare_many([]), prepare(writer, piece)))
        return whole[-1][1]

    monkeypatch.setattr(PostgresWriter, "_prepare_changes", note)
    assert busy.replay("--into-schema", "again")["equal"]
    assert all(many is None for many, _ in whole)
