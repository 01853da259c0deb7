"""The attack tables: figures of the records, seeds pooled, intervals and shared ranks, and who needs less."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_records import make_record

from benchmark.records import attack_intervals, derived_tables, leaderboard, metrics, record
from benchmark.records.record import Record
from benchmark.records.tables import same_attacks, same_budgets


def attack(workload: str, taken: float, least: int = 3, share: float = 0.1, policy: str = "entropy", speed: int = 1):
    """A record of an attack with so many words that takes so much, in 1/speed of 100 queries."""
    one = make_record("minilm_exits", workload, policy=policy, seed=least + int(100 * share))
    curve = [{"queries": q // speed, "gain_lost": taken * q / 100, "gain_lost_layers": None} for q in (10, 50, 90, 100)]
    section = {**one.attack, "gain_lost": taken, "against_queries": curve}
    section["settings"] = {"search": {"least": least, "share": share}}
    return replace(one, attack=section)


def test_attacks_are_rows_and_then_means():
    records = [make_record(), attack("same", 0.9), attack("same", 0.7, policy="patience"), attack("random", 0.4)]
    made = same_attacks.table(leaderboard.frame(records))
    assert list(made["model"]) == ["minilm_exits"] * 3 + ["mean"] * 2
    means = made[made["model"] == "mean"].set_index("workload")["gain_lost"]
    assert means["same"] == 0.8
    assert means["random"] == 0.4
    assert set(made["budget"]) == {"max(3, 10%)"}
    assert made.loc[0, "gain_lost_right"] > 0
    assert pd.isna(made.loc[0, "gain_lost_wrong"])


def test_no_attack_no_row():
    assert same_attacks.table(leaderboard.frame([make_record()])).empty
    assert same_budgets.table(leaderboard.frame([make_record()])).empty


def test_budgets_are_named():
    def name(**search):
        return same_attacks.budget({"settings": {"search": search}})

    assert name(least=2, share=0.0) == "2 words"
    assert name(least=0, share=0.1) == "10%"
    assert name(epsilon=8 / 255, norm="linf") == "ε 8/255"
    assert name(epsilon=0.5, norm="l2") == "ε 0.5 in l2"


def test_who_needs_less_is_said_either_way():
    fast, slow = attack("same", 1.0, speed=2), attack("random", 1.0)
    made = same_budgets.table(leaderboard.frame([fast, slow])).set_index("workload")
    assert made.loc["same", "queries_to_80"] == 45
    assert made.loc["random", "queries_to_80"] == 90
    assert made.loc["same", "fewer_queries"] == "yes"
    made = same_budgets.table(leaderboard.frame([attack("same", 1.0), attack("random", 1.0, speed=2)]))
    assert made.set_index("workload").loc["same", "fewer_queries"] == "no"
    weak = same_budgets.table(leaderboard.frame([attack("same", 0.6), attack("random", 0.1)])).set_index("workload")
    assert weak.loc["same", "fewer_queries"] == "yes, random did not get there"
    assert weak.loc["same", "queries_to_half"] == 90


def test_words_needed_are_the_fewest_that_took_as_much():
    runs = [attack("same", taken, least, 0.0) for least, taken in ((1, 0.6), (2, 0.85), (3, 1.0))]
    rival = [attack("random", taken, least, 0.0) for least, taken in ((1, 0.1), (2, 0.6), (3, 0.9))]
    made = same_budgets.table(leaderboard.frame([*runs, *rival])).set_index("workload")
    assert list(made.loc["same", ["size_to_half", "size_to_80"]]) == [1, 2]
    assert list(made.loc["random", ["size_to_half", "size_to_80"]]) == [2, 3]
    assert made.loc["same", "smaller_size"] == "yes"


N, EXITS = 60, 6


def measured(workload: str, seed: int, taken: np.ndarray, slice_: int = 0) -> Record:
    """A record with per-sample columns: every sample at exit 1 before, those in `taken` at full depth after."""
    before, after = np.ones(N, int), np.where(taken, EXITS, 1)
    one = make_record("minilm_exits", workload, seed=100 + seed)
    lost = metrics.gain_lost(EXITS / before.mean(), EXITS / after.mean())
    ends = attack_intervals.gain_lost(before, after, EXITS)
    columns = {"index": [slice_ + n for n in range(N)], "depth_before": before.tolist(), "depth_after": after.tolist()}
    section = {"gain_lost": lost, "per_sample": columns | {"queries": after.tolist()}, "against_queries": []}
    section |= dict(zip(("gain_lost_lo", "gain_lost_hi"), ends or (), strict=True))
    section["settings"] = {"search": {"least": 3, "share": 0.0}, "seed": seed}
    return replace(one, attack={**one.attack, **section})


def seeds(workload: str, share: float, count: int = 3) -> list[Record]:
    """Records of one attack under several seeds, which each take a share of the samples at random."""
    rng = np.random.default_rng(len(workload))
    return [measured(workload, seed, rng.random(N) < share) for seed in range(count)]


def test_seeds_are_pooled_into_one_row():
    records = seeds("random", 0.5)
    made = same_attacks.table(leaderboard.frame([make_record(), *records]))
    row = made.iloc[0]
    assert (len(made), row["seeds"], row["interval"]) == (2, 3, "paired")
    assert row["gain_lost"] == pytest.approx(np.mean([one.attack["gain_lost"] for one in records]))
    single = same_attacks.table(leaderboard.frame(records[:1])).iloc[0]
    assert row["gain_lost_lo"] < row["gain_lost"] < row["gain_lost_hi"]
    width, alone = (one["gain_lost_hi"] - one["gain_lost_lo"] for one in (row, single))
    assert width < 0.8 * alone
    assert single["seeds"] == 1


def test_records_that_differ_in_more_than_the_seed_stay_apart():
    other_samples = measured("random", 1, np.arange(N) < 30, slice_=500)
    again = measured("random", 0, np.arange(N) < 20)  # the same seed a second time
    made = same_attacks.table(
        leaderboard.frame([*seeds("random", 0.5, 1), other_samples, replace(again, record_id="f" * 16)])
    )
    assert list(made["seeds"].dropna()) == [1, 1, 1]


def test_a_rank_is_shared_where_the_data_cannot_tell_attacks_apart():
    hit = np.arange(N) < 40
    records = [
        measured("same", 0, hit),
        measured("uniform", 0, np.arange(N) < 39),  # a sample fewer
        measured("deepsloth", 0, np.arange(N) < 25),  # the same samples, fifteen fewer: paired, that is sure
    ]
    ranks = same_attacks.table(leaderboard.frame(records)).set_index("workload")["rank"].dropna()
    assert ranks.groupby(level=0).first().to_dict() == {"same": 1, "uniform": 1, "deepsloth": 3}
    assert records[2].attack["gain_lost_hi"] > records[0].attack["gain_lost_lo"]  # their own intervals overlap


def test_old_records_get_a_bound_of_their_histograms():
    old = attack("same", 0.9)
    row = same_attacks.table(leaderboard.frame([make_record("minilm_exits", policy="entropy", seed=13), old])).iloc[0]
    assert row["interval"] == "bound"
    assert row["gain_lost_lo"] < row["gain_lost_hi"]
    assert pd.isna(row["gain_lost_macs_lo"])
    lonely = same_attacks.table(leaderboard.frame([old])).iloc[0]  # no clean twin: nothing to compute it from
    assert lonely["interval"] == ""
    assert pd.isna(lonely["gain_lost_lo"])
    assert pd.isna(lonely["rank"])


def test_text_shows_half_the_interval_and_the_csv_its_ends():
    made, spelling = derived_tables.derive("same_attacks", leaderboard.frame(seeds("random", 0.5)))
    text = derived_tables.markdown(made, spelling)
    half = 50 * (made.loc[0, "gain_lost_hi"] - made.loc[0, "gain_lost_lo"])
    assert f"{100 * made.loc[0, 'gain_lost']:.1f}% ± {half:.1f}" in text
    assert "gain_lost_lo" not in text
    assert "gain_lost_lo" in made.columns
    lines = text.splitlines()
    assert {line.count("|") for line in lines} == {lines[0].count("|")}


def test_fewer_queries_within_the_noise_are_said_to_be():
    def with_curve(workload: str, reaches: int, width: float) -> Record:
        curve = [
            {
                "queries": q,
                "gain_lost": (v := min(1.0, 0.9 * q / reaches)),
                "gain_lost_lo": v - width,
                "gain_lost_hi": v + width,
            }
            for q in (10, 20, 30, 40, 50, 60)
        ]
        one = measured(workload, 0, np.ones(N, bool))
        return replace(one, attack={**one.attack, "against_queries": curve})

    def said(reaches: int, width: float) -> str:
        pair = [with_curve("same", reaches, width), with_curve("random", 50, width)]
        return same_budgets.table(leaderboard.frame(pair)).set_index("workload").loc["same", "fewer_queries"]

    assert said(10, 0.05) == "yes"
    assert said(40, 0.2) == "within noise"
    assert said(40, 0.0) == "yes"


@pytest.mark.parametrize("folder", ["same_glue", "same_pixels"])
@pytest.mark.parametrize(("name", "table"), [("attacks", same_attacks.table), ("budgets", same_budgets.table)])
def test_committed_tables_follow_from_committed_records(folder: str, name: str, table):
    place = Path(__file__).parents[3] / "results" / folder
    records, problems = record.read_all([place / "records"])
    assert problems == []
    made, committed = table(leaderboard.frame(records)), pd.read_csv(place / f"{name}.csv")
    made = pd.read_csv(StringIO(made.to_csv(index=False)))
    pd.testing.assert_frame_equal(made, committed, rtol=1e-9)
