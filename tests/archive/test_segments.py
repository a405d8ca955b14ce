"""What is written into a segment is what is read from it, bit for bit, or an error."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc import event
from cdc.archive.chain import Chain
from cdc.archive.reader import open_archive
from cdc.archive.rows import dump_rows, load_row
from cdc.archive.segment import FORMAT, Body, EventsHeader
from cdc.errors import ArchiveDamaged
from cdc.event import AT, SEQ
from cdc.schema import Column, Table, UndecodableText
from cdc.sqlite import layouts

TABLE = Table("t", (Column("id", "INTEGER", "INTEGER"), Column("v", "", "BLOB")), (0,))

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, width=64),
    st.text(st.characters(exclude_categories=("Cs",))),
    st.binary(),
    st.binary().map(UndecodableText),
    st.sampled_from([0.0, -0.0, 5e-324, 1e308, float("inf"), -float("inf"), 2**53 + 1, 1e16]),
    st.sampled_from(["null", "{", '{"b":""}', "\n", "\0", "\u2028", ""]),
)


def exact(value):
    """A form in which two values are equal only if they are the same to the last bit."""
    bits = struct.pack(">d", value) if isinstance(value, float) else value
    return type(value), bits


def add_events(chain, *values, first=1):
    """Add a segment with an insert of each value, from seq `first` on; the segment."""
    events = [
        (first + i, 2460000.5 + i, "i", 1, event.APPLICATION, first + i, value)
        for i, value in enumerate(values)
    ]
    body = Body()
    body.add(dump_rows(events))
    header = EventsHeader(
        format=FORMAT,
        source=chain.source,
        log=chain.log,
        number=chain.next_number,
        previous=chain.previous,
        created_at=time.time(),
        layouts={1: layouts.dump(TABLE)},
        first=first,
        last=events[-1][SEQ],
        count=len(events),
        first_at=events[0][AT],
        last_at=events[-1][AT],
        last_digest=event.digest(events[-1]).hex(),
    )
    return chain.add(header, body.end())


@given(row=st.lists(VALUES).map(tuple))
def test_every_value_comes_back_bit_for_bit(row):
    line = dump_rows([row])
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert [*map(exact, load_row(line))] == [*map(exact, row)]


@given(row=st.lists(VALUES).map(lambda values: (1, *values)))
def test_an_archived_event_has_the_digest_of_the_one_in_the_log(row):
    """So a position can be found in the archive as well as in the file."""
    assert event.digest(load_row(dump_rows([row]))) == event.digest(row)


def test_events_come_back_in_order_and_whole(tmp_path):
    chain = Chain(tmp_path, "shop", "log")
    add_events(chain, "a", None, b"c")
    add_events(chain, 1.5, first=4)
    archive = open_archive(tmp_path, "shop")
    assert (archive.log, archive.first_seq, archive.last_seq) == ("log", 1, 4)
    assert [each.event[event.VALUES :] for each in archive.events()] == [
        (1, "a"),
        (2, None),
        (3, b"c"),
        (4, 1.5),
    ]
    assert [each.seq for each in archive.events(after=1, up_to=3)] == [2, 3]
    assert {each.table for each in archive.events()} == {TABLE}


def test_any_flipped_bit_is_noticed(tmp_path):
    """Each bit of each byte of a segment, one after the other."""
    chain = Chain(tmp_path, "shop", "log")
    path = add_events(chain, "a value", b"another", 1.5).path
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(ArchiveDamaged, match=r"Segment 1 .* is damaged"):
                list(open_archive(tmp_path, "shop").events())
    path.write_bytes(whole)
    assert len(list(open_archive(tmp_path, "shop").events())) == 3


def test_a_segment_cut_short_or_added_to_is_noticed(tmp_path):
    chain = Chain(tmp_path, "shop", "log")
    path = add_events(chain, "a value").path
    whole = path.read_bytes()
    for wrong in (*(whole[:end] for end in range(len(whole))), whole + b"\0", whole + whole):
        path.write_bytes(wrong)
        with pytest.raises(ArchiveDamaged):
            list(open_archive(tmp_path, "shop").events())


def test_a_segment_missing_between_two_is_noticed(tmp_path):
    chain = Chain(tmp_path, "shop", "log")
    segments = [add_events(chain, n, first=n) for n in (1, 2, 3)]
    segments[1].path.unlink()
    with pytest.raises(ArchiveDamaged, match="begins at event 3, not at 2"):
        list(open_archive(tmp_path, "shop").events())
