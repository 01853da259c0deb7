"""The Python API gives what `exitbench run` records, says every mistake in one line, and loads nothing early."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_models
import torch
from make_records import make_sweep
from tiny_exits import TinyExits

from benchmark import api
from benchmark.cli.main import main
from benchmark.policies.never import Never
from benchmark.records import record
from benchmark.timing import worker_entry
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask
from benchmark.types import ExitbenchError

CONF = str(Path(__file__).parent / "conf")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def recorded(*words, folder):
    """The record that the command writes for these words."""
    assert main(["run", "--config-dir", CONF, *words, f"records={folder}"]) == 0
    (path,) = folder.glob("*.json")
    return record.read(path)


@pytest.mark.parametrize("ask", ["run", "api", "worker"])
def test_weights_are_loaded_on_the_profiles_threads(ask, tmp_path, monkeypatch):
    """Else threads that the profile does not want spin, and their CPU time is paid by every combination of a sweep."""
    seen, build = [], small_models.small_dvt
    monkeypatch.setattr(
        small_models, "small_dvt", lambda **words: seen.append(torch.get_num_threads()) or build(**words)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        words = ["model=small_dvt", "hardware=cpu_1t", "limit=4"]
        if ask == "run":
            recorded(*words, "timing.samples=0", folder=tmp_path / "records")
        else:
            chosen = api.load(*words, config_dir=CONF)
            task = TimedTask(Never(), chosen.clean_samples, chosen.hardware, Limits(min_passes=2, max_passes=2))
            _ = worker_entry._answer(chosen.model_config, task) if ask == "worker" else chosen.model
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


@pytest.mark.parametrize(
    "words",
    [
        ["model=small_dvt", "limit=20"],
        ["model=small_dvt", "limit=12", "workload=same_quick", "policy=patience", "policy.threshold=2", "seed=3"],
        ["model=small_dvt", "policy=budget", "policy.gmacs=0.0002"],
        ["model=small_bert", "limit=12", "workload=same_quick", "policy.threshold=0.5"],
    ],
    ids=" ".join,
)
def test_the_api_says_what_the_record_says(words, tmp_path):
    kept = recorded(*words, "timing.samples=0", folder=tmp_path / "records")
    chosen = api.load(*words, config_dir=CONF)
    trace = api.trace(chosen.model, chosen.samples)
    depths = api.decide(chosen.policy, trace)
    found = api.results(chosen.model, trace, depths, chosen.dataset.metric)
    assert found == {name: kept.results[name] for name in found}
    assert chosen.operating_point == kept.operating_point
    assert len(chosen.samples) == kept.data["n"]
    if facts := chosen.perturbed.facts:
        assert sum(facts["queries"]) / kept.data["n"] == kept.attack["queries_mean"]
    again = api.trace(chosen.model, chosen.samples, cache=True)
    assert torch.equal(again.logits, trace.logits)


def test_both_ways_of_measuring_see_the_replayed_exits():
    chosen = api.load("model=small_dvt", "limit=6", config_dir=CONF)
    depths = api.decide(chosen.policy, api.trace(chosen.model, chosen.samples))
    here = api.measure(chosen.model, chosen.policy, chosen.samples, time_limit_s=0.3)
    assert here.exit_depths == depths.tolist()
    assert not here.worker
    offline = api.measure(chosen.model, chosen.policy, chosen.samples, chosen.hardware, scenario="offline", batch=3,
                          time_limit_s=0.3)  # fmt: skip
    assert offline.exit_depths == depths.tolist()


def test_another_rule_shares_the_model_and_settles_as_the_command_does(tmp_path):
    chosen = api.load("model=small_dvt", "limit=8", config_dir=CONF)
    rule = chosen.rule("policy=entropy")
    kept = recorded("model=small_dvt", "limit=8", "policy=entropy", "timing.samples=0", folder=tmp_path / "records")
    assert (rule.name, rule.threshold) == ("entropy", kept.operating_point["threshold"])
    assert chosen.rule("policy.threshold=0.25").threshold == 0.25
    with pytest.raises(ExitbenchError, match="policy alone"):
        chosen.rule("+model.num_classes=7")


def test_building_leaves_torchs_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    _ = api.load("model=small_dvt", config_dir=CONF).model
    assert torch.equal(torch.rand(2), expected)


def test_records_are_the_leaderboards_table_and_a_broken_file_is_named(tmp_path):
    for one in make_sweep():
        record.write(one, tmp_path / "records")
    table = api.records(tmp_path / "records")
    assert len(table) == len(make_sweep())
    assert set(api.records(tmp_path / "records", where="workload == 'clean'")["workload"]) == {"clean"}
    next((tmp_path / "records").glob("*.json")).write_text(json.dumps({"half": "a record"}))
    with pytest.warns(UserWarning, match=r"left out: .*not an exitbench record"):
        assert len(api.records(tmp_path / "records")) == len(table) - 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: api.load("model=dvt_fashoin"), "dvt_fashion"),
        (lambda: api.load("limitt=5"), "limitt"),
        (lambda: api.load("model=small_dvt", "dataset=sentences", config_dir=CONF).model, "expected image samples"),
        (lambda: api.load("model=small_dvt", "limit=few", config_dir=CONF).samples, "limit: expected a whole number"),
        (lambda: api.trace(None, []), "at least one sample"),
        (lambda: api.measure(None, TinyExits().policy(1), []), "at least one sample"),
        (lambda: api.measure(None, TinyExits().policy(1), [1], hardware="gpu"), "cpu_1t"),
        (lambda: api.records("nowhere"), "nowhere"),
        (lambda: api.load("model=small_dvt", "policy=learned", config_dir=CONF).rule("policy=no_such"), "no_such"),
    ],
)
def test_mistakes_are_one_line(call, said):
    with pytest.raises(ExitbenchError) as error:
        call()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_importing_it_is_light_and_all_is_true():
    code = (
        "import sys, benchmark, benchmark.api; print({'torch', 'transformers', 'hydra', 'pandas'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60)
    assert answer.stdout == "set()\n"
    assert all(hasattr(api, name) for name in api.__all__)


def test_a_folder_of_choices_may_have_any_name(tmp_path):
    own = tmp_path / "my conf, it's 50% \\ [mine]"
    shutil.copytree(CONF, own)
    assert api.load("model=small_dvt", "limit=6", config_dir=str(own)).model.num_exits == 3
    words = ["model=small_dvt", "limit=6", "timing.samples=0", f"records={tmp_path / 'records'}"]
    assert main(["run", "--config-dir", str(own), *words]) == 0
