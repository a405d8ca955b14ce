"""A chunk is what a table held at one moment of its log, however many short reads it took."""

import shutil
import threading
from collections import Counter
from dataclasses import replace
from itertools import count

import pytest

from cdc import helper
from cdc.config import Config, ReplicationConfig, SourceConfig
from cdc.config.settings import PostgresConfig
from cdc.event import SEQ, digest
from cdc.helper import Helper
from cdc.mapping.types import target_type
from cdc.pipeline import copying
from cdc.pipeline.chunking import (
    Announced,
    ChunkPacker,
    FileToCopy,
    PackedChunk,
    every_other_chunk,
)
from cdc.pipeline.copying import ChunkSource, CopyHelper, Stand
from cdc.pipeline.session import SessionEnded, open_session
from cdc.postgres.apply import Applier
from cdc.postgres.misfit import Misfit
from cdc.postgres.wire import Packed
from cdc.sqlite import changelog, introspect
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.log import Position
from cdc.sqlite.rows import Bound
from cdc.stop import Stop
from tests.support.losing import lose_at

BEGINNING = Stand(None, None)


TABLES = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
    "CREATE TABLE u (a TEXT, b DATE, v DECIMAL(10,2), PRIMARY KEY (a, b)) WITHOUT ROWID;"
    "CREATE TABLE v (x, y);"
    "CREATE TABLE w (k TEXT PRIMARY KEY, n)"
)


@pytest.fixture
def session(site):
    """An open session of four tables, one of each kind, of 40 rows each."""
    site.sqlite(TABLES)
    site.sqlite("INSERT INTO t VALUES (?, 'x')", *((i,) for i in range(40)))
    site.sqlite("INSERT INTO u SELECT id % 7, date('2020-01-01', id || ' days'), id / 4.0 FROM t")
    site.sqlite("INSERT INTO v SELECT id, NULL FROM t")
    site.sqlite("INSERT INTO w SELECT 'k' || id, id FROM t")
    source = SourceConfig(name="shop", path=site.file())
    config = Config(
        path=site.config_path,
        postgres=PostgresConfig(),
        sources=(source,),
        replication=ReplicationConfig(),
    )
    with site.target() as target:
        session = open_session(config, source, target, Stop())
        yield session
        session.close()


@pytest.fixture
def chunks(session):
    """The chunks of the first table, in reads of one row each."""
    return ChunkSource(session, session.tables[0], Applier(), 0.0)


@pytest.fixture
def helped(session, monkeypatch):
    """The chunks of all tables, made by a helper that is ready from the start."""
    monkeypatch.setattr(helper, "_room", threading.Semaphore(1))
    monkeypatch.setattr(Helper, "ready", True)
    made = CopyHelper(session, session.tables, 0.0)
    yield [ChunkSource(session, t, Applier(), 0.0, helper=made) for t in session.tables]
    made.close()


def read_on(chunks, stand=BEGINNING, before=lambda: None):
    """What is copied from there on; `before` is called before each chunk."""
    found = []
    while not found or not found[-1].reached_end:
        before()
        found.append(chunks.read(stand, completes=True))
        stand = found[-1].end
    return found


def read_all(chunks):
    """The sizes of all chunks."""
    return [len(copied.chunk.rows) for copied in read_on(chunks)]


def told(found):
    """What was copied in all, and in which order; that is the same however it was cut."""
    places = [BEGINNING.place, *(copied.end.place for copied in found)]
    assert [copied.chunk.after_key for copied in found] == places[:-1]
    assert [copied.reached_end for copied in found] == [False] * (len(found) - 1) + [True]
    return [row for copied in found for row in copied.chunk.rows.rows()]


@pytest.fixture
def own(monkeypatch):
    """Counts the rows that this process has read itself."""
    counts = Counter()
    read = ChunkPacker.read

    def note(packer, after, up_to=None):
        found = read(packer, after, up_to)
        counts["rows"] += len(found.rows)
        return found

    monkeypatch.setattr(ChunkPacker, "read", note)
    return counts


def test_helper_and_reader_take_turns(session, helped, own):
    """Types, places and moments cross between the processes as they are."""
    both = [told(read_on(chunks)) for chunks in helped]
    assert 0 < own["rows"] < 120
    assert both == [
        told(read_on(ChunkSource(session, table, Applier(), 0.0))) for table in session.tables
    ]


