"""The cutover and the way back on copies: the real system goes on, and nothing of it changes."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from cdc.errors import CdcError, SourceBusy, TargetRefused
from cdc.postgres.connection import Target
from cdc.rehearsal import play
from cdc.rehearsal.play import Play, Stopped
from cdc.rehearsal.room import NoRoom
from cdc.stop import Stop
from tests.support.switch import switch
from tests.support.waiting import wait_until

MORE = """
[cutover]
hold_ms = 2000
max_lag_events = 1_000_000
max_lag_seconds = 600.0
env_file = ".env"
env_switched = { DB_ENGINE = "postgresql" }
env_rolled_back = { DB_ENGINE = "sqlite" }

[verify]
watch_hours = 0

[[hooks]]
on = "stop"
command = ["touch", "stopped-for-real"]

[[hooks]]
on = "regression"
rehearse = true
command = ["sh", "-c", 'test ! -e fail && echo "$CDC_REHEARSAL" > ../../rehearsed']
"""
"""The bounds of a hold and of the lag are generous ones: other tests share the machine. The drift
watch would leave a row of its own in cdc.hold_back now and then.
"""


@pytest.fixture
def live(site, monkeypatch):
    """A file that is written without rest, replicated and proven; rehearsals of one round."""
    monkeypatch.setattr(play, "ROUNDS", 1)
    site.storm("--pause", "0.05")
    (site.folder / ".env").write_text("DB_ENGINE=sqlite\n")
    site.configure(more=MORE, poll_ms=100)
    site.daemon()
    wait_until(site.caught_up)
    assert site.prove(full=True).converged
    return site


def rehearse(site, tell=lambda _: None):
    with Target(site.dsn) as target:
        return Play(site.config, target, site.dsn, Stop(), tell).run()


def databases(site) -> list[str]:
    return [
        name
        for (name,) in site.postgres(
            "SELECT datname FROM pg_database WHERE datname ="
            " 'cdc_rehearsal_' || (SELECT replace(id, '-', '') FROM cdc.target)"
        )
    ]


def untouched(site) -> list:
    """All of the real system that a rehearsal could have changed, and replication does not."""
    schema = site.sqlite("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 2")
    catalogue = site.postgres(
        "SELECT n.nspname, c.relname, c.oid, t.tgname, t.tgenabled::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_trigger t ON t.tgrelid = c.oid"
        " WHERE n.nspname IN ('public', 'cdc') ORDER BY c.oid, t.tgname"
    )
    kept = [
        site.postgres(f"SELECT to_jsonb(t)::text FROM cdc.{table} t ORDER BY 1")
        for table in ("switch", "gate", "target", "hold_back", "queue", "reverse", "request")
    ]
    source = site.postgres("SELECT name, path, log_id FROM cdc.source")
    files = {
        str(path.relative_to(site.folder)): path.read_bytes()
        for path in (site.folder / ".env", site.config_path)
    }
    there = sorted(str(p.relative_to(site.folder)) for p in (site.folder / ".cdc").rglob("*"))
    return [schema, catalogue, kept, source, files, [p for p in there if "archive" not in p]]


def test_the_copies_go_there_and_back_and_nothing_else_moves(live):
    """With the load of the real system on them, and its gates looked at; hooks only as allowed."""
    (live.folder / ".cdc").mkdir(exist_ok=True)
    before = untouched(live)
    found = rehearse(live)
    assert untouched(live) == before
    assert (found.proven, found.exit_code, found.reason) == (True, 0, ""), found
    (one,) = found.rounds
    assert (one.cutover.outcome, one.rollback.outcome) == ("switched", "rolled_back")
    assert one.written > 0
    assert found.freeze is not None
    assert 0 < found.freeze.median <= found.freeze.longest
    assert found.load["shop"].events > 0
    assert (found.load["shop"].refused, found.load["shop"].missed) == (0, 0)
    assert [gate.name for gate in found.failing_gates] == []
    assert all(room.enough and room.needed_mb > 0 for room in found.rooms)
    assert databases(live) == []
    assert not (live.folder / ".cdc" / "rehearsal").exists()
    assert not (live.folder / "stopped-for-real").exists()
    assert (live.folder / "rehearsed").read_text().startswith("cdc_rehearsal_")
    live._storms[0].stop()
    live.wait_until_equal()


def test_what_would_go_wrong_behind_the_switch_is_the_answer(live):
    """On a quiet system, which is said to be one, and after another rehearsal that was killed."""
    live._storms[0].stop()
    (live.folder / "fail").touch()
    (live.folder / ".cdc" / "rehearsal").mkdir(parents=True)
    (live.folder / ".cdc" / "rehearsal" / "fail").touch()
    hooks = MORE.replace("test ! -e fail", f"test ! -e {live.folder / 'fail'}")
    live.configure(more=hooks, poll_ms=100)
    found = rehearse(live)
    assert (found.proven, found.exit_code) == (False, 1)
    assert "regression" in found.reason
    assert any("removed what was left" in note for note in found.notes)
    assert any("without any load" in note for note in found.notes)
    assert databases(live) == []


def test_what_one_that_was_killed_has_left_the_next_one_removes(live):
    """Its processes end with it; the real system never notices."""
    process = live.cdc.begin("rehearse", "--json")
    folder = live.folder / ".cdc" / "rehearsal"
    wait_until((folder / "shop" / "shop.db.cdc-lock").exists, 60)
    process.kill()
    process.communicate()
    assert databases(live) != []
    wait_until(lambda: not holders(folder), 60)
    done = live.cdc("rehearse", "--json", "--html", "page.html", seconds=300)
    assert (done.code, done.json["proven"], done.json["gates_passed"]) == (0, True, True), done
    assert len([note for note in done.json["notes"] if "removed what was left" in note]) == 2
    assert len(done.json["freeze_seconds"]["each"]) == len(done.json["rounds"]) > 1
    page = (live.folder / "page.html").read_text()
    assert '<h1 class="yes">Proven</h1>' in page
    assert live.cdc.secret not in page
    assert databases(live) == []
    assert not folder.exists()


def holders(folder: Path) -> list[int]:
    """The processes that have something open in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                links = [os.readlink(link) for link in (process / "fd").iterdir()]  # noqa: PTH115  (what it says)
            except OSError:  # another user's, or it has ended
                continue
            if any(link.startswith(str(folder)) for link in links):
                found.append(int(process.name))
    return found


