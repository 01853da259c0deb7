"""The real hub code path, against a hub on loopback; skipped where no such hub lies beside the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
HUB = REPO.parent / "shared" / "tools" / "hub"
LOAD = """
import json, sys
from hydra.utils import instantiate
from omegaconf import OmegaConf
data = instantiate(OmegaConf.merge(OmegaConf.load(sys.argv[1]), OmegaConf.from_dotlist(sys.argv[2:])))
print(json.dumps([len(data.train), len(data.calibration), len(data.test), data.fingerprint]))
"""

pytestmark = pytest.mark.skipif(not HUB.exists(), reason="no loopback hub beside the repository")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a machine whose hub is on loopback and whose caches are empty."""
    with subprocess.Popen([sys.executable, HUB, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        folder = tmp_path_factory.mktemp("hub")
        caches = {"EXITBENCH_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")}
        yield {**os.environ, **caches, "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1"}
        process.terminate()


def load(environment: dict[str, str], name: str, *overrides: str) -> list[int | str]:
    """[train, calibration, test, fingerprint], in a process of its own: the client reads its endpoint at import."""
    command = [sys.executable, "-c", LOAD, str(REPO / f"conf/dataset/{name}.yaml"), *overrides]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_sst2_loads_and_needs_the_hub_only_once(hub: dict[str, str]) -> None:
    first = load(hub, "sst2")
    assert first[:3] == [66_349, 1_000, 872]
    # Nothing but the cache is left: the hub client's own folder is empty and it may not connect.
    assert load({**hub, "HF_HOME": f"{hub['HF_HOME']}-empty", "HF_HUB_OFFLINE": "1"}, "sst2") == first


def test_cifar10_decodes(hub: dict[str, str]) -> None:
    few = ("train=train[:300]", "test=test[:50]", "calibration=40")
    assert load(hub, "cifar10", *few)[:3] == [260, 40, 50]
