"""All files held still at one moment: it harms nobody, ends by itself, and seals all or none."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from cdc.errors import HoldEnded, SealIncomplete, SourceBusy, SourceUnavailable
from cdc.sqlite import freeze, hold
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.hold import Hold
from tests.support.command import ROOT
from tests.support.waiting import wait_until

from .conftest import captured

HOLDER = Path(__file__).with_name("holder.py")
STEPS = ["taken", "frozen", "flushed", "one committed", "sealed"]
INSERT = "INSERT INTO t (v) VALUES ('x')"
ROUNDS = 10


@pytest.fixture(params=["DELETE", "WAL", "TRUNCATE"])
def journal(request):
    return request.param


@pytest.fixture
def paths(tmp_path):
    return make(tmp_path, "DELETE")


def make(folder, journal) -> list[Path]:
    """Three captured files."""
    schema = f"PRAGMA journal_mode = {journal}; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"
    return [captured(folder / f"{name}.db", schema) for name in ("one", "two", "three")]


def frozen(path) -> bool:
    with SourceFile(path) as file, file.reading():
        return freeze.read(file) is not None


def rows(path) -> int:
    with SourceFile(path) as file, file.reading():
        return file.query("SELECT count(*) FROM t").get


def patient(paths, **options) -> Hold:
    """A hold whose time is not the subject: a machine that gives us no turn does not end it."""
    return Hold(paths, limit_seconds=30.0, **options)


def one_counts(one_round: Callable[[], bool]) -> None:
    """Look again until a round counts, which is one that the machine did not hold up itself."""
    assert any(one_round() for _ in range(ROUNDS)), "the machine held up every round"


@pytest.mark.parametrize("timeout", [0.25, 5.0])
def test_an_aborted_hold_is_a_short_wait_to_writers_and_nothing_to_readers(
    tmp_path, journal, timeout, service
):
    """Even where their patience is a quarter of a second; and what they write afterwards passes."""
    paths = make(tmp_path, journal)
    writers = [service(path, timeout=timeout) for path in paths]
    readers = [service(path, timeout=0.0) for path in paths]

    def one_round() -> bool:
        before, seen = [rows(path) for path in paths], []
        with Hold(paths) as held:
            held.take()
            for writer in writers:
                writer.start(INSERT)
            with suppress(HoldEnded):
                held.freeze("never seen")
                for path, reader in zip(paths, readers, strict=True):
                    seen += reader("SELECT count(*) FROM t").rows
                    with SourceFile(path) as ours, ours.reading():  # the drain and the proof do so
                        seen.append([ours.query("SELECT count(*) FROM t").get])
                        seen.append(freeze.read(ours))
                held.check()
            held.release()
        errors = [writer.answer().error for writer in writers]
        assert not any(map(frozen, paths))
        if held.seconds >= hold.HOLD_SECONDS:
            return False
        assert seen == [each for count in before for each in ([count], [count], None)]
        assert errors == [""] * 3
        assert [rows(path) for path in paths] == [count + 1 for count in before]
        return True

    one_counts(one_round)


def test_a_sealed_system_refuses_whoever_waited(tmp_path, journal, service, monkeypatch):
    """All files at once, each with the reason; the intent is asked for before the first COMMIT."""
    # Whoever waits to write reads for an instant at each look, and may lose its turn in it.
    monkeypatch.setattr(hold, "FLUSH_SECONDS", 10.0)
    paths = make(tmp_path, journal)
    writers = [service(path, timeout=30.0) for path in paths]
    intents = []
    with patient(paths) as held:
        held.take()
        held.freeze("the cutover")
        for writer in writers:
            writer.start(INSERT)
        held.seal(lambda: intents.append([in_transaction(path) for path in paths]))
        with pytest.raises(HoldEnded):
            held.check()
    assert intents == [[True] * 3]
    for path, writer in zip(paths, writers, strict=True):
        assert writer.answer().error.endswith("UTC: the cutover")
        assert frozen(path)
        assert rows(path) == 0


def in_transaction(path) -> bool:
    """Whether somebody else has begun to write to the file."""
    db = apsw.Connection(str(path))
    try:
        db.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        return True
    finally:
        db.close()
    return False


def test_a_hold_ends_by_itself(paths, service):
    """Its user may be stuck in PostgreSQL: no legacy writer pays for that with its timeout."""
    writers = [service(path, timeout=0.25) for path in paths]

    def one_round() -> bool:
        with Hold(paths) as held:
            held.take()
            with suppress(HoldEnded):
                held.freeze("never seen")
            for writer in writers:
                writer.start(INSERT)
            errors = [writer.answer().error for writer in writers]
            wait_until(lambda: ended(held))
            assert held.seconds >= hold.HOLD_SECONDS
            for use in (held.check, lambda: held.seal(lambda: None), lambda: held.freeze("late")):
                with pytest.raises(HoldEnded, match="time was up"):
                    use()
            in_time = held.seconds < 0.25
            held.take()  # the same connections may try again
            assert not ended(held) or held.seconds >= hold.HOLD_SECONDS
        assert not any(map(frozen, paths))
        assert errors == [""] * 3 or not in_time
        return in_time

    one_counts(one_round)


def ended(held) -> bool:
    try:
        held.check()
    except HoldEnded:
        return True
    return False


def test_a_busy_file_lets_go_of_all(paths, service):
    """No hold waits long for one file while it keeps others: it gives up, and names the file."""
    busy = service(paths[1])
    busy("BEGIN IMMEDIATE")
    quick = service(paths[0], timeout=0.25)
    with patient(paths, urgent=[paths[1]]) as held:
        with pytest.raises(SourceBusy, match=r"two\.db was never free"):
            held.take()
        assert held.seconds < 10
        assert quick(INSERT).error == ""
        busy("COMMIT")
        held.take()


def test_the_quiet_files_are_held_first_and_the_urgent_last(paths):
    """So that the files with the most to lose are held for the shortest time."""
    one, two, three = paths
    for age, path in enumerate((three, one, two)):
        os.utime(path, (1000 + age, 1000 + age))
    order = []
    with patient(paths, urgent=[three]) as held:
        held.take()
        held.each(lambda file: order.append(file.path))
    assert order == [one, two, three]


def test_a_reader_that_stays_undoes_the_seal(paths, service):
    """Its file cannot be written, so none is; nothing was intended, and nobody is shut out."""
    reader = service(paths[2])
    reader("BEGIN")
    reader("SELECT * FROM t")
    other = service(paths[2], timeout=0.25)
    with patient(paths) as held:
        held.take()
        held.freeze("never seen")
        with pytest.raises(SourceBusy, match=r"three\.db was never free of readers"):
            held.seal(lambda: pytest.fail("nothing may be intended"))
        assert held.seconds < 10
    assert other("SELECT count(*) FROM t").error == ""
    reader("COMMIT")
    assert other(INSERT).error == ""
    assert not any(map(frozen, paths))


def test_an_intent_that_cannot_be_recorded_undoes_the_seal(paths):
    """A disk that is full, say."""

    def fail() -> None:
        raise OSError("no space left")

    with patient(paths) as held:
        held.take()
        held.freeze("never seen")
        with pytest.raises(OSError, match="no space"):
            held.seal(fail)
    assert not any(map(frozen, paths))


def test_files_that_could_not_be_sealed_are_named_with_those_that_were(paths, monkeypatch):
    """A failure between the COMMITs of several files cannot be undone, so it is told exactly."""
    commit = hold._commit

    def fail_on_two(file) -> None:
        if file.path == paths[1]:
            raise SourceUnavailable("the disk is full")
        commit(file)

    monkeypatch.setattr(hold, "_commit", fail_on_two)
    with patient(paths) as held:
        held.take()
        held.freeze("half way")
        with pytest.raises(SealIncomplete, match=r"two\.db could not be sealed") as caught:
            held.seal(lambda: None)
    assert "one.db" in caught.value.hint
    assert "two.db" not in caught.value.hint
    assert [frozen(path) for path in paths] == [True, False, True]


def test_writers_under_repeated_holds(paths, service):
    """Holds that come one after another, each aborted: the least patient writer never fails."""
    writers = [service(path, timeout=0.25) for path in paths]
    stop = threading.Event()
    errors, written = [], [0] * len(writers)

    def write(number) -> None:
        while not stop.is_set():
            answer = writers[number](INSERT)
            errors.extend([answer.error] if answer.error else [])
            written[number] += not answer.error

    threads = [threading.Thread(target=write, args=(n,)) for n in range(len(writers))]
    for thread in threads:
        thread.start()
    held_times, failures = 0, []
    try:
        for _ in range(20):
            started, taken = time.monotonic(), False
            with Hold(paths) as held:  # which reads each file, and so is in the way of a COMMIT
                opened = time.monotonic() - started
                with suppress(SourceBusy, HoldEnded):
                    held.take()
                    taken = True
                    held.freeze("never seen")
            before = list(written)
            wait_until(lambda before=before: all(map(int.__lt__, before, written)))
            # By now each of them has met the end of whatever it has waited for.
            if max(opened, held.seconds) < hold.HOLD_SECONDS:
                held_times += taken
                failures += errors
            errors.clear()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert held_times
    assert failures == []
    assert sum(map(rows, paths)) == sum(written)


def start(step, paths) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(HOLDER), step, *map(str, paths)], env={"PYTHONPATH": str(ROOT)}
    )


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_every_step(step, paths, service):
    """Before the first COMMIT nothing is left of it; after it each file is sealed or is not."""
    assert start(step, paths).wait(30) == -signal.SIGKILL
    states = [frozen(path) for path in paths]
    assert sum(states) == {"one committed": 1, "sealed": 3}.get(step, 0)
    for path in paths:
        with SourceFile(path) as file:
            freeze.thaw(file)
        assert service(path)(INSERT).error == ""
        assert service(path)("PRAGMA integrity_check").rows == [["ok"]]


def test_killed_anywhere(paths, service):
    """Wherever the kill falls, every file is intact, and either refuses writes or takes them."""
    rng = random.Random(7)
    for _ in range(8):
        process = start("random", paths)
        wait_until(lambda: any(map(frozen, paths)))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.0, 0.05))
        process.kill()
        process.wait()
        for path in paths:
            with SourceFile(path) as file:
                assert file.query("PRAGMA integrity_check").get == "ok"
                freeze.thaw(file)
    for path in paths:
        assert service(path)(INSERT).error == ""


def test_journal_that_goes_while_it_is_looked_at(paths, monkeypatch):
    """A commit may remove it at any moment: that is no reason not to hold the file."""
    monkeypatch.setattr(Path, "exists", lambda _: True)
    with patient(paths) as held:
        held.take()


def test_a_hold_that_never_began_took_no_time(paths, service):
    """Not the first file was free; the numbers of an earlier hold say nothing of this one."""
    with Hold(paths) as held:
        assert held.seconds == 0.0
        held.take()
        held.release()
        assert held.seconds > 0.0
        busy = [service(path) for path in paths]
        for each in busy:
            each("BEGIN IMMEDIATE")
        with pytest.raises(SourceBusy):
            held.take()
        assert held.seconds == 0.0
