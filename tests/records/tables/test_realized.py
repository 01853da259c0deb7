"""The realized table: one row per profile, scenario and batch, its interval from the clock's, nothing untimed."""

from dataclasses import replace

import pytest
from make_records import make_record

from benchmark.records.leaderboard import frame
from benchmark.records.tables import realized


def test_a_row_per_profile_and_scenario_with_its_interval():
    clean = make_record("dvt_fashion", "clean", "cpu_1t")
    offline = replace(
        clean,
        record_id="1" * 16,
        choices={**clean.choices, "scenario": "offline"},
        latency={**clean.latency, "scenario": "offline", "batch": 32, "speedup": 3.0, "samples_per_s": 9.0},
    )
    attacked = make_record("dvt_fashion", "same", "cpu_1t")
    untimed = replace(clean, record_id="2" * 16, latency={})
    made = realized.table(frame([clean, offline, attacked, untimed]))
    assert made["scenario"].tolist() == ["offline", "single_stream"]
    first = made.iloc[0]
    assert first["batch"] == 32
    assert first["realized"] == pytest.approx(3.0 / first["mac_speedup"])
    assert first["realized_lo"] <= made.iloc[1]["realized_hi"]
    assert set(realized.SPELLING) <= set(made.columns)


def test_nothing_timed_is_nothing_to_show():
    untimed = replace(make_record("dvt_fashion", "clean", "cpu_1t"), latency={})
    assert realized.table(frame([untimed])).empty
