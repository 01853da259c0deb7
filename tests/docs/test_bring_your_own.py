"""The example package is really installed and swept: nothing of exitbench knows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "bring_your_own"
CONF = str(EXAMPLE / "conf")


@pytest.fixture(scope="module")
def call(tmp_path_factory, warm):
    """exitbench in a folder of its own, beside the example as pip installs it, offline."""
    site, work = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("work")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
           "--disable-pip-version-check", "--target", str(site), str(EXAMPLE)]  # fmt: skip
    done = subprocess.run(pip, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    environment = {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "EXITBENCH_CACHE": str(work / "cache")}

    def run(*words: str) -> str:
        answer = warm.call(*words, cwd=work, **environment)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    run.work = work
    return run


def test_ls_shows_its_choices(call):
    shown = {line.split()[0]: line for line in call("ls", "--config-dir", CONF).splitlines()}
    for file in Path(CONF).rglob("*.yaml"):
        assert file.stem in shown
        assert len(shown[file.stem].split()) > 3


def test_it_is_trained_and_swept_beside_the_houses_own_choices(call):
    call("train", "--config-dir", CONF, "model=three_exits", "recipe=joint_images", "recipe.epochs=1", "limit=128",
         "weights=weights", "name=three_exits")  # fmt: skip
    call("run", "-m", "--config-dir", CONF, "model=three_exits", "model.checkpoint=weights/three_exits.safetensors",
         "workload=clean,margin_attack", "policy=margin,confidence", "policy.threshold=0.55", "limit=20",
         "timing.samples=4", "timing.time_limit_s=1", "timing.worker=false")  # fmt: skip
    records = [json.loads(file.read_text()) for file in (call.work / "results" / "records").glob("*.json")]
    found = {(one["choices"]["workload"], one["choices"]["policy"]): one for one in records}
    assert set(found) == {(w, p) for w in ("clean", "margin_attack") for p in ("margin", "confidence")}
    for (workload, _), one in found.items():
        assert one["status"] in ("ok", "unreliable"), one["reasons"]
        assert one["choices"]["dataset"] == "bars"
        assert sum(one["results"]["exit_histogram"]) == one["data"]["n"] == 20
        assert one["audit"]["exits_equal"]
        assert bool(one["attack"]) == (workload == "margin_attack")
    margin = found["margin_attack", "margin"]
    assert margin["attack"]["settings"]["objective"]["is"] == "mine.attack.least_margin"
    assert margin["results"]["mean_exit_depth"] >= found["clean", "margin"]["results"]["mean_exit_depth"]


def test_a_worker_process_times_it(call):
    """As a user runs it, with the default timing.worker: the worker imports the package and builds the model too."""
    call("run", "--config-dir", CONF, "model=three_exits", "workload=clean", "policy.threshold=0.55", "limit=4",
         "timing.time_limit_s=1", "timing.processes=1", "records=worker")  # fmt: skip
    (record,) = (json.loads(file.read_text()) for file in (call.work / "worker").glob("*.json"))
    assert record["latency"]["worker"]
    assert record["audit"]["exits_equal"]


def test_nothing_of_exitbench_names_it():
    for file in [*(ROOT / "benchmark").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml")]:
        text = file.read_text()
        assert "three_exits" not in text, file
        assert "mine.model" not in text, file


def test_the_model_fits_in_forty_lines_of_code():
    import ast

    tree = ast.parse((EXAMPLE / "mine" / "model.py").read_text())
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    assert len(lines) <= 45
