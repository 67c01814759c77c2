"""The tool that fills the table of results: what it skips, what it takes from an earlier run, what it writes."""

import json
import sys

import pytest

import tools.reproduce as reproduce
from kinemesh.program.cli import run_reporting_errors

FIGURES = {
    "protocol": "motionbert", "clips": "released", "flip": "released", "frames": 1000, "coverage": 0.97,
    "selected_on": "test", "mpve": 88.4, "mpjpe": 76.5, "pa_mpjpe": 47.2,
}  # fmt: skip


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A repository with the data and checkpoint of the first row alone; counts what is measured."""
    (tmp_path / "configs").symlink_to(reproduce.ROOT / "configs")
    for name in ("data/mesh/mesh_det_pw3d.pkl", reproduce.ROWS[0].checkpoint):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    table = tmp_path / "results.md"
    table.write_text(f"before\n{reproduce.START}\nold\n{reproduce.STOP}\nafter\n")
    measured = []
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    monkeypatch.setattr(reproduce, "measure", lambda row, out: measured.append(row.name) or dict(FIGURES))

    def run(*arguments: str) -> int:
        flags = ("--results", str(tmp_path / "r.json"), "--table", str(table))
        monkeypatch.setattr(sys, "argv", ["reproduce", *arguments, *flags])
        return run_reporting_errors(reproduce.main)

    return tmp_path, table, measured, run


def test_measures_what_is_here_and_says_what_is_not(workplace, capsys):
    _, table, measured, run = workplace
    assert run() == 0
    assert measured == ["ft_pw3d"]
    output = capsys.readouterr().out
    assert "MPVE 88.1 published, 88.4 measured (+0.3), MPJPE 76.9 published, 76.5 measured (-0.4)" in output
    assert "Human3.6M, finetuned: not measured here, checkpoint/mesh/FT_MB_release_MB_ft_h36m" in output
    text = table.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 3DPW, finetuned | 88.1, 76.9, 47.2 | motionbert | 88.4, 76.5, 47.2 | +0.3, -0.4, +0.0 |" in text
    assert text.count("| not measured here |") == 3


def test_goes_on_where_it_was(workplace):
    folder, _, measured, run = workplace
    run()
    assert run() == 0
    assert measured == ["ft_pw3d"]
    run("--again")
    assert len(measured) == 2
    (folder / reproduce.ROWS[0].checkpoint).write_text("another checkpoint")
    run("--only", "refine_pw3d")
    assert len(measured) == 2
    run()
    assert len(measured) == 3


def test_mistakes(workplace, capsys):
    folder, table, _, run = workplace
    (folder / "r.json").write_text("[1]")
    assert run() == 2
    assert "not results of this tool" in capsys.readouterr().err
    (folder / "r.json").unlink()
    table.write_text("no marks")
    assert run() == 2
    assert "are not in it" in capsys.readouterr().err


def test_the_table_in_the_documentation_is_this_tools():
    text = (reproduce.ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert reproduce.table({}) in text
    for row in reproduce.ROWS:
        assert reproduce.command(row) in text


def test_measuring_runs_the_command(monkeypatch, tmp_path):
    seen = {}

    def fake_run(arguments, cwd, check):
        seen["arguments"] = arguments
        (tmp_path / "x.json").write_text(json.dumps({"h36m": FIGURES | {"by_video": []}}))
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(reproduce.subprocess, "run", fake_run)
    row = reproduce.ROWS[2]
    assert reproduce.measure(row, tmp_path / "x.json") == FIGURES
    assert seen["arguments"][1:4] == ["train_mesh.py", "--config", "configs/mesh/MB_ft_h36m.yaml"]
    assert "dt_file_pw3d=null" in seen["arguments"]
