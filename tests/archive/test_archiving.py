"""What is applied is archived, what is archived is pruned, and nothing else is."""

import os
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from cdc.archive.audit import audit
from cdc.archive.chain import UNFINISHED, Chain
from cdc.pipeline.archiving import SourceArchive
from cdc.pipeline.stock import take_stock
from cdc.postgres import archived, hold_back
from cdc.rebuild.holding import Hold, open_held
from cdc.sqlite import pruning
from cdc.sqlite.lock import SUFFIX
from cdc.stop import Stop

WRITES = (
    "INSERT INTO t SELECT key + 1, key / 7.0, 'row ' || key FROM json_each(json_array(0"
    + ",0" * 299
    + "))",
    "UPDATE t SET v = -v WHERE id % 2",
    "DELETE FROM t WHERE id % 3 = 0",
    "UPDATE t SET id = id + 1000 WHERE id < 50",
)


def rows(store):
    return {row[:1]: row for row in store.site.sqlite("SELECT * FROM t")}


def test_applied_events_are_archived_and_then_pruned(store):
    """Only the event at the position stays in the file; the archive holds all, and the rows."""
    site = store.site
    site.catch_up()
    for write in WRITES:
        site.sqlite(write)
        site.catch_up()
        seqs = store.archived
        assert seqs == [*range(1, seqs[-1] + 1)]
        assert store.live == seqs[-1:]
        assert store.rebuilt() == rows(store)
    site.assert_equal()
    assert store.findings() == []


def test_a_full_segment_is_followed_by_another(store):
    """However many events wait, none of the files holds more than it should."""
    store.site.configure(more="[archive]\nsegment_events = 70")
    store.site.catch_up()
    for write in WRITES:
        store.site.sqlite(write)
    store.site.catch_up()
    counts = [s.events.count for s in store.archive.chain.segments if s.kind == "events"]
    assert max(counts) == 70
    assert counts.count(70) >= len(counts) - 1
    assert store.rebuilt() == rows(store)
    assert store.findings() == []


def test_what_somebody_needs_stays_in_the_file(store):
    site = store.site
    site.catch_up()
    site.sqlite(WRITES[0])
    with site.target() as target, target.lease() as conn:
        assert hold_back.keep_from(conn, "shop", "proof", 120, seconds=60)
        site.catch_up()
        assert store.live[0] == 121
        hold_back.let_go(conn, "shop", "proof")
    site.sqlite(WRITES[1])
    site.catch_up()
    assert len(store.live) == 1


def test_what_is_not_applied_stays_in_the_file(store):
    """A source that has halted is neither archived nor pruned behind its position."""
    site = store.site
    site.catch_up()
    site.sqlite(WRITES[0])
    site.catch_up()
    site.sqlite("UPDATE t SET w = x'00' WHERE id = 7")
    site.sqlite(WRITES[1])
    with pytest.raises(Exception, match="does not fit"):
        site.catch_up()
    [(applied,)] = site.postgres("SELECT applied_seq FROM cdc.source")
    newest = store.live[-1]
    assert newest > applied
    assert store.live == [*range(applied, newest + 1)]
    assert store.archived[-1] <= applied


@pytest.mark.parametrize(
    ("settings", "pruned"),
    [
        ("enabled = false", False),
        ('enabled = false\nprune = "applied"', True),
        ('prune = "never"', False),
        ('prune = "applied"', True),
        ("prune_after_seconds = 3600", False),
    ],
)
def test_the_settings_say_what_is_pruned(store, settings, pruned):
    site = store.site
    after = "" if "prune_after" in settings else "prune_after_seconds = 0\n"
    site.configure(more=f"[archive]\n{after}{settings}")
    site.catch_up()
    for write in WRITES:
        site.sqlite(write)
    site.catch_up()
    assert (len(store.live) == 1) == pruned
    assert bool(store.archive.chain.segments) == ("enabled" not in settings)


def test_a_gap_in_the_capture_is_followed_by_a_new_baseline(store):
    """What no event tells of is in the baseline of the capture that came after it."""
    site = store.site
    site.sqlite(WRITES[0])
    site.catch_up()
    [(trigger,)] = site.sqlite(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%AFTER UPDATE%'"
    )
    site.sqlite(f'DROP TRIGGER "{trigger}"')
    site.sqlite("UPDATE t SET w = 'unseen'")
    site.catch_up()
    site.sqlite(WRITES[2])
    site.catch_up()
    assert len({b.layout for b in store.archive.baselines()}) == 2
    assert store.rebuilt() == rows(store)


