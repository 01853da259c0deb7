"""Two sets of records: equal ones are not told apart, a planted change is found, and what cannot be judged says so."""

from __future__ import annotations

import csv
import io
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from make_records import make_failed, make_record

from benchmark.cli.main import main
from benchmark.records import comparison, comparison_report
from benchmark.records import record as record_files
from benchmark.records.comparison import LEVEL, compare
from benchmark.types import ExitbenchError

SD = 0.015  # between processes, as seen on a shared machine
PROCESSES = 5
CELLS = [(model, hardware, policy) for model in ("dvt_fashion", "minilm_exits") for hardware in ("cpu_1t", "cpu_2t")
         for policy in ("confidence", "entropy", "patience", "vote", "pcee")]  # fmt: skip
BASE = {cell: make_record(cell[0], hardware=cell[1], policy=cell[2]) for cell in CELLS}


def timed(made, rng, slower=1.0, sd=SD):
    """The record with a speed-up that is the mean of several processes, with noise of their own and one they share."""
    truth = np.log(made.latency["speedup"] / slower) + sd * rng.standard_normal()
    logs = truth + sd * rng.standard_normal(PROCESSES)
    facts = {"speedup": float(np.exp(logs.mean())), "between_process_sd": float(logs.std(ddof=1)),
             "between_measurements_sd": sd, "processes": PROCESSES}  # fmt: skip
    return replace(made, latency=made.latency | facts)


def measured(seed, slower=1.0, sd=SD, which=CELLS):
    rng = np.random.default_rng(seed)
    return [timed(made, rng, slower if cell in which else 1.0, sd) for cell, made in BASE.items()]


def verdicts(found, figure):
    return [difference.verdict for difference in found.differences if difference.figure == figure]


def flagged(repeats):
    return sum(
        bool({"better", "worse"} & {d.verdict for d in compare(measured(seed), measured(seed + 10_000)).differences})
        for seed in range(repeats)
    )


def test_equal_sets_are_flagged_at_most_once_in_twenty():
    repeats = 300
    assert flagged(repeats) <= repeats * LEVEL + 3 * (repeats * LEVEL * (1 - LEVEL)) ** 0.5


def test_the_simulation_catches_verdicts_that_ignore_how_many_figures_there_are(monkeypatch):
    monkeypatch.setattr(comparison.stats, "false_discovery_control", lambda tests: tests)
    assert flagged(60) > 60 * 0.3


def test_a_planted_slow_down_of_a_twentieth_is_found_in_all_cells():
    caught = [len(compare(measured(seed), measured(seed + 1, slower=1.05)).worse) for seed in range(0, 60, 2)]
    assert np.mean(np.array(caught) > 0) >= 0.95
    assert np.mean(caught) > 0.3 * len(CELLS)


def test_and_in_one_cell_on_a_quiet_machine():
    one = CELLS[3]
    found = compare(measured(1, sd=0.005), measured(2, slower=1.05, sd=0.005, which=[one]))
    assert [difference.cell.split(" · ")[0] for difference in found.worse] == [one[0]]
    (worse,) = found.worse
    assert worse.figure == "speedup"
    assert worse.low < -0.0476 < worse.high  # 1 / 1.05 - 1


def test_a_set_is_equal_to_itself_in_every_figure():
    records = [*measured(0), make_record(workload="same")]
    found = compare(records, list(reversed(records)))
    assert not found.only_before
    assert not found.only_after
    assert {d.verdict for d in found.differences if d.p is not None} == {"same"}


def test_quality_cost_and_attack_are_judged_in_the_right_direction():
    made = make_record()
    n = made.data["n"]
    results = made.results | {"accuracy": {"value": 0.70, "stderr": (0.7 * 0.3 / n) ** 0.5, "n": n}}
    results |= {"exit_histogram": [n, 0, 0], "mean_exit_depth": 1.0, "gmacs_mean": made.exits[0]["gmacs"]}
    found = compare([made], [replace(made, results=results)])
    assert {d.figure: d.verdict for d in found.differences if d.p is not None} == {
        "score": "worse", "mean_exit_depth": "better", "gmacs_mean": "better",
    }  # fmt: skip
    cost = next(d for d in found.differences if d.figure == "gmacs_mean")
    assert cost.change == pytest.approx(made.exits[0]["gmacs"] / made.results["gmacs_mean"] - 1)
    assert cost.low < cost.change < cost.high


