"""Transfer: the source is what was named, at its own operating point, and nothing is brought where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_data

from benchmark.attacks import objectives
from benchmark.attacks.adversarial import Adversarial
from benchmark.attacks.clean import Clean
from benchmark.attacks.pixels.search import PixelSearch
from benchmark.config.compose import compose
from benchmark.run import transfer
from benchmark.types import ExitbenchError, Hardware

CONF = str(Path(__file__).parents[1] / "conf")
CPU = Hardware("cpu", "cpu", "float32", 1)


@pytest.fixture(autouse=True)
def own_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path))


def brought(**source: object) -> Adversarial:
    attack = Adversarial("same", objectives.same, {"image": PixelSearch()}, **source)  # type: ignore[arg-type]
    return transfer.with_source(attack, compose("config", ["model=small_dvt"], CONF), small_data.images(), CPU, CONF)


def test_nothing_named_nothing_brought():
    clean, cfg = Clean(), compose("config", ["model=small_dvt"], CONF)
    assert transfer.with_source(clean, cfg, small_data.images(), CPU) is clean
    assert brought().source is None


def test_a_rule_of_its_own_at_a_threshold_of_its_own():
    source = brought(source_policy="entropy", source_threshold=0.3).source
    assert source
    assert (source.policy.name, source.policy.threshold) == ("entropy", 0.3)
    assert source.model.num_exits == 3


def test_auto_is_the_threshold_a_run_would_choose():
    made = brought(source_model="small_dvt")
    cfg = compose("config", ["model=small_dvt"], CONF)
    assert made.source
    wanted = transfer.policy_at_operating_point(cfg.policy, made.source.model, small_data.images(), CPU)
    assert made.source.policy == wanted


def test_a_choice_that_is_not_there_is_named():
    with pytest.raises(ExitbenchError, match=r"workload\.source_model: .*small_none"):
        brought(source_model="small_none")
    with pytest.raises(ExitbenchError, match=r"workload\.source_policy: .*sometimes"):
        brought(source_policy="sometimes")


def test_the_source_s_weights_are_part_of_what_a_record_is_known_by():
    plain = {"workload": {"name": "clean"}, "model": {}}
    assert transfer.source_weights_hash(plain) is None
    assert transfer.source_weights_hash({"workload": {"source_model": "dvt_fashion"}, "model": {}})
