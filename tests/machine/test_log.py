"""What a run says reaches whoever reads it, does nothing but to be read, and never stops the run."""

import logging
import os
import sys

import pytest

from kinemesh.errors import UserError
from kinemesh.machine.log import add_log_file, append_record, drop_metrics_from, set_up_console, without_information
from tests.refusals import refuses

logger = logging.getLogger("kinemesh.test_log")


@pytest.fixture
def console():
    """The project's messages go to standard output, as in a run."""
    set_up_console()


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x00", "\u202e"], ids=ascii)
def test_names_are_shown_and_not_obeyed(text, console, capsys, tmp_path):
    add_log_file(tmp_path / "log.txt")
    logger.info("person %s:\n\tfound, 1 µm", f"a{text}b")
    shown = f"person a{text.encode('unicode_escape', 'surrogatepass').decode()}b:\n\tfound, 1 µm\n"
    assert capsys.readouterr().out == shown
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").endswith(shown)
    assert text not in str(UserError(f"no person a{text}b"))


def test_halves_of_characters_reach_a_file_as_their_numbers(tmp_path):
    """Apart from a run's log, which the test runner would send between processes as it is."""
    add_log_file(tmp_path / "log.txt")
    handler = logging.getLogger("kinemesh").handlers[-1]
    handler.emit(logging.makeLogRecord({"msg": "person a\udcffb", "levelname": "INFO"}))
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").endswith("person a\\udcffb\n")


def broken_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("opened", [broken_pipe, lambda: os.open("/dev/full", os.O_WRONLY)], ids=["cut", "full"])
def test_a_console_that_cannot_be_written_stops_nothing(opened, console, monkeypatch, tmp_path):
    if opened is not broken_pipe and not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    add_log_file(tmp_path / "log.txt")
    stream = os.fdopen(opened(), "w", encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        for number in range(3):
            logger.info("line %d é", number)
    stream.close()  # what waits in it is written now, or nowhere
    assert len((tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()) == 3


def test_a_console_that_is_closed_stops_nothing(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        set_up_console()
        logger.info("nobody sees this")
        sys.stdout.close(), sys.stderr.close()


@pytest.mark.parametrize(
    "write", [add_log_file, lambda path: append_record(path, {}), lambda path: drop_metrics_from(path, 1)]
)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.parent / "theirs"), os.mkdir])
def test_nothing_is_appended_to_what_is_no_file_of_the_run(write, make, tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    make(tmp_path / "ours")
    refuses("ours: cannot be written, it is a (link|folder|device or pipe)", write, tmp_path / "ours")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_library_keeps_its_information_to_itself_but_not_its_errors(capfd):
    with pytest.raises(RuntimeError), without_information():
        os.write(2, b"INFO: Created a delegate.\nERROR: it cannot be used\nWARNING: half a line")
        raise RuntimeError
    os.write(2, b"\nINFO: somebody else's\n")
    assert capfd.readouterr().err == "ERROR: it cannot be used\nWARNING: half a line\nINFO: somebody else's\n"


def test_a_closed_console_is_no_reason_to_stop_a_library():
    kept = os.dup(2)
    os.close(2)
    try:
        with without_information():
            done = True
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert done
