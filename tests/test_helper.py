"""A helper hands over what it makes, or says that it cannot; and it never stays behind."""

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from cdc import helper
from cdc.helper import Helper
from tests.support.command import ROOT
from tests.support.waiting import wait_until

HERE = Path(__file__)


def squares(number):
    """The first so many squares, with chatter that belongs nowhere."""
    print("not an item")  # noqa: T201
    yield from (i * i for i in range(number))


def blocks(number, size):
    """Large items."""
    return (bytes([i]) * size for i in range(number))


def fails_at(number):
    """Raises in the middle."""
    yield from range(number)
    raise LookupError("no more of these")


def places():
    """Where it looks for modules."""
    yield sys.path


def pids():
    """Its own process, for ever."""
    return (os.getpid() for _ in count())


def confused():
    """An error that has another meaning between the processes."""
    yield 1
    raise EOFError("of a file that it has read")


def leaves():
    """Wants to end the program."""
    yield 1
    sys.exit("enough")


def chatters():
    """Writes where only items belong, past Python."""
    os.write(1, b"noise")
    yield 1


def unpicklable():
    """An item that cannot be sent."""
    yield lambda: 1


class Told(AssertionError):
    """How a helper was lost."""


class Begun:
    """A helper that has begun, or will with the first item."""

    def __init__(self, make, *arguments, wait=True):
        self._helper = Helper(make, on_lost=self._lost)
        self._arguments = arguments
        if wait:
            wait_until(lambda: self._helper.ready)

    def take(self):
        """What the helper makes; whatever is not made there fails the test."""
        return self._helper.take(self._here, lambda: self._arguments)

    def all(self):
        return list(iter(self.take, None))

    def close(self):
        self._helper.close()

    def _lost(self, how):
        raise Told(how)

    def _here(self):
        raise AssertionError("not made there")


@pytest.fixture
def begun(monkeypatch):
    """Starts helpers, whatever the machine, and closes them."""
    monkeypatch.setattr(helper, "_room", threading.Semaphore(3))
    started = []

    def begin(make, *arguments):
        started.append(Begun(make, *arguments))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def is_alive(pid):
    """Whether it runs; where nobody asks how it ended, it may be on the list for longer."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_items_arrive_in_order(begun):
    assert begun(squares, 1000).all() == [i * i for i in range(1000)]


def test_large_items_arrive_whole(begun):
    assert begun(blocks, 5, 10_000_000).all() == [bytes([i]) * 10_000_000 for i in range(5)]


def test_error_is_told_behind_what_was_made(begun):
    made = begun(fails_at, 2)
    assert [made.take(), made.take()] == [0, 1]
    with pytest.raises(Told, match="LookupError: no more of these"):
        made.take()


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (confused, "EOFError: of a file that it has read"),
        (leaves, "SystemExit: enough"),
        (unpicklable, "code 1"),
    ],
)
def test_whatever_ends_it_is_told(begun, make, how):
    made = begun(make)
    with pytest.raises(Told, match=how):
        made.all()


def test_noise_is_no_item(begun):
    assert begun(chatters).all() == [1]


def test_bad_answer_is_a_loss(begun):
    """Whatever it is, and though the process lives."""
    made = begun(pids)
    pid = made.take()
    with made._helper._process._from:
        made._helper._process._from = io.BytesIO(b"cno_such_module\nthing\n.")
        with pytest.raises(Told, match="ModuleNotFoundError"):
            made.take()
    assert not is_alive(pid)


def test_helper_that_does_not_answer_is_given_up(begun, monkeypatch):
    """Somebody may have stopped it."""
    made = begun(pids)
    pid = made.take()
    monkeypatch.setattr(helper, "PATIENCE_SECONDS", 0.2)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Told, match="code -9"):
        made.all()
    assert not is_alive(pid)


def test_behind_its_last_item_there_is_nothing_to_lose(begun):
    """Whoever goes on asking makes the rest here."""
    made = begun(squares, 2)
    assert made.all() == [0, 1]
    with pytest.raises(AssertionError, match="not made there"):
        made.take()


def test_more_files_than_select_knows(begun):
    """A daemon of many sources has many."""
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(Path(os.devnull).open("rb"))
        assert begun(squares, 2).all() == [0, 1]


def test_what_no_pickle_holds_is_an_error_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(helper, "_room", threading.Semaphore(1))
    for _ in range(2):
        with pytest.raises((AttributeError, pickle.PicklingError)):
            Helper(lambda: iter(()), on_lost=print)
    made = Begun(pids)
    assert made.take() == made.take()
    made.close()


def test_arguments_that_do_not_fit_are_told(begun):
    with pytest.raises(Told, match="TypeError"):
        begun(squares).take()


def test_killed_helper_is_missed(begun):
    made = begun(pids)
    os.kill(made.take(), signal.SIGKILL)
    with pytest.raises(Told, match="code -9"):
        made.all()


def test_killed_before_it_began(begun):
    made = begun(pids)
    made._helper._process._process.kill()
    with pytest.raises(Told, match="code -9"):
        made.all()


def test_items_are_made_here_until_it_is_ready_and_once_it_is_lost(monkeypatch):
    """Nobody has to wait for it, and nobody is left without what comes next."""
    monkeypatch.setattr(helper, "_room", threading.Semaphore(1))
    lost = []
    numbers = Helper(fails_at, on_lost=lost.append)
    assert numbers.take(lambda: "here", lambda: (1,)) == "here"
    wait_until(lambda: numbers.ready)
    assert numbers.take(lambda: "here", lambda: (1,)) == 0
    assert numbers.take(lambda: "here", lambda: (1,)) == "here"
    assert lost == ["LookupError: no more of these"]
    assert numbers.take(lambda: "here", lambda: (1,)) == "here"
    numbers.close()


def test_modules_are_those_of_this_process(begun, monkeypatch, tmp_path):
    """Whatever is installed beside: what is handed over must mean the same at both ends."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    [found] = begun(places).all()
    assert found == [place or str(Path.cwd()) for place in sys.path]


def test_closing_ends_it_whatever_it_is_at(begun):
    made = begun(pids)
    pid = made.take()
    made.close()
    assert not is_alive(pid)
    made.close()


def test_no_more_than_there_are_processors(monkeypatch):
    """A helper beyond that would take the time of those that are at work."""
    monkeypatch.setattr(helper, "_room", threading.Semaphore(1))
    first = Begun(pids)
    assert first.take() == first.take()
    second = Begun(pids, wait=False)
    with pytest.raises(AssertionError, match="not made there"):
        second.take()
    first.close()
    first.close()
    third, fourth = Begun(pids), Begun(pids, wait=False)
    assert third.take() == third.take()
    with pytest.raises(AssertionError, match="not made there"):
        fourth.take()
    third.close()


def test_no_helper_where_no_process_can_be_started(monkeypatch):
    monkeypatch.setattr(helper, "_room", threading.Semaphore(1))
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(AssertionError, match="not made there"):
            Begun(pids, wait=False).take()
    made = Begun(pids)
    assert made.take() == made.take()
    made.close()


def test_helper_ends_with_the_process_that_has_started_it():
    """Even where that is killed."""
    program = (
        "import threading\n"
        "from cdc import helper\n"
        "from tests.test_helper import Begun, pids\n"
        "helper._room = threading.Semaphore(1)\n"
        "print(Begun(pids).take(), flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parents[1],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE.parents[1]}"},
    )
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    parent.communicate()
    wait_until(lambda: not is_alive(pid))


def test_ctrl_c_is_not_meant_for_it(begun):
    made = begun(pids)
    assert os.getpgid(made.take()) != os.getpgid(0)