def test_gain_lost_is_judged_by_its_interval():
    clean, attacked = make_record(), make_record(workload="same")
    deeper = [0, 0, attacked.data["n"]]
    worst = attacked.results | {"exit_histogram": deeper, "mean_exit_depth": 3.0, "gmacs_mean": 0.04763}
    sides = []
    for results, interval in ((attacked.results, (0.80, 0.88)), (worst, (0.99, 1.0))):
        facts = attacked.attack | dict(zip(("gain_lost_lo", "gain_lost_hi"), interval, strict=True))
        sides.append([clean, replace(attacked, results=results, attack=facts)])
    assert verdicts(compare(*sides), "gain_lost") == ["worse"]
    assert verdicts(compare(sides[0], sides[0]), "gain_lost") == ["same"]
    no_interval = [[clean, attacked]] * 2
    assert verdicts(compare(*no_interval), "gain_lost") == ["not judged: no interval"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": {"id": "another"}}, "two machines"),
        ({"status": "unreliable", "reasons": ["canary"]}, "unreliable"),
        ({"latency": make_record().latency | {"processes": 1}}, "one process"),
    ],
)
def test_a_clock_that_cannot_be_compared_is_not_judged(changes, reason):
    rng = np.random.default_rng(0)
    before = timed(make_record(), rng)
    after = timed(make_record(), rng, slower=2.0)
    latency = after.latency | changes.pop("latency", {}) if "latency" in changes else after.latency
    (verdict,) = verdicts(compare([before], [replace(after, latency=latency, **changes)]), "speedup")
    assert reason in verdict


def test_cells_of_one_set_alone_and_failed_records_are_listed_or_left_out():
    found = compare([make_record(), make_record("minilm_exits")], [make_record(), make_failed()])
    assert [name.split(" · ")[0] for name in found.only_before] == ["minilm_exits"]
    assert found.only_after == []
    assert "1 combinations in both, 1 only in A, 0 only in B" in comparison_report.summary(found)


def test_settings_that_a_version_added_do_not_keep_cells_apart():
    made = make_record()
    newer = replace(made, config=made.config | {"policy": {"threshold": 0.87, "guarantee": 0}})
    assert len(compare([made], [newer]).differences) > 0


def test_errors_are_one_line_that_names_the_records():
    with pytest.raises(ExitbenchError, match="expected combinations that are in both"):
        compare([make_record()], [make_record("minilm_exits")])
    twice = [make_record(seed=0), make_record(seed=1)]
    with pytest.raises(ExitbenchError, match="records of one combination"):
        compare(twice, twice)


def written(folder, records):
    for made in records:
        record_files.write(made, folder)
    return str(folder)


def test_the_command_fails_where_something_got_worse_and_writes_a_table_and_a_page(tmp_path, capsys):
    before = written(tmp_path / "before", measured(0, sd=0.002))
    after = written(tmp_path / "after", measured(1, sd=0.002, slower=1.05))
    assert main(["compare", before, after, "--out", str(tmp_path / "out")]) == 1
    assert "worse" in capsys.readouterr().out
    table = list(csv.DictReader(io.StringIO((tmp_path / "out/compare.csv").read_text())))
    assert {line["verdict"] for line in table if line["figure"] == "speedup"} == {"worse"}
    page = (tmp_path / "out/compare.html").read_text()
    assert page.count('<tr class="worse">') == len(CELLS)
    assert "http" not in page
    assert main(["compare", after, before]) == 0  # better is no failure
    assert main(["compare", before, before, "--all"]) == 0
    assert "cannot be told apart" in capsys.readouterr().out


def test_a_folder_of_a_revision_is_read_from_git(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "records", measured(0, sd=0.002))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "records"], ["commit", "-q", "-m", "Records"]):
        subprocess.run([*git, *words], check=True)
    assert main(["compare", "HEAD:records", "records"]) == 0
    capsys.readouterr()
    for wrong in ("nowhere", "HEAD:nowhere", "--help:records"):
        assert main(["compare", "--", wrong, "records"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
