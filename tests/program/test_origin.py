import subprocess

import pytest

from kinemesh.program import origin
from kinemesh.program.origin import fingerprint, fingerprints, git_revision, versions


def test_versions_are_plain_text():
    assert {"python", "torch", "numpy"} <= versions().keys()
    assert all(type(value) is str for value in versions().values())


class TestGitRevision:
    @pytest.fixture
    def repository(self, tmp_path):
        def git(*arguments: str) -> str:
            identity = ("-c", "user.name=n", "-c", "user.email=e")
            command = ["git", "-C", str(tmp_path), *identity, *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        try:
            git("init", "-q")
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no git")
        (tmp_path / "file").write_text("one")
        git("add", "file")
        git("commit", "-qm", "first")
        return tmp_path, git("rev-parse", "HEAD")

    def test_commit_and_changes(self, repository):
        folder, commit = repository
        assert git_revision(folder) == commit
        (folder / "file").write_text("two")
        assert git_revision(folder) == f"{commit}-dirty"

    def test_none_outside_a_repository_or_without_git(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert git_revision(tmp_path) is None
        monkeypatch.setenv("PATH", "")
        assert git_revision() is None

    def test_none_if_git_hangs(self, monkeypatch):
        def hang(*_, **options):
            raise subprocess.TimeoutExpired("git", options["timeout"])

        monkeypatch.setattr(origin.subprocess, "run", hang)
        assert git_revision() is None


class TestFingerprint:
    @pytest.mark.parametrize("size", [0, 1, 100_000, 4 << 20])
    def test_small_files_are_read_whole(self, tmp_path, size):
        path = tmp_path / "x"
        path.write_bytes(bytes(size))
        before = fingerprint(path)
        assert before == fingerprint(path)
        assert before.startswith(f"{size}:")
        for place in {0, size // 3, size - 1} if size else ():
            changed = bytearray(size)
            changed[place] = 1
            path.write_bytes(changed)
            assert fingerprint(path) != before, place

    def test_large_files_are_sampled_from_end_to_end(self, tmp_path):
        path, size = tmp_path / "x", 40 << 20
        with path.open("wb") as file:
            file.truncate(size)
        before = fingerprint(path)
        for place in (0, size - 1):
            with path.open("r+b") as file:
                file.seek(place)
                file.write(b"\x01")
            assert fingerprint(path) != before
            with path.open("r+b") as file:
                file.seek(place)
                file.write(b"\x00")
        with path.open("ab") as file:
            file.write(b"\x00")
        assert fingerprint(path) != before

    def test_of_files_only(self, tmp_path):
        (tmp_path / "a").write_bytes(b"1")
        assert fingerprints([tmp_path / "a", tmp_path / "none", tmp_path]).keys() == {"a"}