def test_a_baseline_is_written_when_it_is_asked_for(store):
    site = store.site
    site.sqlite(WRITES[0])
    site.catch_up()
    site.catch_up()
    [first] = store.archive.baselines()
    with site.target() as target, target.lease() as conn:
        archived.want_baselines(conn, "shop", ["t"])
    site.sqlite(WRITES[1])
    site.catch_up()
    site.catch_up()
    assert store.archive.baselines()[0].number == first.number
    assert len(store.archive.baselines()) == 2
    assert store.rebuilt() == rows(store)


def test_a_repair_is_followed_by_a_new_baseline(store):
    """What passed the capture unseen is in the store, too, once a proof has found it."""
    site = store.site
    site.catch_up()
    site.sqlite(WRITES[0])
    site.catch_up()
    with site.connection() as db:
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        db.execute("UPDATE t SET w = 'unseen' WHERE id = 7")
    assert store.rebuilt() != rows(store)
    assert site.cdc("verify", "--full", "--repair").code == 0
    site.catch_up()
    assert store.rebuilt() == rows(store)


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


class Killer:
    """Ends the work before, or right after, the `n`th operation that leaves something behind."""

    def __init__(self, monkeypatch, n):
        self.left = n
        for owner, name in (
            (os, "fsync"),
            (Path, "rename"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (archived, "record_ends"),
            (hold_back, "give_up"),
        ):
            monkeypatch.setattr(owner, name, self.deadly(getattr(owner, name)))
        # What prunes; everything else that writes to the file has tests of its own.
        monkeypatch.setattr(pruning, "_delete", self.deadly(pruning._delete))

    def deadly(self, operation):
        def run(*arguments, **options):
            if str(arguments[0]).endswith(SUFFIX):  # the lock of the source, which a kill ends
                return operation(*arguments, **options)
            self.count()
            result = operation(*arguments, **options)
            self.count()
            return result

        return run

    def count(self):
        self.left -= 1
        if self.left == 0:
            raise Killed


def test_a_kill_at_any_operation_loses_and_repeats_nothing(store):
    """Archiving, pruning, baselines and the end of old segments: after each kill the next start
    goes on, and the store and the file together hold every event."""
    site = store.site
    settings = "[archive]\nprune_after_seconds = 0\nsegment_events = 40\nkeep_mb = 0\n"
    site.configure(more=settings)
    site.catch_up()
    killed, n = True, 0
    while killed:
        n += 1
        site.sqlite("INSERT INTO t (v, w) VALUES (?, ?)", *[(n / 3, f"{n}")] * 5)
        site.sqlite("UPDATE t SET v = v + 1 WHERE id % 5 = ?", (n % 5,))
        with site.target() as target, target.lease() as conn:
            archived.want_baselines(conn, "shop", ["t"])
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, n)
            with suppress(Killed):
                site.catch_up()
            killed = killer.left <= 0
        held = {*store.archived, *store.live}
        assert held == {*range(1, max(held) + 1)}
        archive(site)
        assert store.archived == [*range(1, max(held) + 1)]
        assert store.rebuilt() == rows(store)
        assert store.findings() == []
    assert n > 20
    site.assert_equal()


def archive(site):
    """What the daemon's thread does for a source, whole, as after its start."""
    [source] = site.config.sources
    with site.target() as target:
        SourceArchive(site.config, source, target, Stop()).work(everything=True)


