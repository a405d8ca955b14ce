"""Who is asked to stop, and how."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from cdc.stop import INTERRUPTS, interruptible, uninterrupted


@pytest.fixture
def defaults():
    """Of both signals, whatever the tests were started with."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("defaults")
def test_a_signal_interrupts_as_ctrl_c_does(number):
    """Once: who goes back for it is not interrupted in that."""
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.usefixtures("defaults")
def test_what_is_ignored_stays_ignored():
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("defaults")
def test_an_interrupt_waits_for_the_end_of_what_must_not_be_interrupted(number):
    """And comes then, once, in whatever way it would have come."""
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            done.append("all of it")

    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            work()
        os.kill(os.getpid(), number)
    assert done == ["all of it"]


@pytest.mark.usefixtures("defaults")
def test_what_is_not_interrupted_leaves_no_trace():
    """Not of a signal that is ignored, nor in a thread that nobody interrupts."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handlers = [signal.getsignal(number) for number in INTERRUPTS]
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGHUP)

    def elsewhere():
        with uninterrupted():
            return [signal.getsignal(number) for number in INTERRUPTS]

    with ThreadPoolExecutor() as pool:
        assert pool.submit(elsewhere).result() == handlers
    assert [signal.getsignal(number) for number in INTERRUPTS] == handlers
