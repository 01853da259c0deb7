"""The bench of runtimes on a small cascade: every way is there, answers agree, and mistakes are one line."""

import csv

import pytest
import torch
from small_data import images
from small_models import image_samples, small_dvt

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9):
    pytest.skip("older exporters of torch do not take a batched product of dynamic size", allow_module_level=True)

from benchmark.benches import runtimes
from benchmark.benches.support import runtime_report, runtime_ways
from benchmark.benches.support.setup import Family
from benchmark.policies.confidence import Confidence
from benchmark.run.trace import trace
from benchmark.types import ExitbenchError

RUNTIMES = ["torch", "onnxruntime"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        model, dataset, samples = small_dvt(), images(), image_samples(12)
        batches = [model.collate([one]) for one in samples]
        family = Family(model, Confidence(0.9), samples, batches, 2.0, {}, dataset, trace(model, dataset.calibration))
        patch.setattr(runtime_ways, "load_family", lambda name, count: family)
        patch.setattr(runtime_ways, "_twin", lambda name: small_dvt(grids=(3,)))
        yield [runtime_ways.measure("small", RUNTIMES, 12, 1, 0.01, process) for process in (0, 1)]


@pytest.fixture
def rows(measured):
    return runtime_report.rows(measured[0].facts, [one.times for one in measured], RUNTIMES, "torch")


def test_every_way_is_timed_and_answers_agree(measured, rows):
    facts = measured[0].facts
    assert facts.differ == 0
    assert facts.twin_score is not None
    eager, graphs = rows
    assert "over_eager" in graphs.ratios
    assert "over_eager" not in eager.ratios
    assert ("staging" in graphs.ratios, "staging" in eager.ratios) == (True, False)
    assert all(("over_static" in row.ratios) == (facts.static_exit is not None) for row in rows)
    for row in rows:
        assert row.ratios["realized"].value == pytest.approx(row.ratios["speedup"].value / 2)
        assert row.ratios["speedup"].lo <= row.ratios["speedup"].value <= row.ratios["speedup"].hi


def test_other_answers_are_counted(measured):
    """The broken double: a runtime whose answers are another class."""
    family = runtime_ways.load_family("small", 12)
    ways = {"torch early": lambda batch: (torch.zeros(1, 4), torch.tensor([7]))}
    assert runtime_ways._differ(family, ["torch"], ways) == 12


def test_tables_hold_one_line_a_runtime(rows, tmp_path):
    written = runtime_report.write(rows, "exitbench bench runtimes", "about", tmp_path)
    with written[0].open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["runtime"] for line in lines] == RUNTIMES
    assert float(lines[1]["staging_lo"]) <= float(lines[1]["staging"])
    page = written[1].read_text()
    assert page.count("| small | ") == 3  # two runtimes, and the scores
    assert "small" in runtime_report.text(rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runtimes=tensorflow"], "expected runtimes of torch, compile, onnxruntime, got 'tensorflow'"),
        (["processes=1"], "expected processes=2 or more"),
        (["speed=1"], "expected models="),
    ],
)
def test_mistakes_are_one_line(words, said):
    with pytest.raises(ExitbenchError, match=said):
        runtimes.main(words)
