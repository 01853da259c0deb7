"""Registries on loopback: the index is found as pip finds it, and answers or is passed over quickly."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.data.sources import registry
from benchmark.data.sources.hub import unreachable
from benchmark.types import ExitbenchError

CLOSED = "http://127.0.0.1:9/simple/"  # nothing listens on the discard port


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index that serves thing-1.tar.gz."""
    (project := tmp_path / "www" / "simple" / "thing").mkdir(parents=True)
    (project / "thing-1.tar.gz").write_bytes(b"archive")
    (project / "index.html").write_text('<a href="thing-1.tar.gz">thing-1.tar.gz</a>')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www")) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
        server.shutdown()


@pytest.fixture(autouse=True)
def plain_pip(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registry.pip_settings.cache_clear()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    registry.pip_settings.cache_clear()


def test_indexes_are_found_as_pip_finds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (conf := tmp_path / "pip.conf").write_text(
        "[global]\nindex_url = https://global.example/simple\n[download]\nextra_index_url = https://extra.example/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    assert registry.python_indexes()[0] == "https://global.example/simple"
    assert "https://extra.example/simple" in registry.python_indexes()
    registry.pip_settings.cache_clear()
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{tmp_path.as_uri()} https://more.example/simple")
    assert registry.python_indexes() == ["https://env.example/simple", "https://more.example/simple"]


def test_archive_comes_from_the_first_index_that_has_it(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
    archive = registry.from_python_index("thing", "thing-1.tar.gz", tmp_path)
    assert hashlib.sha256(archive.read_bytes()).digest() == hashlib.sha256(b"archive").digest()


def test_silent_or_empty_index_is_one_line(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED.replace("//", "//user:secret@"))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
    with pytest.raises(ExitbenchError) as caught:
        registry.from_python_index("thing", "thing-2.tar.gz", tmp_path)
    assert "connection refused" in str(caught.value)
    assert "has no thing-2.tar.gz" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_hangs_costs_seconds() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, never answers
        start = time.monotonic()
        reason = unreachable(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.3)
        assert reason
        assert time.monotonic() - start < 2


FAKE_APT = """#!/bin/sh
case "$*" in *update) exit 100;; esac
case "$*" in *Dir::State::Lists*) echo deb > thing_1_all.deb; exit 0;; esac
echo "E: Unable to locate package thing"; exit 100
"""


def test_debian_tries_fresh_private_lists_after_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apt := tmp_path / "apt-get").write_text(FAKE_APT)
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (folder := tmp_path / "work").mkdir()
    assert registry.from_debian("thing", "1", "pool", folder).read_text() == "deb\n"


def test_debian_without_apt_uses_the_pool_or_says_why(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.shutil, "which", lambda name: None)
    (tmp_path / "www" / "thing_1_all.deb").write_bytes(b"deb")
    monkeypatch.setattr(registry, "DEBIAN_MIRROR", index.removesuffix("simple/"))
    assert registry.from_debian("thing", "1", ".", tmp_path).read_bytes() == b"deb"
    with pytest.raises(ExitbenchError, match="404"):
        registry.from_debian("thing", "2", ".", tmp_path)
    monkeypatch.setattr(registry, "DEBIAN_MIRROR", CLOSED)
    with pytest.raises(ExitbenchError, match=r"no apt-get; .*connection refused"):
        registry.from_debian("thing", "1", ".", tmp_path)
