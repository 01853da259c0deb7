"""What a choice needs is read off its yaml, and looked for where a run would look; only --check asks anybody."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmark.cli.main import main
from benchmark.config import availability
from benchmark.config import choices as folders
from benchmark.config.requirements import requirements
from benchmark.data.sources.assets import ASSETS, asset_entry, decoded_asset_entry
from benchmark.data.sources.hub import table_entry

FILES = {group: folders.files(group, folders.roots("")) for group in folders.GROUPS}


def status(group, name, files=None):
    return availability.status(availability.locate(need) for need in requirements(group, name, files or FILES[group]))


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """No cache of ours or of the hub's client, and a network that nobody may touch."""
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keep(folder, entry):
    (folder / "cache" / entry).mkdir(parents=True)
    (folder / "cache" / entry / "manifest.json").write_text("{}")


@pytest.mark.parametrize(
    ("group", "name", "expected"),
    [
        ("model", "dvt_fashion", "here"),  # packaged
        ("model", "dvt_fashion_static", "here"),  # names its weights over those it inherits
        ("model", "minilm_exits", "hub or mirror"),  # packaged exits on a backbone that is not
        ("model", "bert_base_exits", "to train"),
        ("model", "deebert_base", "hub"),
        ("model", "dvt_t2t_vit_12", "to bring or train"),
        ("model", "dvt_ablation_none", "file missing"),
        ("dataset", "fashion_mnist", "hub or mirror"),
        ("dataset", "movie_snippets", "mirror"),
        ("dataset", "sst2", "hub"),
        ("dataset", "imagenet", "hub"),
        ("dataset", "texts", "to bring"),
        ("workload", "same", "hub or mirror"),
        ("workload", "clean", ""),
        ("policy", "confidence", ""),
    ],
)
def test_with_nothing_cached(nothing_here, group, name, expected):
    assert status(group, name) == expected


def test_what_is_cached_is_here(nothing_here):
    keep(nothing_here, asset_entry(ASSETS["minilm"]))
    assert status("model", "minilm_exits") == status("workload", "same") == "here"
    keep(nothing_here, decoded_asset_entry("fashion_mnist", "a4901c95179dc0ae"))
    assert status("dataset", "fashion_mnist") == "here"
    keep(nothing_here, table_entry("nyu-mll/glue", "sst2", "train", ["sentence", "label"]))
    assert status("dataset", "sst2") == "hub"  # one split of two
    keep(nothing_here, table_entry("nyu-mll/glue", "sst2", "validation", ["sentence", "label"]))
    assert status("dataset", "sst2") == "here"
    snapshot = nothing_here / "hub" / "hub" / "models--mattymchen--deebert-base-sst2" / "snapshots" / "0"
    for file in (snapshot / "config.json", snapshot / "pytorch_model.bin"):
        assert status("model", "deebert_base") != "here"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    keep(nothing_here, asset_entry(ASSETS["movie_snippets"]))
    assert status("dataset", "movie_snippets") == "here"


def test_a_users_own_choices(nothing_here):
    own = {name: nothing_here / f"{name}.yaml" for name in ("mine", "trained", "broken", "loop")}
    own["mine"].write_text("# Mine.\n_target_: mine.Model\ncheckpoint: weights/mine.safetensors\n")
    own["trained"].write_text("# Mine, trained.\ndefaults: [mine]\ncheckpoint: there.safetensors\n")
    own["broken"].write_text("# Not yaml.\n[")
    own["loop"].write_text("# Its own base.\ndefaults: [loop]\n")
    (nothing_here / "there.safetensors").touch()
    assert [status("model", name, own) for name in own] == ["file missing", "here", "", ""]
    assert status("dataset", "mine", own) == ""  # what another's dataset reads is its own business


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200 if "glue" in self.path else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_check_asks_and_only_check_does(tmp_path, monkeypatch, capsys):
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(availability, "python_indexes", lambda: ["http://127.0.0.1:1/simple"])
    monkeypatch.setattr(availability, "DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    try:
        assert main(["ls", "dataset", "--check"]) == 0
    finally:
        server.shutdown()
        server.server_close()
    states = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert states["sst2"].split()[1] == "hub"
    for name in ("imdb", "fashion_mnist", "movie_snippets"):
        assert states[name].split()[1:3] == ["no", "answer"]
