"""What is set beside ours: agreement is judged by intervals, differences add up, the three engines answer alike."""

from __future__ import annotations

import csv
import importlib.util

import pytest
import torch
from small_models import FAMILIES
from torch import nn

from benchmark.benches.support import peer_counters, peer_engines, peer_latency, peer_report
from benchmark.benches.support.peer_row import Row
from benchmark.engine.execute import run_early
from benchmark.policies.entropy import Entropy
from benchmark.policies.replay import signals
from benchmark.run.trace import trace
from benchmark.timing.stopwatch import Limits
from benchmark.types import Hardware, Unwritable

CPU = Hardware("cpu_1t", "cpu", "float32", 1)
HAS_FVCORE = importlib.util.find_spec("fvcore") is not None
both = pytest.mark.parametrize("family", FAMILIES)


class Attends(nn.Module):
    """A product, a norm and a fused attention: one that all count, one that some count, one that some leave out."""

    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.norm(x)
        return self.out(nn.functional.scaled_dot_product_attention(x, x, x))


def rule_and_samples(family, count=10):
    make, samples = FAMILIES[family]
    many = samples(count)
    middle = float(signals(Entropy(1.0), trace(make(), many, 5).logits)[:, 0].median())
    return make(), Entropy(middle + 1e-3), many


def test_clocks_agree_where_their_intervals_meet():
    ours = [1.0, 1.1, 1.2, 1.05, 1.15]
    for theirs, verdict in (([1.1] * 5, "intervals meet"), ([2.0, 2.1, 2.2, 2.1, 2.0], "intervals are apart")):
        mine, other = peer_latency.rows("a call", ours, theirs)
        assert other.note == verdict
        assert mine.lo <= mine.value <= mine.hi
        assert other.to_ours == pytest.approx(other.value / mine.value)


def test_both_clocks_time_every_call():
    calls = []
    mine, other = peer_latency.compare("a call", lambda: calls.append(1), passes=3)
    assert len(calls) >= 2 * 3 * peer_latency.BLOCK
    assert mine.value >= 0 < other.value


def test_torch_counts_two_flops_a_mac_and_an_absent_counter_says_so(monkeypatch):
    monkeypatch.setattr(peer_counters.importlib.util, "find_spec", lambda name: None)
    ours, torch_says, absent = peer_counters.compare("attends", Attends(), torch.rand(1, 1, 4, 8))
    assert ours.value == pytest.approx((2 * 4 * 4 * 8 + 4 * 8 * 3) / 1e9)
    assert torch_says.to_ours == 2
    assert (absent.value, "not installed" in absent.note) == (None, True)


@pytest.mark.skipif(not HAS_FVCORE, reason="fvcore is an extra: exitbench[peers]")
def test_what_fvcore_counts_otherwise_adds_up():
    *_, row = peer_counters.compare("attends", Attends(), torch.rand(1, 1, 4, 8))
    assert "layer_norm" in row.note
    assert "without fused attention (1 calls" in row.note
    assert row.note.endswith("which is all of the difference")


def test_a_difference_that_does_not_add_up_is_told():
    """The broken double's counter forgets a product: 10 of 100 MACs."""
    whole = peer_counters.difference(
        100, 95.0, {"linear": 90.0, "layer_norm": 5.0}, {"aten::scaled_dot_product_attention": 1}, 10
    )
    assert whole.endswith("which is all of the difference")
    broken = peer_counters.difference(
        100, 85.0, {"linear": 80.0, "layer_norm": 5.0}, {"aten::scaled_dot_product_attention": 1}, 10
    )
    assert broken.endswith("-10.00% not accounted for")


@both
def test_masking_answers_as_one_sample_at_a_time(family):
    model, policy, many = rule_and_samples(family)
    logits, depths = peer_engines.masked(model, policy, model.collate(many))
    singles = [run_early(model, policy, model.collate([one])) for one in many]
    assert depths.tolist() == [int(depth) for _, depth in singles]
    assert len(set(depths.tolist())) > 1
    assert torch.allclose(logits, torch.cat([one for one, _ in singles]), atol=1e-4)


@both
def test_three_engines_stand_side_by_side(family):
    model, policy, many = rule_and_samples(family)
    ours, masks, single = peer_engines.compare(family, model, policy, many, CPU, 4, Limits(5, 2, 2))
    assert ours.to_ours is None
    for row in (masks, single):
        assert row.to_ours_lo <= row.to_ours <= row.to_ours_hi
        assert row.note == "same answers and exits"


def test_answers_that_differ_are_counted():
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1, 2])
    assert peer_engines.agreement(one, one) == "same answers and exits"
    assert peer_engines.agreement(one, (one[0].flip(1), one[1])) == "2 of 2 samples differ"
    assert peer_engines.agreement(one, (one[0], torch.tensor([1, 1]))) == "1 of 2 samples differ"


ROWS = [
    Row("latency", "a call", "exitbench", "CPU ms", 1.5, 1.4, 1.6),
    Row("latency", "a call", "other", "CPU ms", 3.0, 2.9, 3.1, 2.0, note="intervals are apart"),
    Row("gmacs", "a module", "absent", "GFLOPs", None, note="not installed"),
]


def test_tables_are_written_whole(tmp_path):
    peer_report.write(ROWS, "how", tmp_path / "peers")
    lines = list(csv.DictReader((tmp_path / "peers" / "peers.csv").read_text().splitlines()))
    assert [line["tool"] for line in lines] == ["exitbench", "other", "absent"]
    assert float(lines[1]["to_ours"]) == 2.0
    page = (tmp_path / "peers" / "peers.md").read_text()
    assert "| a call | other | 3 CPU ms | [2.9, 3.1] | 2.000 | intervals are apart |" in page
    assert "2.000" in peer_report.text(ROWS)
    assert len(list((tmp_path / "peers").iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match="cannot write"):
        peer_report.write(ROWS, "how", tmp_path / "file" / "peers")
