"""The DVT tables: a row only beside its own static twin, and the reuse table as the paper lays it out."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from make_records import make_record

from benchmark.records import leaderboard
from benchmark.records.record import record_id
from benchmark.records.tables import dvt, dvt_reuse


def named(model: str, **changes):
    """A synthetic DVT record under another model's name."""
    made = make_record(**changes)
    choices = {**made.choices, "model": model}
    return replace(made, choices=choices, record_id=record_id({**choices, **changes}))


def test_a_row_stands_beside_its_twin_of_the_same_machine():
    records = [
        named("dvt_fashion"),
        named("dvt_fashion", machine="ffffffff"),  # no twin there: milliseconds are never compared across machines
        named("dvt_fashion_static", policy="never"),
    ]
    made = dvt.table(leaderboard.frame(records))
    assert list(made["model"]) == ["dvt_fashion"]
    row = made.iloc[0]
    assert row["macs_under_static"] == pytest.approx(row["static_gmacs"] / row["gmacs_mean"])
    assert row["static_accuracy"] == pytest.approx(0.926)
    assert set(dvt.SPELLING) <= set(made.columns)


def test_no_twin_no_row():
    assert dvt.table(leaderboard.frame([named("dvt_fashion")])).empty


def test_reuse_rows_follow_the_paper_and_are_set_beside_none():
    records = [named(f"dvt_ablation_{variant}") for variant in ("both", "none", "relation", "feature")]
    made = dvt_reuse.table(leaderboard.frame(records))
    assert list(zip(made["feature_reuse"], made["relation_reuse"], strict=True)) == list(dvt_reuse.VARIANTS.values())
    assert list(made["macs_over_none"]) == pytest.approx([1.0] * 4)
    partial = dvt_reuse.table(leaderboard.frame(records[:1]))
    assert pd.isna(partial["macs_over_none"].iloc[0])
