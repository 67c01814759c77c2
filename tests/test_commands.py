"""Every command that the pages print: its flags and configs exist, and either a test runs it or it needs what is not shipped."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from kinemesh.config import load_config
from kinemesh.demo.video import make_video
from kinemesh.detect.detector import Detector
from kinemesh.detect.search import Frame
from kinemesh.program.commands.prepare import parse_arguments as parse_prepare_arguments
from kinemesh.program.flags.training import REFINER, REGRESSOR, parse_arguments
from kinemesh.program.wild import predictor
from kinemesh.program.wild.cli import parse_arguments as parse_wild_arguments
from kinemesh.render.video import video_writer
from tests.keypoints.alphapose import write_alphapose

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("docs/*.md")), *(ROOT / name for name in ("README.md", "benchmarks/README.md"))]
# What a test runs, by the beginning of the command; everything else needs licensed files, a GPU, or minutes.
RUN_BY = {
    "python -m kinemesh convert": "tests/program/commands/test_convert_and_check.py",
    "python -m kinemesh check": "tests/program/commands/test_convert_and_check.py",
    "python3 -m venv .venv": ".ci/run runs the second; test_train_mesh.py runs training on a small copy of the default",
    "python infer_wild_mesh.py --demo": "test_infer_wild_mesh.py::test_demo_needs_no_file",
}
NEEDS_MORE = {
    "--config configs/mesh/MB_": "SMPL and datasets of data/README.md; the same flags run on the default's small files",
    "--vid_path walk.mp4": "a detector's files; tests/program/wild/test_detect_keypoints.py runs it with a detector of its own, "
    "test_infer_wild_mesh.py with keypoints",
    "--install_detector blazepose": "a download; tests/detect/test_installing.py runs it without",
    "--json_path openpose_folder": "SMPL and a checkpoint; test_infer_wild_mesh.py runs the flags with the stand-in",
    "python -m tools.make_builtin": "an hour; test_make_builtin.py makes a small one",
    "python -m tools.reproduce": "licensed data; test_reproduce.py",
    "python -m benchmarks.": "minutes; results in benchmarks/results/",
    "python -m kinemesh prepare": "downloads; tests/prepare and tests/program/commands/test_prepare.py make files of each layout",
    "python -m tools.draw": "a trained model; test_draw_moving_picture.py",
}


def printed() -> list[str]:
    """All commands of the pages, each once."""
    found = []
    for page in PAGES:
        for fenced, indented in re.findall(r"^```\n(.*?)^```|^((?:    \S.*\n)+)", page.read_text(), re.M | re.S):
            for line in (fenced or indented).replace("\\\n", " ").splitlines():
                line = " ".join(line.split("  #")[0].split())
                if re.match(r"(python3?|torchrun) ", line):
                    found.append(line)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("command", printed())
def test_flags_and_configs_of_a_printed_command_exist(command):
    assert any(part in command for part in {**RUN_BY, **NEEDS_MORE}), "neither run by a test nor listed"
    words = shlex.split(command.split(" #")[0])
    script = next((word for word in words if word.endswith(".py") and "/" not in word), None)
    arguments = words[words.index(script) + 1 :] if script else []
    if script == "infer_wild_mesh.py":
        parse_wild_arguments(arguments)
    elif script and not command.startswith("python3 "):
        parsed = parse_arguments({"train_mesh.py": REGRESSOR, "train_mesh_refine.py": REFINER}[script], arguments)
        load_config(ROOT / parsed.config)
    if "kinemesh prepare" in command:
        parse_prepare_arguments(words[words.index("prepare") + 1 :])
    for module in (word for word in words if word.startswith(("tools.", "benchmarks."))):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


def test_the_first_lines_of_python_run_as_printed(walk_file, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    write_alphapose(tmp_path / "alphapose-results.json", make_video().keypoints_px[:1], first=0)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "(120, 72) [" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.npz", "0.glb", "viewer.html", "walk"}
    assert {path.name for path in (tmp_path / "out/walk").iterdir()} == {"0.npz", "0.glb", "1.npz", "1.glb"}


@pytest.fixture
def walk_file(tmp_path, monkeypatch) -> Path:
    """A video, and a detector that knows who is in it."""

    def people(pictures, _fps, _after):
        return (Frame([0, 1], list(points)) for points, _ in zip(keypoints.swapaxes(0, 1), pictures, strict=True))

    keypoints = make_video(12).keypoints_px
    monkeypatch.setattr(predictor, "open_detector", lambda *_: Detector("eyes", "h36m17", "1", {}, "exact", people))
    with video_writer(tmp_path / "walk.mp4", (1280, 720), 30.0) as write:
        for _ in range(12):
            write(np.zeros((720, 1280, 3), dtype=np.uint8))
    return tmp_path / "walk.mp4"
