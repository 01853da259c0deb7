"""The attack tables say what records say, and who needs less."""

from dataclasses import replace

import pandas as pd
from make_records import make_record

from benchmark.records import leaderboard
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
