"""`kinemesh COMMAND`: every command is there, calls what the scripts call, and says what is wrong in one line."""

import re
import signal
from pathlib import Path

import pytest

from kinemesh.program.console import COMMANDS, main
from kinemesh.program.flags.training import REGRESSOR, parse_arguments
from tests.runs import ROOT, run_python


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_shows_its_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["check", "a.pkl"], ["train"], ["infer", "--demo"]], ids=lambda command: command[0]
)
def test_stopped_while_pytorch_is_imported_it_ends_at_once_in_one_line(command, tmp_path):
    """PyTorch takes seconds, and does not stand exceptions in its own start."""
    waits = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException:\n    os.abort()\n"
    (tmp_path / "torch.py").write_text(waits)
    ran = run_python("-m", "kinemesh", *command, PYTHONPATH=f"{tmp_path}:{ROOT / 'lib'}")
    assert (ran.returncode, ran.stdout, ran.stderr) == (143, "", "stopped: nothing was begun\n")


@pytest.mark.parametrize(
    "program", ["train_mesh.py", "train_mesh_refine.py", "infer_wild_mesh.py", "-m kinemesh", "-m tools.reproduce"]
)
def test_ctrl_c_while_the_program_is_imported_shows_no_traceback(program, tmp_path):
    """As a shell expects, it is the signal that ended it."""
    (tmp_path / "yaml.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    # A program that a shell has put into the background inherits that Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ran = run_python(*program.split(), "--help", PYTHONPATH=f"{tmp_path}:{ROOT / 'lib'}")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, "", "")


def test_without_a_command_all_are_listed_and_an_unknown_one_is_one_line(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert main(["fly"]) == 2
    assert capsys.readouterr().err == f"error: kinemesh fly: no such command. Expected one of {', '.join(COMMANDS)}.\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_one_line_that_names_the_help(name, capsys):
    assert main([name, "--no_such_flag", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert re.search(r"See python (?!python)\S.* --help\.$", error)


@pytest.mark.parametrize(
    "command", ["evaluate --predictions FILE --metrics_out", "export --config a.yaml --checkpoint FILE --to ours --out"]
)
def test_what_is_read_is_not_replaced_by_what_is_written(command, tmp_path, capsys):
    (tmp_path / "bodies").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "bodies")
    assert main([*command.replace("FILE", str(tmp_path / "bodies")).split(), str(tmp_path / "link")]) == 2
    error = capsys.readouterr().err
    assert error == f"error: {tmp_path}/link: is read here, too, and would be replaced. Name another file.\n"
    assert (tmp_path / "bodies").read_bytes() == b"theirs"


def test_it_runs_as_a_module_from_any_folder(tmp_path):
    command = ["-m", "kinemesh", "infer", "--demo", "--formats", "npz", "--out_path", "out"]
    ran = run_python(*command, folder=tmp_path, PYTHONPATH=str(ROOT / "lib"))
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "0.npz").is_file()


def test_the_default_config_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(parse_arguments(REGRESSOR, []).config) == ROOT / REGRESSOR.default_config
    monkeypatch.chdir(ROOT)
    assert parse_arguments(REGRESSOR, []).config == REGRESSOR.default_config


def test_the_former_place_of_the_predictor_warns_and_works(tmp_path):
    code = "from lib.infer import MeshPredictor; print(MeshPredictor.__module__)"
    ran = run_python("-W", "default", "-c", code)
    assert ran.stdout == "kinemesh.infer.predictor\n"
    assert "lib.infer is now kinemesh.infer" in ran.stderr