def test_what_cannot_be_rehearsed_or_is_stopped_leaves_nothing(live):
    """Without room, two at a time, and by SIGTERM in the middle."""

    def tell(words: str) -> None:
        if words.startswith("copying"):
            with pytest.raises(TargetRefused, match="another cdc"):
                rehearse(live)
            raise CdcError("enough")

    with pytest.raises(CdcError, match="enough"):
        rehearse(live, tell)
    folder = live.folder / ".cdc" / "rehearsal"
    process = live.cdc.begin("rehearse")
    wait_until(folder.exists, 60)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, "nothing is left of it" in err) == (1, True), err
    live.configure(more=MORE, poll_ms=100, min_free_disk_mb=99_000_000)
    with pytest.raises(NoRoom, match="no room for a rehearsal"):
        rehearse(live)
    assert databases(live) == []
    assert not folder.exists()


def test_a_stop_while_the_copies_are_proven_is_no_verdict(live):
    stop, told = Stop(), []

    def tell(words: str) -> None:
        told.append(words)
        if words.startswith("proving"):
            stop.ask()

    with Target(live.dsn) as target, pytest.raises(Stopped, match="nothing is left of it"):
        Play(live.config, target, live.dsn, stop, tell).run()
    assert told[-1].startswith("proving")
    assert databases(live) == []


def test_a_copy_that_is_locked_for_a_moment_is_asked_again(monkeypatch):
    answers = [SourceBusy("locked"), ["not yet"], SourceBusy("locked"), ["there"]]

    def measure(config, target):
        answer = answers.pop(0)
        if isinstance(answer, SourceBusy):
            raise answer
        return [SimpleNamespace(state=answer[0], stopped=())]

    monkeypatch.setattr(play, "measure", measure)
    play._Hands(None, None, [], Stop()).wait(lambda _, lag: lag.state == "there", 60)
    assert answers == []


def test_with_postgresql_as_master_there_is_nothing_to_rehearse(site):
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    site.configure()
    refused = site.cdc("rehearse")
    assert refused.code == 3
    assert "not captured yet" in refused.err
    switch(site)
    refused = site.cdc("rehearse")
    assert refused.code == 3
    assert "no cutover to rehearse" in refused.err
