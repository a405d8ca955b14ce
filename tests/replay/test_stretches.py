"""The archive looked through by a second process: the same pieces, whatever becomes of it."""

import threading

import pytest

from cdc import helper
from cdc.ahead import Ahead
from cdc.archive.segment import Segment
from cdc.errors import ArchiveDamaged
from cdc.helper import Helper
from cdc.rebuilt import Standing
from cdc.replay import pieces, scan, stretches
from cdc.replay.goal import Until, find_goal
from cdc.replay.plan import make_plan
from cdc.replay.store import open_store
from cdc.replay.stretches import Search, Stretch
from tests.support.losing import lose_at

NOWHERE_YET = Standing("", 0, b"", None, 0, {})


@pytest.fixture
def past(shop, monkeypatch):
    """A store with many segments, small enough that each makes a stretch or two."""
    monkeypatch.setattr(pieces, "STRETCH_VALUES", 60)
    shop.live()
    shop.site.catch_up()
    with open_store(shop.site.config, shop.site.config.sources[0]) as store:
        assert len(store.segments(0, store.newest)) > 4
        yield store


def read(store, standing=NOWHERE_YET):
    plan = make_plan(store, find_goal(store, Until(), lambda _: None))
    return pieces.pieces(store, plan, standing)


def test_segment_is_read_once_however_many_chunks_lie_in_it(past, monkeypatch):
    """A baseline of a busy table has many, each with some events before it."""
    plan = make_plan(past, find_goal(past, Until(), lambda _: None))
    reading = pieces._Reading(past, plan)
    segment = past.segments(0, past.newest)[0]
    first = segment.events
    opened = []
    open_ = Segment.opened

    def note(segment):
        opened.append(segment)
        return open_(segment)

    monkeypatch.setattr(Segment, "opened", note)
    for seq in range(first.first, first.last):
        assert [piece.count for piece in reading.stretches(seq, seq + 1)] == [1]
    assert opened.count(segment) == 1


def test_what_is_left_of_a_search_begins_where_its_next_event_is(past):
    """Be that the last one of a segment, or the first of the next."""
    segments = past.segments(0, past.newest)
    search = Search(segments, {}, 0, past.newest, 60)
    last = segments[0].events.last
    assert search.behind(last - 1).segments == segments
    assert search.behind(last).segments == segments[1:]


@pytest.fixture
def helped(monkeypatch):
    """Every replay is worth a helper, which is ready from the start."""
    monkeypatch.setattr(helper, "_room", threading.Semaphore(1))
    monkeypatch.setattr(scan, "HELPED_BYTES", 0)
    monkeypatch.setattr(Helper, "ready", True)


def test_helper_finds_the_same_pieces(past, request, monkeypatch):
    """Events, counts, positions and baselines, in the same order."""
    alone = list(read(past))
    assert sum(len(piece.events) for piece in alone) > 60
    request.getfixturevalue("helped")
    made = []
    take = helper._Process.take

    def note(process):
        made.append(take(process))
        return made[-1]

    monkeypatch.setattr(helper._Process, "take", note)
    assert list(read(past)) == alone
    assert sum(isinstance(each, Stretch) for each in made) > 2


def test_helper_takes_over_once_it_is_ready(past, monkeypatch, request):
    """What was looked through before is left to nobody."""
    alone = list(read(past))
    request.getfixturevalue("helped")
    asked = iter([False, False])
    monkeypatch.setattr(Helper, "ready", property(lambda _: next(asked, True)))
    assert list(read(past)) == alone
    assert list(asked) == []


def test_nothing_is_read_in_vain_until_the_helper_is_ready(past, monkeypatch, helped):
    """Whatever is read here and not used yet, the helper would read again."""
    plan = make_plan(past, find_goal(past, Until(), lambda _: None))
    reading = pieces._Reading(past, plan)
    after = max(table.start for table in plan.tables)
    assert len(past.segments(after, past.archived)) > 2
    depths = []

    class Noted(Ahead):
        def __init__(self, items, depth):
            depths.append(depth)
            super().__init__(items, depth)

    monkeypatch.setattr(stretches, "Ahead", Noted)
    asked = iter([False])
    monkeypatch.setattr(Helper, "ready", property(lambda _: next(asked, True)))
    assert len(list(reading.stretches(after, past.archived))) > 2
    assert depths == [0]
    monkeypatch.setattr(helper, "_room", threading.Semaphore(0))
    assert len(list(reading.stretches(after, past.archived))) > 2
    assert depths == [0, 1]  # nobody else will


@pytest.mark.parametrize(("before", "number"), [(0, 1), (0, 3), (1, 1), (1, 2), (1, 3)])
def test_lost_helper_is_done_without(before, number, past, request, caplog):
    """The replay goes on from the last stretch that it has handed over."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    alone = list(read(past))
    request.getfixturevalue("helped")
    asked = iter([False] * before)
    monkeypatch.setattr(Helper, "ready", property(lambda _: next(asked, True)))
    lose_at(monkeypatch, number)
    caplog.set_level("INFO")
    assert list(read(past)) == alone
    assert "goes on without a second process: it was lost" in caplog.text


def test_damage_is_named_though_a_helper_finds_it(past, helped, caplog):
    """As where there is none."""
    caplog.set_level("INFO")
    segment = past.segments(0, past.newest)[2]
    data = bytearray(segment.path.read_bytes())
    data[len(data) // 2] ^= 1
    segment.path.write_bytes(data)
    with pytest.raises(ArchiveDamaged, match=f"Segment {segment.number} "):
        list(read(past))
    assert "goes on without a second process: ArchiveDamaged" in caplog.text
