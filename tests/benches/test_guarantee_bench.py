"""The guarantee bench counts broken promises on a population that is known, and writes its tables whole."""

import csv

import pytest

from benchmark.benches import exit_rules_sweep, guarantee
from benchmark.benches.support.guarantee_report import write
from benchmark.policies.confidence import Confidence
from benchmark.types import ExitbenchError, Trace

OPTIONS = {"max_drop": 0.03, "guarantee": 0.95, "draws": 60}


@pytest.fixture(scope="module")
def rows():
    trace, macs = exit_rules_sweep.synthetic(3000, 4, 3)
    halves = [
        (Trace(trace.logits[part], trace.labels[part], trace.lengths[part]), macs[part])
        for part in (slice(600), slice(600, None))
    ]
    traces = guarantee.Traces("made", "made", *halves[0], *halves[1])
    return guarantee.compare(traces, Confidence(0.5), OPTIONS["max_drop"], OPTIONS["guarantee"], OPTIONS["draws"])


def test_guarantees_are_kept_and_the_mean_is_not(rows):
    by = {row.choice: row for row in rows}
    assert list(by) == ["mean", "hb", "wsr", "crc"]
    assert by["mean"].broken > 0.3
    assert max(by[bound].broken for bound in ("hb", "wsr")) <= 0.05 + 3 * (0.05 * 0.95 / OPTIONS["draws"]) ** 0.5
    assert by["crc"].mean_loss <= OPTIONS["max_drop"]
    assert all(by[bound].price >= 0 for bound in by)


def test_the_truth_is_what_replay_gives_on_the_population():
    """With the calibration set as the whole population, a threshold chosen by its mean breaks the limit about never."""
    trace, macs = exit_rules_sweep.synthetic(400, 4, 3)
    traces = guarantee.Traces("made", "made", trace, macs, trace, macs)
    loss, spent = guarantee.on_test(Confidence(2.0), traces)
    assert (loss, spent) == (0.0, pytest.approx(float(macs[:, -1].mean())))
    confidence = trace.logits.softmax(-1).amax(-1)[:, :-1]
    losses = guarantee.exit_losses(trace.logits.argmax(-1) == trace.labels[:, None])["signed"]
    value, population = guarantee.loss_sequence(confidence, losses)
    for position in (1, len(value) // 2, len(value) - 1):
        at = float(value[position])
        assert guarantee.on_test(Confidence(at), traces)[0] == pytest.approx(float(population.totals()[position]) / 400)


def test_files_hold_every_row(rows, tmp_path):
    paths = write(rows, "exitbench bench guarantee", OPTIONS, tmp_path)
    assert [path.name for path in paths] == ["guarantee.csv", "guarantee.md"]
    with paths[0].open(encoding="utf-8") as file:
        assert [row["choice"] for row in csv.DictReader(file)] == ["mean", "hb", "wsr", "crc"]
    assert "exitbench bench guarantee" in paths[1].read_text(encoding="utf-8")


@pytest.mark.parametrize("word", ["guarantee=95", "draws=0", "speed=3", "draws=many"])
def test_mistakes_are_one_line(word):
    with pytest.raises(ExitbenchError, match="guarantee"):
        guarantee.main([word])
