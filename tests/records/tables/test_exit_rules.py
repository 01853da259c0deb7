"""The table of exit rules: clean rows with a range only, the latest sound one of a kind, bounds last."""

import pandas as pd
from make_records import make_record

from benchmark.records import derived_tables, leaderboard
from benchmark.records.tables import exit_rules


def ranged(policy: str, area: float, drops: bool = True, **changes):
    record = make_record(policy=policy, **changes)
    points = [{"max_drop": drop, "threshold": 0.5, "score": 0.91, "mac_speedup": 2 + drop * 100, "mean_exit_depth": 2.0}
              for drop in (0.0, 0.01, 0.02)]  # fmt: skip
    more = {"at_drop": points if drops else [], "area": area, "score_full": 0.926,
            "rule_ops": {"per_exit": 10, "mean": 15.0}}  # fmt: skip
    record.results.update(more)
    return record


def test_rows_bounds_and_order():
    records = [
        ranged("never", 0.8, drops=False), ranged("oracle", 0.95), ranged("entropy", 0.85), ranged("patience", 0.83),
        make_record(policy="confidence"), ranged("vote", 0.9, workload="same"),
    ]  # fmt: skip
    table, spelling = derived_tables.derive("exit_rules", leaderboard.frame(records))
    assert list(table["policy"]) == ["entropy", "patience", "oracle", "never"]
    assert list(table["bound"]) == ["", "", "knows labels", "full depth"]
    assert list(table.columns[10:16]) == ["drop_0", "lost_0", "drop_1", "lost_1", "drop_2", "lost_2"]
    first, never = table.iloc[0], table.iloc[3]
    assert (first["drop_0"], first["drop_2"], round(first["lost_1"], 6)) == (2.0, 4.0, 1.6)
    assert pd.isna(never["drop_1"])
    assert "| entropy |  | accuracy | 0.920 | 0.926 |" in derived_tables.markdown(table, spelling)


def test_the_latest_sound_record_of_a_kind_counts():
    old, new = ranged("entropy", 0.7), ranged("entropy", 0.8, seed=1, created="2026-02-02T03:04:05+00:00")
    shaky = ranged("entropy", 0.9, seed=2, status="unreliable", created="2026-03-02T03:04:05+00:00")
    table = exit_rules.table(leaderboard.frame([new, shaky, old]))
    assert list(table["area"]) == [0.8]


def test_records_without_a_range_give_no_table():
    assert exit_rules.table(leaderboard.frame([make_record()])).empty
