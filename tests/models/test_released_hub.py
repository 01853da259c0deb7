"""Authors' checkpoints by their hub ids, against a hub on loopback; skipped without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from released_checkpoints import folder_of

from benchmark.models.multi_exit_bert import build
from benchmark.types import ExitbenchError

REPO = Path(__file__).resolve().parents[2]
HUB = REPO.parent / "shared" / "tools" / "hub"
pytestmark = pytest.mark.skipif(not HUB.exists(), reason="no loopback hub beside the repository")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a machine whose hub serves small checkpoints in the released layouts."""
    folder = tmp_path_factory.mktemp("hub")
    folder_of("deebert", folder / "root" / "models" / "authors" / "deebert", "bin", 2)
    folder_of("pabee_albert", folder / "root" / "models" / "authors" / "pabee", classes=2)
    folder_of("elasticbert", folder / "root" / "models" / "authors" / "elasticbert", "bin", 2)
    words = [sys.executable, HUB, "--port", "0", "--root", folder / "root"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        caches = {"EXITBENCH_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")}
        yield {**os.environ, **caches, "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}
        process.terminate()


@pytest.fixture
def reached(hub: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This very process asks that hub, with the client's cache empty."""
    monkeypatch.setenv("HF_ENDPOINT", hub["HF_ENDPOINT"])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "client"))


@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize(("name", "pooler"), [("deebert", "own"), ("pabee", "shared"), ("elasticbert", "own")])
def test_a_hub_id_is_a_checkpoint_and_is_fetched_once(name, pooler, hub, monkeypatch):
    settings = {"checkpoint": f"authors/{name}", "pooling": "cls", "pooler": pooler, "max_length": 32}
    model = build("nowhere", 2, **settings)
    assert model.num_exits == 3
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert build("nowhere", 2, **settings).weights_hash == model.weights_hash != "untrained"


@pytest.mark.usefixtures("reached")
def test_a_repository_that_is_not_there_is_one_line(hub):
    with pytest.raises(ExitbenchError, match=r"model.checkpoint: expected an asset .* got 'authors/nothing'") as caught:
        build("nowhere", 2, checkpoint="authors/nothing")
    assert "\n" not in str(caught.value)


def test_the_command_runs_a_hub_id_to_a_record(hub, tmp_path):
    words = [sys.executable, "-m", "benchmark.cli", "run", "--config-dir", REPO / "tests" / "conf",
             "model=deebert_base", "model.checkpoint=authors/deebert", "model.max_length=32", "dataset=sentences",
             "timing.samples=0", "records=records"]  # fmt: skip
    environment = {**hub, "PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "tests" / "support")])}
    answer = subprocess.run(words, env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=300)
    assert answer.returncode == 0, answer.stderr[-2000:]
    (file,) = (tmp_path / "records").glob("*.json")
    record = json.loads(file.read_text())
    assert record["status"] == "ok"
    assert len(record["exits"]) == 3
    assert record["provenance"]["weights_sha256"] != "untrained"
    assert record["results"]["score"] == {"metric": "accuracy", "value": record["results"]["accuracy"]["value"]}
    assert record["data"]["empty"] == record["data"]["truncated"] == 0
