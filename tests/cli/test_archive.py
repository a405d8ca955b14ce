"""`cdc archive`: what the store holds, whether it is sound, and how it begins anew."""

import pytest

from cdc.pipeline import archiving
from cdc.sqlite import pruning

SETTINGS = "[archive]\nprune_after_seconds = 0\nsegment_events = 40\n"


@pytest.fixture
def stored(site, monkeypatch):
    """A site with a few segments."""
    monkeypatch.setattr(archiving, "FEWEST", 1)
    monkeypatch.setattr(pruning, "FEWEST", 1)
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    site.configure(more=SETTINGS)
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (?, 'a')", *[(i,) for i in range(120)])
    site.catch_up()
    return site


def segments(site):
    return sorted((site.folder / ".cdc" / "archive" / "shop").glob("*/*.gz"))


def verify(site):
    outcome = site.cdc("archive", "verify", "--json")
    findings = outcome.json["sources"][0]["findings"]
    return outcome.code, [(each["what"], each["segment"]) for each in findings]


def test_status_tells_what_there_is(stored):
    outcome = stored.cdc("archive", "status", "--json")
    assert outcome.code == 0
    [source] = outcome.json["sources"]
    assert (source["first_seq"], source["last_seq"], source["live_seq"]) == (1, 120, 120)
    assert (source["segments"], source["waiting"], source["trouble"]) == (4, 0, "")
    assert source["bytes"] == sum(path.stat().st_size for path in segments(stored))
    assert [(b["table"], b["rows"], b["seq"]) for b in source["baselines"]] == [("t", 0, 0)]
    text = stored.cdc("archive", "status").out
    assert "1 to 120" in text
    assert "0 rows at event 0" in text


def test_a_sound_archive_is_found_sound(stored):
    outcome = stored.cdc("archive", "verify")
    assert outcome.code == 0
    assert "sound" in outcome.out
    assert verify(stored) == (0, [])


def test_every_harm_is_found_and_named(stored):
    """Damaged, missing at any place, exchanged, foreign: each with exit code 1."""
    paths = segments(stored)
    for number, path in enumerate(paths, start=1):
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert verify(stored) == (1, [("damaged", number)])
        text = stored.cdc("archive", "verify").out
        assert "1 finding\n" in text
        assert f"damaged  Segment {number} ({path}) is damaged" in text
        path.unlink()
        assert verify(stored) == (1, [("missing", number)])
        path.write_bytes(whole)
    stranger = paths[0].with_name("notes.txt")
    stranger.write_text("hello", encoding="utf-8")
    assert verify(stored) == (1, [("foreign", None)])
    stranger.unlink()
    assert verify(stored) == (0, [])


def test_exchanged_segments_are_found(stored):
    """Each is whole, but not where it belongs."""
    paths = segments(stored)
    second, third = paths[1], paths[2]
    aside = second.rename(second.with_name("aside"))
    third.rename(third.with_name(second.name[:10] + third.name[10:]))
    aside.rename(aside.with_name(third.name[:10] + second.name[10:]))
    code, findings = verify(stored)
    assert code == 1
    assert {("foreign", 2), ("foreign", 3)} <= {*findings}


def test_a_segment_of_another_archive_is_found(stored):
    """Even one that is whole, and stands at the end under a number that is there."""
    last = segments(stored)[-1]
    other = stored.folder / "other"
    other.mkdir()
    last.rename(other / last.name)
    stored.cdc("archive", "restart", "--source", "shop")
    stored.sqlite("INSERT INTO t VALUES (1000, 'b')")
    stored.catch_up()
    newest = segments(stored)[-1]
    number = int(newest.name[:10])
    stranger = newest.with_name(newest.name[:10] + last.name[10:])
    stranger.write_bytes((other / last.name).read_bytes())
    code, findings = verify(stored)
    assert code == 1
    assert ("foreign", number) in findings
    newest.unlink()
    code, findings = verify(stored)
    assert (code, {*findings}) == (1, {("foreign", number)})


def test_an_archive_begins_anew(stored):
    """What is left of the old one is set aside; the new one is sound."""
    segments(stored)[1].unlink()
    assert stored.cdc("archive", "status").code == 1
    outcome = stored.cdc("archive", "restart", "--source", "shop", "--json")
    assert outcome.code == 0
    assert segments(stored) == []
    stored.sqlite("INSERT INTO t VALUES (1000, 'b')")
    stored.catch_up()
    assert verify(stored) == (0, [])
    [source] = stored.cdc("archive", "status", "--json").json["sources"]
    assert (source["first_seq"], source["last_seq"]) == (120, 121)
    assert [(b["table"], b["rows"]) for b in source["baselines"]] == [("t", 121)]
    aside = stored.folder / ".cdc" / "archive"
    [kept] = [path for path in aside.iterdir() if path.name.startswith("shop.set-aside-")]
    assert len([*kept.glob("*/*.gz")]) == 3


def test_restart_needs_the_daemon_stopped(stored):
    daemon = stored.daemon()
    outcome = stored.cdc("archive", "restart", "--source", "shop")
    assert outcome.code == 3
    assert "is held by cdc run" in outcome.err
    assert daemon.stop() == 0


def test_a_baseline_is_written_by_the_daemon(stored):
    """Within seconds of being asked for."""
    daemon = stored.daemon()
    outcome = stored.cdc("archive", "baseline", "--table", "t", "--json")
    assert outcome.json == {"asked": [{"source": "shop", "table": "t"}]}

    def rows():
        [source] = stored.cdc("archive", "status", "--json").json["sources"]
        return [b["rows"] for b in source["baselines"]] == [120]

    daemon.wait_until(rows)
    assert daemon.stop() == 0
    outcome = stored.cdc("archive", "baseline", "--table", "nothing")
    assert outcome.code == 2
    assert "no table 'nothing'" in outcome.err
