"""The door as a person uses it: whole commands in their own processes, and every mistake one line and exit code 2.

What is quick without torch starts cold, as a person starts it; the rest starts warm.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import refused
from warm import CONF, ROOT


def cold(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmark.cli", *words],
        cwd=cwd, text=True, capture_output=True, timeout=300,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **environment},
    )  # fmt: skip


def test_help_names_every_command():
    answer = cold("--help")
    assert answer.returncode == 0
    assert all(word in answer.stdout for word in ("run", "train", "leaderboard", "plots", "ls", "doctor"))


@pytest.mark.parametrize("command", [["--help"], ["ls"], ["run", "--help"]])
def test_light_commands_import_nothing_heavy(command):
    code = (
        f"import sys; from benchmark.cli.main import main\ntry: main({command!r})\nexcept SystemExit: pass\n"
        "print({'torch', 'transformers', 'hydra', 'pandas'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert answer.stdout.splitlines()[-1] == "set()"


def test_ls_describes_every_choice():
    for group in ("model", "dataset", "workload", "policy", "hardware", "recipe"):
        answer = cold("ls", group)
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            (line,) = [line for line in answer.stdout.splitlines() if line.split()[:1] == [file.stem]]
            assert len(line.split()) > 3, line


# What is refused before torch is loaded.
COLD = ("model=dvt_fashoin", "limitt=5", "model.nam=5", "hardware.threads=4096", "records=/dev/null/there",
        "records=a b=c/r", "modle", "--records", "recipe=none_such")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "model=dvt_fashoin"], "dvt_fashion"),
        (["run", "hardware=cuda"], "CUDA"),
        (["run", "limitt=5"], "limitt"),
        (["run", "limit=few"], "limit: expected a whole number"),
        (["run", "policy.threshold=high"], "policy.threshold: expected a number"),
        (["run", "policy.max_drop=2"], "max_drop"),
        (["run", "model.checkpoint=nowhere.safetensors"], "model.checkpoint: expected a file"),
        (["run", "model.nam=5"], "nam"),
        (["run", "records=a b=c/r"], """put the value in quotes: 'records="a b=c/r"'"""),
        (["run", "-m", "records=a b=c/r"], """put the value in quotes: 'records="a b=c/r"'"""),
        (["run", "dataset=sentences"], "expected image samples"),
        (["run", "+model.num_classes=7"], "7 classes"),
        (["run", "hardware.threads=4096"], "4096 threads"),
        (["run", "scenario=server"], "scenario"),
        (["run", "records=/dev/null/there"], "/dev/null/there"),
        (["ls", "modle"], "expected one of model"),
        (["leaderboard", "--records", "nowhere"], "nowhere"),
        (["train", "recipe=none_such"], "joint_images"),
    ],
)
def test_mistakes_are_one_line(words, expected, request):
    small = ["--config-dir", CONF, "model=small_dvt"] if words[0] == "run" and "model=dvt" not in words[1] else []
    if words[1].startswith("model.checkpoint"):
        small = ["--config-dir", CONF, "dataset=quarters"]  # beside a model that has checkpoints, and no download
    if words[1].startswith("hardware=cuda"):
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has what is refused elsewhere")
    call = cold if words[1] in COLD else request.getfixturevalue("warm").call
    line = refused(call(words[0], *small, *words[1:]))
    assert expected in line


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, warm):
    """A whole sweep of both families, clean and attacked, then leaderboard and figures."""
    folder = tmp_path_factory.mktemp("sweep")
    cache = str(folder / "cache")
    words = ["run", "-m", "--config-dir", CONF, "model=small_dvt,small_bert", "workload=clean,same_quick",
             "hardware=cpu_1t", "limit=12", "timing.time_limit_s=0.5", "timing.worker=false"]  # fmt: skip
    first = warm.call(*words, cwd=folder, EXITBENCH_CACHE=cache)
    assert first.returncode == 0, first.stderr
    return folder, words, cache, first


def test_a_sweep_leaves_a_record_for_each_combination(sweep):
    folder, *_ = sweep
    records = [json.loads(file.read_text()) for file in (folder / "results" / "records").glob("*.json")]
    assert {(one["choices"]["model"], one["choices"]["workload"]) for one in records} == {
        (model, workload) for model in ("small_dvt", "small_bert") for workload in ("clean", "same_quick")
    }
    for one in records:
        assert one["status"] in ("ok", "unreliable"), one["reasons"]
        assert one["audit"]["exits_equal"]
        assert one["audit"]["predictions_equal"]
        assert sum(one["results"]["exit_histogram"]) == one["data"]["n"] == 12
        assert one["operating_point"]["chosen_by"] == "calibration"
    by_choice = {(one["choices"]["model"], one["choices"]["workload"]): one for one in records}
    for model in ("small_dvt", "small_bert"):
        clean, attacked = by_choice[model, "clean"], by_choice[model, "same_quick"]
        assert clean["operating_point"]["threshold"] == attacked["operating_point"]["threshold"]
        assert attacked["results"]["mean_exit_depth"] >= clean["results"]["mean_exit_depth"]


def test_a_rerun_skips_and_force_does_not(sweep, warm):
    folder, words, cache, _ = sweep
    again = warm.call(*words, cwd=folder, EXITBENCH_CACHE=cache)
    assert again.returncode == 0
    assert again.stdout.count("skip ") == 4
    one = ["run", "--config-dir", CONF, "model=small_dvt", "limit=12", "timing.time_limit_s=0.5", "timing.worker=false",
           "force=true"]  # fmt: skip
    forced = warm.call(*one, cwd=folder, EXITBENCH_CACHE=cache)
    assert "skip" not in forced.stdout


def test_leaderboard_and_figures_follow(sweep, warm):
    folder, *_ = sweep
    board = cold("leaderboard", cwd=folder)
    assert board.returncode == 0, board.stderr
    assert "small_dvt" in board.stdout
    header = (folder / "results" / "leaderboard.csv").read_text().splitlines()[0].split(",")
    assert header[:3] == ["model", "dataset", "workload"]
    assert warm.call("leaderboard", "--validate", cwd=folder).returncode == 0
    figures = cold("plots", cwd=folder)
    assert figures.returncode == 0, figures.stderr
    for name in ("accuracy_gmacs", "exit_histogram"):
        for ending in ("png", "pdf"):
            assert (folder / "plots" / "out" / f"{name}.{ending}").stat().st_size > 5000


def test_a_failed_combination_leaves_a_record_and_the_sweep_goes_on(tmp_path, warm):
    words = ["run", "-m", "--config-dir", CONF, "model=small_dvt", "policy.max_drop=5,0.01", "limit=12",
             "timing.time_limit_s=0.5", "timing.worker=false", "isolate=false"]  # fmt: skip
    answer = warm.call(*words, cwd=tmp_path, EXITBENCH_CACHE=str(tmp_path / "cache"))
    assert answer.returncode == 1
    records = [json.loads(file.read_text()) for file in (tmp_path / "results" / "records").glob("*.json")]
    assert sorted(one["status"] == "failed" for one in records) == [False, True]
    assert "1 combination(s) failed" in answer.stderr
    again = warm.call(*words, "retry=failed", cwd=tmp_path, EXITBENCH_CACHE=str(tmp_path / "cache"))
    assert again.stdout.count("skip ") == 1
