"""The commit of the code is read from its clone, which no run writes to."""

import os
import subprocess

import pytest

from benchmark.records import provenance


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with one committed file, whose time differs from the one that the index remembers."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "model.py").write_text("exits = 3\n")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    os.utime(tmp_path / "benchmark" / "model.py", (0, 0))
    monkeypatch.setattr(provenance, "project_root", lambda: tmp_path)
    provenance.git_state.cache_clear()
    yield tmp_path
    provenance.git_state.cache_clear()


def test_reading_the_state_does_not_write_to_the_clone(clone):
    """On a full disk git would leave a lock behind, and every later git command would refuse to work."""
    index = (clone / ".git" / "index").read_bytes()
    commit, dirty = provenance.git_state()
    assert len(commit) == 40
    assert dirty is False
    assert (clone / ".git" / "index").read_bytes() == index
    subprocess.run(["git", "-C", str(clone), "status", "--porcelain"], check=True)
    assert (clone / ".git" / "index").read_bytes() != index  # the test would see it


def test_a_changed_file_makes_it_dirty(clone):
    (clone / "benchmark" / "model.py").write_text("exits = 4\n")
    assert provenance.git_state()[1] is True
