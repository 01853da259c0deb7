"""A cascade beside its static twin: both run, MACs are theirs, and an error is one line."""

import pytest
import torch
from small_models import image_samples, small_dvt

from benchmark.benches import static_twin
from benchmark.benches.support.setup import Family
from benchmark.policies.always_first import AlwaysFirst
from benchmark.policies.never import Never
from benchmark.timing.stopwatch import Limits
from benchmark.types import ExitbenchError

LIMITS = Limits(time_limit_s=0.5, min_passes=2, max_passes=2)
SAMPLES = image_samples(12)


def rows(model, policy, twin, mac_speedup=1.0):
    batches = [model.collate([one]) for one in SAMPLES]
    with torch.inference_mode():
        return static_twin._compared("small", Family(model, policy, SAMPLES, batches, mac_speedup), twin, LIMITS)


def test_both_run_and_macs_are_theirs():
    model, twin = small_dvt(), small_dvt(grids=(4,), feature_reuse=False, relation_reuse=False)
    first, _, last = model.closed_form_macs(0)
    early, deep = rows(model, AlwaysFirst(), twin, last / first)
    assert early.macs == pytest.approx(twin.closed_form_macs(0)[0] / first)
    assert deep.macs == pytest.approx(twin.closed_form_macs(0)[0] / last)
    assert early.macs > 1 > deep.macs
    assert set(early.time.exit_depths) == {1}
    assert set(deep.time.exit_depths) == {3}
    assert early.time.n == deep.time.n == 12


def test_a_model_beside_itself_saves_no_macs():
    model = small_dvt()
    assert [row.macs for row in rows(model, Never(), model)] == [1.0, 1.0]


@pytest.mark.parametrize("words", ["models=timm_fashion", "samples=few"])
def test_what_is_not_there_is_one_line(words):
    with pytest.raises(ExitbenchError):
        static_twin.main([words])
