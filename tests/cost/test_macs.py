"""Every model there is a yaml for costs what its arithmetic says; those whose backbone is not at hand are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.config.compose import build, compose
from benchmark.cost import macs
from benchmark.utils.cache import cache_dir

MODELS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))


seen: dict[str, str] = {}  # an architecture is counted once, whatever it was trained on


@pytest.fixture(scope="module", autouse=True)
def no_download():
    """What is not in the cache is skipped, not fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        yield


@pytest.mark.parametrize("name", MODELS)
def test_the_counter_and_the_arithmetic_agree(name):
    node = compose("config", [f"model={name}"]).model
    architecture = {key: value for key, value in node.items() if key != "checkpoint"}
    if "backbone" in architecture and node._target_.endswith("multi_exit_bert.build"):
        architecture["low_rank"] = 0  # merged where there is a checkpoint
        if not list((cache_dir() / "assets").glob(f"{Path(str(architecture['backbone'])).name}-*")):
            pytest.skip(f"backbone {architecture['backbone']} is not in the cache")
    if int(architecture.get("width") or 0) > 200:
        pytest.skip("a published size: its figures are checked in tests/models/test_dvt_official.py")
    if (other := seen.setdefault(str(sorted(architecture.items(), key=str)), name)) != name:
        pytest.skip(f"the architecture of {other}")
    model = build(architecture)
    length = 0 if model.kind == "image" else 9
    counted = macs.count(model, length)
    assert counted == model.closed_form_macs(length)
    assert len(counted) == model.num_exits
    assert list(counted) == sorted(counted)
