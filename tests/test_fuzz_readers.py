"""A few hundred spoiled files of all kinds; and that a reader which fails is found out."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from kinemesh.errors import UserError
from tests.refusals import refuses
from tools import fuzz_readers
from tools.fuzz import trial
from tools.fuzz.datasets import DOWNLOADS
from tools.fuzz.kinds import KINDS, Kind
from tools.fuzz.trial import ACCEPTED, REFUSED, try_cases

OF_DOWNLOADS = {
    "3dpw", "gvhmr", "eft", "cliff_fits", "h36m_fits", "h36m_cdf", "mosh", "bedlam", "bedlam2", "emdb", "aist",
}  # fmt: skip
COUNTS = dict.fromkeys(DOWNLOADS, 3) | {"smpl_pkl": 6, "smpl_npz": 6, "checkpoint": 25, "released": 20, "sam3d": 8}


# One file of a download that has several like it; the command spoils them all.
@pytest.mark.parametrize("name", [name for name in KINDS if name not in DOWNLOADS.keys() - OF_DOWNLOADS])
def test_spoiled_files_are_accepted_or_refused(name, tmp_path):
    kind = KINDS[name]
    results = list(try_cases(kind, kind.make(), (1, 2), range(COUNTS.get(name, 40)), tmp_path))
    assert [result.case for result in results] == list(range(len(results)))
    failures = [result for result in results if result.outcome not in (ACCEPTED, REFUSED)]
    assert failures == []
    assert any(result.outcome == REFUSED for result in results)


def spin() -> None:
    while True:
        pass


def read_badly(path: Path) -> None:
    """A reader with one fault for each first byte."""
    first = path.read_bytes()[:1]
    faults = {
        b"e": lambda: {}["missing"],
        b"r": lambda: (_ for _ in ()).throw(UserError("no")),
        b"s": spin,
        b"m": lambda: np.ones(1 << 30),
        b"x": lambda: os.system("true"),
        b"w": lambda: path.with_name("other").write_bytes(b""),
        b"c": lambda: os._exit(3),
    }
    faults.get(first, lambda: None)()


def test_every_fault_is_found_out_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    contents = [b"a", b"e", b"r", b"s", b"m", b"x", b"w", b"c", b"b"]
    monkeypatch.setattr(trial, "spoiled", lambda _files, _seed, case: contents[case])
    kind = Kind("file", list, read_badly)
    results = list(try_cases(kind, [], (0,), range(len(contents)), tmp_path))
    found = {contents[result.case].decode(): result.outcome for result in results}
    memory = found.pop("m")
    assert memory in ("MemoryError", "_ArrayMemoryError")
    assert found == {
        "a": ACCEPTED, "e": "KeyError", "r": REFUSED, "s": "slow", "x": "executed", "w": "executed", "c": "crash",
        "b": ACCEPTED,
    }  # fmt: skip
    assert all((result.content == b"") == (result.outcome in (ACCEPTED, REFUSED)) for result in results)
    assert "other" not in next(result.detail for result in results if contents[result.case] == b"x")


def test_cases_depend_on_their_seed_and_number_only():
    files = KINDS["mean_params"].make()
    assert trial.spoiled(files, (0, 1), 5) == trial.spoiled(files, (0, 1), 5)
    spoiled = {trial.spoiled(files, seed, case) for seed in ((0, 1), (0, 2)) for case in range(10)}
    assert len(spoiled) == 20
    assert not spoiled & set(files)


def test_the_script_counts_and_keeps_failures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--count", "6", "--kind", "yaml", "--failures", str(tmp_path / "kept")])
    fuzz_readers.main()
    printed = capsys.readouterr().out
    assert "yaml" in printed and "6 files, 0 failures" in printed
    assert not (tmp_path / "kept").exists()

    monkeypatch.setitem(KINDS, "yaml", Kind("x.yaml", lambda: [b"a: 1" * 20], lambda path: 1 / 0))
    monkeypatch.setattr(trial, "_warm_up", lambda *_arguments: None)
    with pytest.raises(SystemExit):
        fuzz_readers.main()
    kept = list((tmp_path / "kept").iterdir())
    assert kept and all("ZeroDivisionError" in path.name for path in kept)
    monkeypatch.setattr(sys, "argv", ["x", "--count", "0"])
    refuses("expected a positive count", fuzz_readers.main)