def test_a_bit_that_flips_anywhere_in_the_store_is_named_with_its_segment(store):
    """One bit of each few bytes of every segment: of events, of baselines, of the last one, too."""
    site = store.site
    site.configure(more="[archive]\nprune_after_seconds = 0\nsegment_events = 40\n")
    site.catch_up()
    site.sqlite("INSERT INTO t (v, w) VALUES (?, ?)", *[(n / 3, f"row {n}") for n in range(90)])
    site.catch_up()
    with site.target() as target, target.lease() as conn:
        [known] = archived.read_ends(conn, "shop")
    chain = store.archive.chain
    assert {segment.kind for segment in chain.segments} == {"events", "baseline"}
    for segment in chain.segments:
        whole = segment.path.read_bytes()
        for at in range(0, len(whole), 1 + len(whole) // 100):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << at % 8
            segment.path.write_bytes(flipped)
            found = [(f.what, f.number) for f in audit(chain, known)]
            assert found == [("damaged", segment.number)], at
        segment.path.write_bytes(whole)
    assert list(audit(chain, known)) == []


def begin_replay(site):
    with site.target() as target, target.lease() as conn:
        assert hold_back.keep_from(conn, "shop", "replay 7", 10**6, seconds=60)


def end_replay(site):
    with site.target() as target, target.lease() as conn:
        hold_back.let_go(conn, "shop", "replay 7")


@pytest.fixture
def outgrown(store):
    """More segments than are to be kept, all of them there because they are being replayed."""
    site = store.site
    site.configure(more="[archive]\nprune_after_seconds = 0\nkeep_mb = 1\nsegment_mb = 1\n")
    site.sqlite(WRITES[0])
    site.catch_up()
    for _ in range(3):
        site.sqlite("UPDATE t SET w = hex(randomblob(1500))")
        begin_replay(site)
        with site.target() as target, target.lease() as conn:
            archived.want_baselines(conn, "shop", ["t"])
        site.catch_up()
        assert store.archive.chain.segments[0].number == 1
    return store


def test_none_goes_from_under_a_replay_that_begins_right_then(outgrown, monkeypatch):
    """Between the look whether anybody reads them, and the moment at which the first would go."""
    site = outgrown.site
    end_replay(site)
    record = archived.record_ends

    def and_begin(conn, ends):
        record(conn, ends)
        begin_replay(site)

    with monkeypatch.context() as patched:
        patched.setattr(archived, "record_ends", and_begin)
        site.catch_up()
    assert outgrown.archive.chain.segments[0].number == 1
    assert outgrown.findings() == []
    end_replay(site)
    site.catch_up()
    assert outgrown.archive.chain.segments[0].number > 1
    assert outgrown.findings() == []


def taken_stock(store):
    with store.site.target() as target:
        [stock] = take_stock(store.site.config, target)
    return stock.trouble


def opened_for_a_replay(store):
    [source] = store.site.config.sources
    with store.site.target() as target:
        hold = Hold(target, "shop")
        open_held(store.site.config, source, hold).close()
        hold.let_go()
    return ""


LOOKS = {
    "verify": lambda store: store.findings(),
    "status": taken_stock,
    "replay": opened_for_a_replay,
}


@pytest.mark.parametrize("look", LOOKS)
def test_segments_that_go_or_come_while_the_store_is_looked_at(outgrown, monkeypatch, look):
    """The oldest go, and new ones come, by and by: nothing is missing, and no stranger there."""
    site = outgrown.site
    end_replay(site)
    find, waiting = Chain.look, iter(["once"])

    def and_go_on(self):
        find(self)
        for _ in waiting:
            site.sqlite(WRITES[1])
            site.catch_up()

    monkeypatch.setattr(Chain, "look", and_go_on)
    assert not LOOKS[look](outgrown)
    assert outgrown.archive.chain.segments[0].number > 1


def test_what_a_kill_left_of_a_segment_does_not_keep_an_old_log(outgrown):
    """The directory of a log that is over goes with all that is in it."""
    chain = outgrown.archive.chain
    (chain.directory / UNFINISHED).write_bytes(b"half a segment")
    chain.end()
    assert not chain.directory.exists()


def test_segments_go_when_no_state_needs_them(outgrown):
    """By size: what the newest state is rebuilt from stays, and the ends are known."""
    store, site = outgrown, outgrown.site
    end_replay(site)
    site.catch_up()
    assert store.archive.chain.segments[0].number > 1
    assert store.findings() == []
    assert store.rebuilt() == rows(store)
    site.sqlite(WRITES[2])
    site.catch_up()
    assert store.findings() == []
    assert store.rebuilt() == rows(store)


def test_a_store_that_lost_its_last_segment_is_left_alone(store):
    """Nothing is added to it and nothing pruned, until the segment is back."""
    site = store.site
    site.catch_up()
    site.sqlite(WRITES[0])
    site.catch_up()
    last = store.archive.chain.segments[-1].path
    aside = last.rename(site.folder / "aside")
    site.sqlite(WRITES[1])
    site.catch_up()
    assert len(store.live) > 100
    assert [(f.what, f.number) for f in store.findings()] == [("missing", 2)]
    aside.rename(last)
    site.catch_up()
    assert store.findings() == []
    assert len(store.live) == 1
    assert store.rebuilt() == rows(store)
