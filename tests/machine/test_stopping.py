import os
import signal
import threading

import pytest

from kinemesh.machine.stopping import Stopped, StoppedAtOnce, StopRequest, handled_by, stop_at_once
from tests.runs import run_python


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_a_request_the_second_ends_at_once(number, status):
    before = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)  # whatever started the tests may have it ignored
    stop = StopRequest()
    with stop.listening():
        assert not stop.agree_to_stop()
        os.kill(os.getpid(), number)
        assert stop.agree_to_stop()
        with pytest.raises(Stopped) as raised:
            stop.raise_if_agreed()
        assert raised.value.exit_status == status
        with pytest.raises(
            StoppedAtOnce, match="stopped at once; the checkpoints written so far are complete"
        ) as raised:
            os.kill(os.getpid(), number)
        assert raised.value.exit_status == status
    assert signal.getsignal(number) is signal.SIG_DFL
    signal.signal(number, before)


def test_a_signal_ignored_from_the_start_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handled_by(stop_at_once):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_no_signals():
    entered = []

    def work():
        with StopRequest().listening():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered


def test_nothing_on_the_way_takes_it_for_a_fault():
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize("count", ["1", "2"])
def test_one_of_several_processes_ends_before_the_interpreter_does(count):
    code = (
        "import atexit, sys; from kinemesh.machine.stopping import leave\n"
        "atexit.register(print, 'later'); print('said'); sys.exit(leave(3))"
    )
    ran = run_python("-c", code, WORLD_SIZE=count, PYTHONPATH="lib")
    assert (ran.returncode, ran.stdout) == (3, "said\nlater\n" if count == "1" else "said\n")
