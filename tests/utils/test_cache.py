"""Cache entries are whole or absent, repaired when damaged, and built by one process only."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from benchmark.types import ExitbenchError
from benchmark.utils.cache import cache_dir, cached_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    def __init__(self, content: bytes = b"right", seconds: float = 0) -> None:
        self.content, self.seconds, self.calls = content, seconds, 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        time.sleep(self.seconds)
        (folder / "file").write_bytes(self.content)


def test_cache_dir_follows_its_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("EXITBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "exitbench"


def test_second_use_does_not_build() -> None:
    build = Builder()
    assert cached_folder("a/b", build) == cached_folder("a/b", build)
    assert build.calls == 1


@pytest.mark.parametrize("damage", ["changed", "removed", "no manifest", "manifest garbage"])
def test_damage_is_noticed_and_repaired(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = cached_folder("a", build := Builder())
    if damage == "changed":
        (folder / "file").write_bytes(b"wrong")  # the same length: only a hash can tell
    elif damage == "removed":
        (folder / "file").unlink()
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text("[1")
    assert (cached_folder("a", build) / "file").read_bytes() == b"right"
    assert build.calls == 2
    assert "built again" in caplog.text


def test_failed_build_leaves_nothing(own_cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise ExitbenchError("no source")

    with pytest.raises(ExitbenchError, match="no source"):
        cached_folder("a", fail)
    assert [path for path in own_cache.iterdir() if path.suffix != ".lock"] == []


def test_two_at_once_build_once() -> None:
    build = Builder(seconds=0.2)
    threads = [threading.Thread(target=cached_folder, args=("a", build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.calls == 1


def test_unwritable_cache_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").write_text("a file where a folder is needed")
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "plain"))
    with pytest.raises(ExitbenchError, match="set EXITBENCH_CACHE"):
        cached_folder("a", Builder())
