"""Parallel launchers run what docs/cluster.md says, with the defaults: submitit, Slurm by a stand-in, a local Ray."""

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
PAGE = [shlex.split(words) for words in re.findall(r"^ {4}exitbench (.+?)(?: +#.*)?$",
        (ROOT / "docs" / "cluster.md").read_text(), re.M)]  # fmt: skip
# Appended to a page's words, all of which stay, defaults too: small models and few samples. Of each two combinations
# one has a number of threads that no machine has.
SMALL = ["--config-dir", CONF, "model=small_dvt", "hardware.threads=1,4096", "limit=8"]


def on_page(launcher: str) -> list[str]:
    """The words of the command that docs/cluster.md shows for a launcher."""
    (words,) = [words for words in PAGE if f"hydra/launcher={launcher}" in words]
    return words


def started(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    surroundings = {**os.environ, "PYTHONPATH": path, "EXITBENCH_CACHE": str(folder / "cache"), **environment}
    for variable in ("EXITBENCH_CORES", "EXITBENCH_SEAT", "OMP_NUM_THREADS"):
        surroundings.pop(variable, None)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmark.cli", *words],
        cwd=folder, env=surroundings, text=True, capture_output=True, timeout=900,
    )  # fmt: skip


def check(answer: subprocess.CompletedProcess[str], records: Path, *workloads: str) -> None:
    """Each workload measured, and refused with 4,096 threads: in records, in the output, in the exit code."""
    assert answer.returncode == 1, answer.stdout + answer.stderr
    found = [json.loads(file.read_text()) for file in records.glob("*.json")]
    by_choice = {(one["choices"]["workload"], one["config"]["hardware"]["threads"]): one for one in found}
    assert set(by_choice) == {(workload, threads) for workload in workloads for threads in (1, 4096)}
    for workload in workloads:
        measured, refused = by_choice[workload, 1], by_choice[workload, 4096]
        assert measured["status"] == "ok", measured["reasons"]
        assert measured["machine"]["cores_usable"] == 1  # the core that was reserved for the job
        assert bool(measured["attack"]) == (workload != "clean")
        assert "4096 threads" in refused["reasons"][0]
    half = len(workloads)
    assert f"exitbench: {2 * half} combinations: {half} measured, {half} failed; " in answer.stdout
    assert "ok: accuracy" in answer.stdout  # printed by the process that waits, for those that measure
    assert f"exitbench: {half} combination(s) failed: " in answer.stderr
    assert "Traceback" not in answer.stderr


@SUBMITIT
def test_submitit_on_this_machine(tmp_path):
    answer = started(tmp_path, *on_page("submitit_local"), *SMALL)
    check(answer, tmp_path / "results" / "records", "clean", "random")


@SUBMITIT
def test_slurm(tmp_path):
    """The page's command for a cluster, with one seed and drop; its absolute folders are elsewhere."""
    (tmp_path / "state").mkdir()
    path = f"{slurm_standin.install(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    folders = [f"records={tmp_path / 'records'}", f"cache={tmp_path / 'cache'}", f"hydra.sweep.dir={tmp_path / 'logs'}"]
    fewer = ["policy.max_drop=0.01", "seed=0", "workload=same_chunked", "timing.samples=0", *folders]
    answer = started(tmp_path, *on_page("submitit_slurm"), *SMALL, *fewer, "hydra.launcher.qos=low",
                     PATH=path, SLURM_STANDIN=str(tmp_path / "state"))  # fmt: skip
    check(answer, tmp_path / "records", "same_chunked")
    (script,) = (tmp_path / "state").glob("*.sh")
    for line in ("--array=0-1%2", "--partition=cpu", "--constraint=icelake", "--qos=low", "--cpus-per-task=1",
                 "--mem=8GB", "--time=240"):  # fmt: skip
        assert f"#SBATCH {line}\n" in script.read_text()


@SUBMITIT
def test_without_slurm_it_is_one_line(tmp_path):
    folders = [f"records={tmp_path}", f"cache={tmp_path}", f"hydra.sweep.dir={tmp_path}"]
    answer = started(tmp_path, *on_page("submitit_slurm"), *SMALL, *folders, PATH=str(tmp_path))
    assert answer.returncode == 2
    assert "exitbench: hydra/launcher: Could not detect" in answer.stderr


@RAY
def test_a_local_ray(tmp_path):
    answer = started(tmp_path, *on_page("ray"), *SMALL, "workload=random")
    check(answer, tmp_path / "results" / "records", "random")


@SUBMITIT
def test_submitit_times_with_the_defaults(tmp_path):
    """Timed, as without timing.samples=0: a worker process of a job's isolated process, on the job's own core."""
    words = [word for word in on_page("submitit_local") if word != "timing.samples=0"]
    small = [
        "--config-dir",
        CONF,
        "model=small_dvt",
        "workload=clean",
        "limit=4",
        "timing.time_limit_s=1",
        "timing.processes=1",
    ]
    answer = started(tmp_path, *words, *small)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (record,) = (json.loads(file.read_text()) for file in (tmp_path / "results" / "records").glob("*.json"))
    assert record["latency"]["worker"]
    assert record["audit"]["exits_equal"]


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
    cfg = compose("config", [f"hydra/launcher={name}"], return_hydra_config=True)
    environment = cfg.hydra.job.env_set
    assert environment.EXITBENCH_CORES == environment.OMP_NUM_THREADS == "1"


def test_every_command_of_the_documentation_composes():
    carried = []
    for words in PAGE:
        arguments = parser().parse_args(words)
        if arguments.command == "run":
            carried.append(Launch(ROOT / "conf").launcher(arguments.overrides).name)
    assert carried == ["basic", "submitit_local", "ray", "submitit_slurm"]


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
