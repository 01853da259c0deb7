"""The bench of latency tables on a small cascade: costs grow with depth, and its check compares like with like."""

import pytest
from small_data import images
from small_models import image_samples, small_dvt

from benchmark.benches import latency_table as bench
from benchmark.benches.support import exit_times
from benchmark.benches.support.setup import Family
from benchmark.cost import latency_table
from benchmark.engine.execute import run_early
from benchmark.policies.fixed_exit import FixedExit
from benchmark.run.trace import trace
from benchmark.types import ExitbenchError


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        model, dataset, samples = small_dvt(), images(), image_samples(10)
        batches = [model.collate([one]) for one in samples]
        family = Family(model, FixedExit(exit=2), samples, batches, 2.0, {}, dataset, trace(model, dataset.calibration))
        patch.setattr(exit_times, "load_family", lambda name, count: family)
        yield [exit_times.measure("small", "cpu_1t", 10, 1, 0.01, process) for process in (0, 1)]


def test_exits_of_the_rule_and_shapes(parts):
    first = parts[0]
    assert first.grid == [0]
    assert first.to_exit.shape == first.alone.shape == (1, 3)
    assert set(first.depths) == {2}
    assert (first.to_exit > 0).all()


def test_every_sample_runs_up_to_the_exit_with_the_rules_own_steps():
    model, sample = small_dvt(), image_samples(1)
    for exit in (1, 2, 3):
        for policy in (FixedExit(exit=1), FixedExit(exit=3)):
            assert int(run_early(model, exit_times.UpTo(policy, exit), model.collate(sample))[1]) == exit


def test_the_check_compares_the_table_with_the_stopwatch(parts, tmp_path):
    made = [part._replace(to_exit=part.to_exit * 0 + [[1.0, 2.0, 4.0]], early_ms=2.1, full_ms=4.0) for part in parts]
    to_exit, half = latency_table.mean_and_half([part.to_exit for part in made])
    table = latency_table.LatencyTable("small", "w", "cpu_1t", "x", 1, 2, [0], to_exit.tolist(), half.tolist(),
                                       to_exit.tolist(), half.tolist())  # fmt: skip
    early, full = bench._checked(table, made)
    assert (early.predicted, full.predicted) == (2.0, 4.0)
    assert early.off == pytest.approx(2 / 2.1 - 1)
    page = bench._write([(table, [early, full])], "exitbench bench latency_table", tmp_path)[1].read_text()
    assert "| small | cpu_1t | early exit | 2.000 | 2.100 | -4.8% |" in page


@pytest.mark.parametrize("words", [["processes=1"], ["model=dvt_fashion"]])
def test_mistakes_are_one_line(words):
    with pytest.raises(ExitbenchError):
        bench.main(words)