def test_helper_begins_where_the_copy_stands(helped, own):
    """Nothing has to wait until it is ready."""
    first, second, third, fourth = helped
    stand = Stand((30,), (30,))
    assert sum(len(copied.chunk.rows) for copied in read_on(first, stand)) == 9
    assert 0 < own["rows"] < 9
    assert sum(read_all(second)) == 40
    assert sum(read_all(third)) == 40
    assert sum(read_all(fourth)) == 40


def test_tables_that_were_read_before_are_left_out(session, helped, own):
    """It goes on from the table that the copy is at."""
    assert sum(read_all(helped[1])) == 40
    assert sum(read_all(helped[2])) == 40
    assert own["rows"] < 60


def test_chunks_of_a_table_that_changes_are_exact(site, helped):
    """What the helper has read before the last change is read once more."""
    update = "UPDATE t SET v = 1 + (SELECT count(*) / 40 FROM _cdc_changelog)"
    found = read_on(helped[0], before=lambda: site.sqlite(update))
    assert len(told(found)) == 40
    for copied in found:
        values = {row[1] for row in copied.chunk.rows.rows()}
        assert values <= {str(copied.as_of // 40).encode()}


def test_helper_that_reads_in_vain_is_ended(helped, monkeypatch):
    """A table that changes all the time is left to who reads it together with the log."""
    monkeypatch.setattr(copying, "MOST_IN_VAIN", 2)
    # However slow the helper is: what it reads has been changed by the time that it is taken.
    monkeypatch.setattr(CopyHelper, "_as_of_now", lambda *_: None)
    assert helped[0]._helper._helper._process is not None
    assert sum(read_all(helped[0])) == 40
    assert helped[0]._helper._helper._process is None
    assert sum(read_all(helped[1])) == 40


def test_only_so_many_in_a_row_are_in_vain(site, helped, monkeypatch):
    """A table that changes now and then is worth a helper."""
    monkeypatch.setattr(copying, "MOST_IN_VAIN", 2)
    as_of_now = CopyHelper._as_of_now
    turns = count()

    def in_turns(self, table, chunk):
        return as_of_now(self, table, chunk) if next(turns) % 2 else None

    monkeypatch.setattr(CopyHelper, "_as_of_now", in_turns)
    assert sum(read_all(helped[0])) == 40
    assert next(turns) > 2
    assert helped[0]._helper._helper._process is not None


def test_range_ends_where_it_was_to_though_its_last_row_is_gone(site, helped, own):
    """The next chunk goes on from there."""
    chunks = helped[0]
    first = chunks.read(BEGINNING, completes=True)
    announced = chunks._helper._next(chunks.table, first.end.place)
    while announced.after == first.end.place:
        first = chunks.read(first.end, completes=True)
        announced = chunks._helper._next(chunks.table, first.end.place)
    site.sqlite("DELETE FROM t WHERE id = ?", announced.after)
    second = chunks.read(first.end, completes=True)
    assert second.end.place == announced.after
    assert second.as_of == 1


def test_restored_log_proves_nothing(site, session, helped):
    """A backup was copied over the file, and it went on to the same number of events."""
    before = site.file().read_bytes()
    site.sqlite("UPDATE t SET v = 'of the lost half'")
    with session.reading():
        chunk = PackedChunk(Packed([], 0), None, session.changelog.end(), last=False)
    judge, table = helped[0]._helper, session.tables[0]
    assert judge._as_of_now(table, chunk) is not None
    with site.file().open("r+b") as file:
        file.write(before)
        file.truncate(len(before))
    assert judge._as_of_now(table, chunk) is None
    site.sqlite("UPDATE u SET v = v + 1")
    assert judge._as_of_now(table, chunk) is None


def test_changes_of_other_tables_are_no_reason(site, helped, own):
    """What the helper has read of this one is the same now."""
    changes = "UPDATE u SET v = v + 1; INSERT INTO v VALUES (1, 2)"
    found = read_on(helped[0], before=lambda: site.sqlite(changes))
    assert len(told(found)) == 40
    assert own["rows"] < 30
    # The log is applied up to there before the chunk is written.
    moments = [copied.as_of for copied in found]
    assert moments == sorted(moments)
    assert moments[-1] == 41 * len(found)


def test_changes_that_were_pruned_are_not_passed_over(site, session, monkeypatch):
    """Where the log does not tell any more, nothing is certain."""
    site.sqlite("UPDATE u SET v = v + 1; UPDATE t SET v = 'y'; UPDATE u SET v = v + 1")
    layout = session.tables[0].layout
    events = site.sqlite("SELECT * FROM _cdc_changelog ORDER BY seq")
    positions = [Position(0, b""), *(Position(e[SEQ], digest(e)) for e in events)]

    def silent(*since):
        with session.reading():
            return [session.changelog.is_silent(layout, positions[seq]) for seq in since]

    assert silent(0, 79, 80, 120) == [False, False, True, True]
    site.sqlite("DELETE FROM _cdc_changelog WHERE seq <= 90")
    assert silent(0, 80, 90, 91, 120) == [False, False, False, True, True]
    monkeypatch.setattr(changelog, "MOST_LOOKED_AT", 10)
    assert silent(109, 110, 120) == [False, True, True]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda site: site.sqlite("CREATE TABLE another (x)"),
        lambda site: site.file().rename(site.file("moved.db")),
        lambda site: shutil.copy(site.file(), site.file("other.db")).replace(site.file()),
    ],
    ids=["schema changed", "file gone", "file replaced"],
)
def test_what_is_in_its_way_is_met_here(site, session, helped, spoil, caplog):
    """A helper that cannot go on is done without: whoever reads finds out what it is."""
    caplog.set_level("INFO")
    spoil(site)

    def read():
        for chunks in helped:
            read_on(chunks)
            session.check_file()

    with pytest.raises(SessionEnded):
        read()
    assert "goes on without a second process" in caplog.text


