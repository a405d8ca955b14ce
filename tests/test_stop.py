"""Who is asked to stop, and how."""

import os
import signal

import pytest

from cdc.stop import interruptible


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
