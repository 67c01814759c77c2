import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from kinemesh.machine.run_lock import LOCK_FILE, locked_folder, require_unlocked
from tests.refusals import refused, refuses

HOLD = (
    "import sys, time; from pathlib import Path; from kinemesh.machine.run_lock import locked_folder\n"
    "with locked_folder(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)


def test_a_second_run_is_refused_with_the_first_ones_process_and_host(tmp_path):
    root = Path(__file__).parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=root / "lib", stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    try:
        message = rf"another run writes here \(process {holder.pid} on {socket.gethostname()}\)"
        with refused(message), locked_folder(tmp_path):
            pass
        refuses(message, require_unlocked, tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    # Killed, it leaves its text behind, but no lock.
    assert str(holder.pid) in (tmp_path / LOCK_FILE).read_text()
    require_unlocked(tmp_path)
    with locked_folder(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK_FILE).read_text()
    assert (tmp_path / LOCK_FILE).read_text() == ""


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path):
    with locked_folder(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
    with locked_folder(tmp_path / "new"):
        (tmp_path / "new" / "file").write_text("")
    assert (tmp_path / "new").exists()


def test_looking_writes_nothing_and_a_folder_that_cannot_be_made_is_told(tmp_path):
    require_unlocked(tmp_path / "none")
    require_unlocked(tmp_path)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("")
    with refused("cannot be written"), locked_folder(tmp_path / "file" / "run"):
        pass


def test_a_file_system_without_locks_is_no_reason_not_to_run(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_folder(tmp_path):
        pass
    assert "its file system has no locks" in caplog.text
