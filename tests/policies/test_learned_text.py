"""Learning to exit on a real encoder: its certainty reaches the rule live and on traces, and its MACs are counted."""

import pytest
import torch
from separable import sentences, student

from benchmark.cost import macs
from benchmark.engine.execute import run_early, run_full
from benchmark.policies.entropy import Entropy
from benchmark.policies.learned import Learned
from benchmark.policies.replay import live, trace_depths, trace_signals
from benchmark.run.trace import trace

MODEL = student(learn_to_exit=True)
SAMPLES = sentences().test
TRACE = trace(MODEL, SAMPLES)
# Between two samples' certainties: on one of them, a batch and a single sample may round to either side.
HALFWAY = float(trace_signals(Learned(0.5), TRACE)[:, 0].sort().values[7:9].mean())


@pytest.mark.parametrize("policy", [Learned(HALFWAY), Entropy(0.69)], ids=lambda policy: policy.name)
def test_live_equals_replay(policy):
    wanted = trace_depths(policy, TRACE)
    with torch.inference_mode():
        answers, depths = live(policy, MODEL, MODEL.collate(SAMPLES))
        single = [int(run_early(MODEL, policy, MODEL.collate([sample]))[1]) for sample in SAMPLES]
    assert depths.tolist() == wanted.tolist() == single
    assert answers.shape == run_full(MODEL, MODEL.collate(SAMPLES)).shape == (len(SAMPLES), 2)


def test_half_of_the_samples_are_certain_at_once():
    assert 0 < int((trace_depths(Learned(HALFWAY), TRACE) == 1).sum()) < len(SAMPLES)


def test_a_certainty_costs_its_width_at_every_exit():
    width, plain = 16, student()
    more = torch.tensor(macs.count(MODEL, 7)) - torch.tensor(macs.count(plain, 7))
    assert more.tolist() == [width * depth for depth in (1, 2, 3, 4)]
