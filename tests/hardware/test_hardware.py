"""Profiles become hardware or one clear line; the facts of the machine come without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from benchmark.hardware import machine, profiles
from benchmark.hardware.machine import fingerprint, noise
from benchmark.hardware.profiles import applied, resolve
from benchmark.types import ExitbenchError, Hardware

PROFILES = sorted((Path(__file__).parents[2] / "conf" / "hardware").glob("*.yaml"))
GOOD = {"name": "mine", "device": "cpu", "dtype": "float32", "threads": 1, "compiler": "eager"}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_resolves_or_is_refused_in_one_line(path):
    assert path.read_text().startswith("# ")
    try:
        found = instantiate(OmegaConf.load(path))
    except Exception as error:  # Hydra wraps what a target raises
        refusal = error if isinstance(error, ExitbenchError) else error.__cause__
        assert isinstance(refusal, ExitbenchError)
        assert "\n" not in str(refusal)
    else:
        assert isinstance(found, Hardware)
        assert found.name == path.stem


def test_more_threads_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(profiles, "usable_cores", lambda: 2)
    assert resolve(**{**GOOD, "threads": 2}).threads == 2
    with pytest.raises(ExitbenchError, match=r"mine: wants 3 threads, but this process may use 2 core"):
        resolve(**{**GOOD, "threads": 3})


@pytest.mark.parametrize(
    ("field", "value"),
    [("threads", 0), ("threads", "two"), ("threads", True), ("threads", 1.5), ("dtype", "float12")]
    + [("device", device) for device in ("tpu", "cuda:", "cuda:x", "cpu:0", "")]
    + [("compiler", "gcc")],
)
def test_values_that_do_not_exist_are_refused_by_name(field, value):
    with pytest.raises(ExitbenchError, match=f"hardware.{field}: expected"):
        resolve(**{**GOOD, field: value})


def test_all_threads_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(profiles, "usable_cores", lambda: 3)
    assert resolve(**{**GOOD, "threads": "all"}).threads == 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"quantise": "int4"}, "hardware.quantise: expected one of none, int8_dynamic, got 'int4'"),
        ({"quantise": "int8_dynamic", "dtype": "bfloat16"}, "int8_dynamic wants device cpu and dtype float32"),
        ({"device": "mps"}, "torch finds no Apple GPU"),
        ({"device": "cuda", "compiler": "inductor"}, "wants Triton"),
    ],
)
def test_profiles_that_cannot_be_are_one_line(monkeypatch, changed, says):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(profiles.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExitbenchError, match=says):
        resolve(**{**GOOD, **changed})


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(profiles.shutil, "which", lambda tool: None)
    with pytest.raises(ExitbenchError, match=r"wants a C\+\+ compiler, but neither g\+\+ nor clang\+\+ is there"):
        resolve(**{**GOOD, "compiler": "inductor"})


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExitbenchError, match="torch finds no CUDA device"):
        resolve(**{**GOOD, "device": "cuda"})


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve(**{**GOOD, "device": "cuda:0"}).device == "cuda:0"
    with pytest.raises(ExitbenchError, match="finds 1 CUDA device"):
        resolve(**{**GOOD, "device": "cuda:1"})


def test_a_container_quota_counts(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for quota, cores in (("150000 100000", 2), ("max 100000", 8), ("", 8), ("1000 100000", 1)):
        monkeypatch.setattr(machine, "_read", lambda path, quota=quota: quota)
        assert machine.usable_cores() == cores


def test_threads_are_applied_and_restored():
    before = torch.get_num_threads()
    other = before + 1

    def fail_inside() -> None:
        with applied(Hardware("x", "cpu", "float32", other)):
            assert torch.get_num_threads() == other
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert torch.get_num_threads() == before


def test_fingerprint_is_stable_and_knows_what_matters(monkeypatch):
    first = fingerprint()
    assert first == fingerprint()
    assert len(first["id"]) == 12
    monkeypatch.setattr(machine.platform, "release", lambda: "other kernel")
    assert fingerprint()["id"] == first["id"]
    monkeypatch.setattr(machine, "_cpu_model", lambda: "another chip")
    assert fingerprint()["id"] != first["id"]


def test_noise_gives_fractions():
    facts = noise(seconds=0.05)
    assert 0 <= facts["busy"] <= 1
    assert 0 <= facts["steal"] <= 1
    assert facts["cores"] >= 1
    assert facts["governor"]


def test_waiting_threads_sleep_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    profiles.sleep_while_waiting()
    assert noise(0.01)["omp_wait_policy"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    profiles.sleep_while_waiting()
    assert noise(0.01)["omp_wait_policy"] == "PASSIVE"


def test_the_facts_come_without_torch():
    code = (
        "import sys; from benchmark.hardware import machine; machine.fingerprint(); machine.noise(0.01); "
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