@pytest.mark.parametrize("number", range(1, 6))
def test_lost_helper_is_done_without(number, session, helped, monkeypatch, caplog):
    """The copy goes on from the last chunk that it has handed over."""
    caplog.set_level("INFO")
    lose_at(monkeypatch, number)
    assert [len(told(read_on(chunks))) for chunks in helped] == [40] * len(session.tables)
    assert caplog.text.count("goes on without a second process: it was lost") == 1


def test_misfit_is_named_though_a_helper_finds_it(site, helped):
    """As where there is none."""
    site.sqlite("UPDATE u SET v = 'never' WHERE b = '2020-01-04'")
    with pytest.raises(Misfit, match="never"):
        read_all(helped[1])


def test_no_range_ends_at_a_null(site, session):
    """SQL knows none."""
    site.sqlite("INSERT INTO w VALUES (NULL, 1), (NULL, 2), (NULL, 3)")
    with session.reading():
        reader = ChunkReader(session.file, session.tables[3].source)
        assert reader.skip(None, Bound(1.0, 2)) is None
        assert reader.skip(None, Bound(1.0, 5)) == ("k1",)


def announced(session, mapped=None, table=3):
    """Where the chunks of a helper begin."""
    file = session.file
    of = FileToCopy(file.path, file.identity, session.schema_version, 0.0)
    each = session.tables[table]
    work = [(each.layout, each.source, mapped or each.mapped, None)]
    return [found.after for found in every_other_chunk(of, work) if isinstance(found, Announced)]


def test_no_chunk_begins_where_the_target_can_hold_no_key(session):
    """What lies behind such a place can not be told there from what lies before it."""
    assert len(announced(session)) > 2
    mapped = session.tables[3].mapped
    short = replace(mapped.columns[0], type=target_type("varchar(2)", "TEXT", in_key=True))
    assert announced(session, replace(mapped, columns=(short, *mapped.columns[1:]))) == [("k0",)]


def test_no_range_of_a_table_that_has_only_a_loose_order(site, session):
    """SQLite would step through all the rows behind its end."""
    site.sqlite("CREATE TABLE x (a TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID")
    site.sqlite("INSERT INTO x SELECT k FROM w")
    with session.file.reading():
        source = introspect.source_table(session.file, "x")
        version = session.file.schema_version
    of = FileToCopy(session.file.path, session.file.identity, version, 0.0)
    assert list(every_other_chunk(of, [(9, source, session.tables[3].mapped, None)])) == []


def test_chunk_takes_more_reads_while_nothing_is_written(chunks):
    """The first is there at once, so that the server has something to do; then they grow."""
    assert read_all(chunks) == [1, 2, 4, 8, 16, 9]


def test_chunk_ends_where_something_was_written(site, chunks, monkeypatch):
    """The rows of a later read would be those of another moment."""
    read_some = chunks._packer._read_some

    def write_behind(*args, as_of=None):
        found = read_some(*args, as_of=as_of)
        if as_of is None:
            site.sqlite("UPDATE t SET v = v || 'y'")
        return found

    monkeypatch.setattr(chunks._packer, "_read_some", write_behind)
    assert read_all(chunks) == [1] * 40 + [0]


@pytest.mark.parametrize("limit", [6, 7])
def test_chunk_keeps_its_bound(chunks, limit):
    """However many reads it takes."""
    chunks._packer._bound = Bound(0.0, limit)
    assert max(read_all(chunks)) == limit
