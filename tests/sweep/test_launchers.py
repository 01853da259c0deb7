"""Sweeps carried elsewhere, for real: submitit on this machine, Slurm as far as its commands go, a local Ray."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import slurm_standin
from warm import CONF, ROOT

from benchmark.cli.main import parser
from benchmark.config.compose import compose
from benchmark.sweep import ray_launcher
from benchmark.sweep.launch import Launch
from benchmark.types import ExitbenchError

SUBMITIT = pytest.mark.skipif(not importlib.util.find_spec("submitit"), reason="needs exitbench[slurm]")
RAY = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs exitbench[ray]")
# One that is measured, one that no machine can: it fails before torch is loaded.
SWEEP = ["run", "-m", "--config-dir", CONF, "model=small_dvt", "hardware.threads=1,4096", "limit=8",
         "timing.samples=0", "isolate=false"]  # fmt: skip


def swept(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    surroundings = {**os.environ, "PYTHONPATH": path, "EXITBENCH_CACHE": str(folder / "cache"), **environment}
    surroundings.pop("EXITBENCH_SEAT", None)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmark.cli", *SWEEP, *words],
        cwd=folder, env=surroundings, text=True, capture_output=True, timeout=900,
    )  # fmt: skip


def told(answer: subprocess.CompletedProcess[str], folder: Path) -> None:
    """One measured, one failed: in the records, in what the parent says, and in its exit code."""
    assert answer.returncode == 1, answer.stdout + answer.stderr
    records = [json.loads(file.read_text()) for file in (folder / "results" / "records").glob("*.json")]
    by_threads = {one["config"]["hardware"]["threads"]: one for one in records}
    assert set(by_threads) == {1, 4096}
    assert by_threads[1]["status"] == "ok", by_threads[1]["reasons"]
    assert by_threads[1]["machine"]["cores_usable"] == 1  # the seat it was promised
    assert "4096 threads" in by_threads[4096]["reasons"][0]
    assert "exitbench: 2 combinations: 1 measured, 1 failed; made: 2 traces of 38 samples" in answer.stdout
    assert "ok: accuracy" in answer.stdout  # of another process, said here
    assert "exitbench: 1 combination(s) failed: " in answer.stderr
    assert "Traceback" not in answer.stderr


@SUBMITIT
def test_submitit_on_this_machine(tmp_path):
    told(swept(tmp_path, "hydra/launcher=submitit_local"), tmp_path)


@SUBMITIT
def test_slurm(tmp_path):
    (tmp_path / "state").mkdir()
    path = f"{slurm_standin.install(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    told(swept(tmp_path, "hydra/launcher=submitit_slurm", "hydra.launcher.partition=fast", "hydra.launcher.qos=low",
               PATH=path, SLURM_STANDIN=str(tmp_path / "state")), tmp_path)  # fmt: skip
    (script,) = (tmp_path / "state").glob("*.sh")
    for line in ("--array=0-1%2", "--partition=fast", "--qos=low", "--cpus-per-task=1", "--mem=8GB", "--time=240"):
        assert f"#SBATCH {line}\n" in script.read_text()


@SUBMITIT
def test_without_slurm_it_is_one_line(tmp_path):
    answer = swept(tmp_path, "hydra/launcher=submitit_slurm", PATH=str(tmp_path))
    assert answer.returncode == 2
    assert "exitbench: hydra/launcher: Could not detect" in answer.stderr


@RAY
def test_a_local_ray(tmp_path):
    told(swept(tmp_path, "hydra/launcher=ray", "+hydra.launcher.init.num_cpus=1", RAY_AUTH_MODE="disabled"), tmp_path)


def test_what_ray_loses_is_told_of(monkeypatch):
    """A worker that dies more often than it is tried again is one outcome, not the end of the sweep."""

    class RayError(Exception):
        pass

    def get(job):
        raise RayError("the worker died\nof something")

    ray = SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=RayError))
    job = ray_launcher._result(ray, object(), ["model=small_dvt"])
    assert job.return_value.status == "lost"
    assert job.return_value.failed
    assert job.return_value.line == "Ray lost it: RayError: the worker died of something"


@pytest.mark.parametrize("name", [file.stem for file in (ROOT / "conf" / "hydra" / "launcher").glob("*.yaml")])
def test_launchers_compose_and_bind_their_jobs(name):
    cfg = compose("config", [f"hydra/launcher={name}"], hydra_too=True)
    environment = cfg.hydra.job.env_set
    assert environment.EXITBENCH_SEAT == environment.OMP_NUM_THREADS == "1"


def test_every_command_of_the_documentation_composes():
    commands = re.findall(r"^ {4}exitbench (.+?)(?: +#.*)?$", (ROOT / "docs" / "cluster.md").read_text(), re.M)
    carried = []
    for words in map(shlex.split, commands):
        arguments = parser().parse_args(words)
        if arguments.command == "run":
            carried.append(Launch(ROOT / "conf").launcher(arguments.overrides).name)
    assert carried == ["basic", "submitit_slurm"]


@pytest.mark.parametrize(("name", "extra"), [("submitit_slurm", "slurm"), ("ray", "ray")])
def test_a_launcher_that_is_not_installed_says_what_to_install(name, extra, monkeypatch, tmp_path):
    from hydra.core.plugins import Plugins

    monkeypatch.chdir(tmp_path)
    launch = Launch(ROOT / "conf", CONF)
    known = Plugins.instance().class_name_to_class
    monkeypatch.setattr(Plugins.instance(), "class_name_to_class",
                        {key: one for key, one in known.items() if not key.startswith("hydra_plugins")})  # fmt: skip
    with pytest.raises(ExitbenchError, match=rf"pip install 'exitbench\[{extra}\]'"):
        launch.multirun(lambda cfg: None, ["model=small_dvt", f"hydra/launcher={name}"])
