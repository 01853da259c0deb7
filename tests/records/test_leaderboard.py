"""The leaderboard adds up: twins match, the CSV reads back, and an edited number is noticed."""

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from make_records import make_failed, make_record, make_sweep

from benchmark.records import leaderboard
from benchmark.types import ExitbenchError

WANTED = """model dataset workload policy threshold hardware scenario n accuracy accuracy_full gmacs_mean gmacs_full
mac_speedup mean_exit_depth exit_histogram latency_ms_p50 latency_ms_p90 speedup speedup_lo speedup_hi realized
gain_lost queries_mean status fingerprint record_id""".split()  # noqa: SIM905 – one name per line helps nobody here


def attacked_row(*records):
    table = leaderboard.frame(records)
    (found,) = table[table["workload"] != "clean"].to_dict("records")
    return found


def test_columns_come_in_the_promised_order():
    table = leaderboard.frame(make_sweep())
    assert list(table.columns[: len(WANTED)]) == WANTED
    assert list(table.columns) == list(leaderboard.COLUMNS)
    assert list(leaderboard.frame([]).columns) == list(table.columns)


def test_gain_lost_in_all_readings():
    clean, attacked = make_record(), make_record(workload="same")
    found = attacked_row(clean, attacked)
    m, worse = clean.results["mean_exit_depth"], attacked.results["mean_exit_depth"]
    s, slower = clean.results["mac_speedup"], attacked.results["mac_speedup"]
    assert found["gain_lost"] == pytest.approx((3 / m - 3 / worse) / (3 / m - 1))
    assert found["gain_lost_layers"] == pytest.approx((worse - m) / (3 - m))
    assert found["gain_lost_macs"] == pytest.approx((s - slower) / (s - 1))
    assert found["accuracy_diff"] == pytest.approx(-0.06)
    assert found["twin_id"] == clean.record_id
    assert found["realized"] == pytest.approx(attacked.latency["speedup"] / slower)


def changed(section, **changes):
    return {section: {**getattr(make_record(), section), **changes}}


@pytest.mark.parametrize(
    "difference",
    [
        {"model": "minilm_exits"},
        {"hardware": "cpu_2t"},
        {"machine": "elsewhere"},
        {"policy": "entropy"},
        {"seed": 1},
        changed("operating_point", threshold=0.9),
        changed("data", limit=2000),
        changed("provenance", weights_sha256="retrained"),
        changed("provenance", dataset_fingerprint="recut"),
    ],
)
def test_only_a_true_twin_counts(difference):
    attacked = make_record(workload="same")
    assert pd.isna(attacked_row(make_record(**difference), attacked)["gain_lost"])
    assert attacked_row(make_record(), make_record(**difference), attacked)["twin_id"] == make_record().record_id


def test_no_twin_no_gain_lost():
    found = attacked_row(make_record(workload="same"))
    assert all(pd.isna(found[name]) for name in leaderboard.COLUMNS if "gain_lost" in name or name.endswith("_diff"))
    failed = make_failed(workload="same")
    assert pd.isna(attacked_row(make_record(), failed)["gain_lost"])
    assert pd.isna(attacked_row(make_failed(), make_record(workload="same"))["gain_lost"])


def test_a_latency_that_did_not_hold_gives_no_latency_gain():
    clean, attacked = make_record(), make_record(workload="same")
    shaky = make_record(status="unreliable")
    assert attacked_row(clean, attacked)["gain_lost_latency"] > 0
    unsure = attacked_row(shaky, attacked)
    assert pd.isna(unsure["gain_lost_latency"])
    assert unsure["gain_lost"] > 0
    assert attacked_row(shaky, clean, attacked)["twin_id"] == clean.record_id
    slow = replace(clean, latency={**clean.latency, "speedup_lo": 0.99})
    assert pd.isna(attacked_row(slow, attacked)["gain_lost_latency"])


def test_order_is_stable_and_clean_first():
    records = [*make_sweep(), make_failed(), make_record(policy="entropy")]
    table = leaderboard.frame(records)
    assert leaderboard.to_csv(table) == leaderboard.to_csv(leaderboard.frame(records[::-1]))
    assert list(table["workload"].groupby(table["model"]).first()) == ["clean", "clean"]


def test_ranks_are_for_ok_rows_among_comparables():
    worse = make_record(policy="entropy", seed=1, results={**make_record().results, "gmacs_mean": 0.02})
    table = leaderboard.frame([worse, make_record(), make_record(status="unreliable"), make_failed(policy="patience")])
    ranks = table.set_index("record_id")["rank"]
    assert ranks[make_record().record_id] == 1
    assert ranks[worse.record_id] == 2
    assert ranks.isna().sum() == 2
    assert set(table["status"]) == {"ok", "unreliable", "failed"}
    elsewhere = leaderboard.frame([make_record(), make_record(machine="elsewhere")])
    assert list(elsewhere["rank"]) == [1, 1]


def test_csv_reads_back_to_the_bit(tmp_path):
    records = [*make_sweep(), make_failed(hardware="cuda")]
    table = leaderboard.frame(records)
    csv, markdown = leaderboard.write(table, tmp_path / "leaderboard.csv")
    back = leaderboard.read_csv(csv, records)
    pd.testing.assert_frame_equal(back, table)
    assert leaderboard.validate(csv, records) == []
    assert markdown.read_text().count("| dvt_fashion |") == 5
    assert leaderboard.read_csv(csv)["curve"].tolist() == [[]] * len(table)


def edit(csv, old, new):
    text = csv.read_text()
    assert old in text
    csv.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",0.92,", ",0.93,", "accuracy is 0.93, expected 0.92"),
        ('"[1540, ', '"[1541, ', "exit_histogram"),
        (",ok,", ",unreliable,", "status is unreliable, expected ok"),
        (",238.5,", ",,", "queries_mean is empty, expected 238.5"),
    ],
)
def test_validate_catches_an_edited_cell(tmp_path, old, new, words):
    records = make_sweep()
    csv, _ = leaderboard.write(leaderboard.frame(records), tmp_path / "leaderboard.csv")
    edit(csv, old, new)
    (difference,) = leaderboard.validate(csv, records)
    assert words in difference


def test_validate_catches_rows_that_come_and_go(tmp_path):
    records = make_sweep()
    csv, _ = leaderboard.write(leaderboard.frame(records[1:]), tmp_path / "leaderboard.csv")
    assert any("not in the leaderboard" in line for line in leaderboard.validate(csv, records))
    assert any("not among the records" in line for line in leaderboard.validate(csv, records[2:]))
    csv.write_text(csv.read_text() + csv.read_text().splitlines()[-1] + "\n")
    assert any("twice" in line for line in leaderboard.validate(csv, records[1:]))


def test_validate_catches_a_record_that_contradicts_itself(tmp_path):
    wrong = make_record(results={**make_record().results, "mean_exit_depth": 1.5})
    csv, _ = leaderboard.write(leaderboard.frame([wrong]), tmp_path / "leaderboard.csv")
    (difference,) = leaderboard.validate(csv, [wrong])
    assert "mean_exit_depth 1.5, its own figures give 1.305" in difference


def test_files_that_are_no_leaderboard_are_named(tmp_path):
    path = tmp_path / "leaderboard.csv"
    with pytest.raises(ExitbenchError, match=r"cannot read .*leaderboard\.csv"):
        leaderboard.read_csv(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ExitbenchError, match="the column model"):
        leaderboard.read_csv(path)
    path.write_text("")
    with pytest.raises(ExitbenchError, match="not a CSV file"):
        leaderboard.read_csv(path)
    csv, _ = leaderboard.write(leaderboard.frame([make_record()]), path)
    edit(csv, ",0.92,", ",high,")
    with pytest.raises(ExitbenchError, match="high"):
        leaderboard.read_csv(csv)


def test_where_keeps_the_rows_that_hold():
    table = leaderboard.frame([*make_sweep(), make_failed()])
    assert set(leaderboard.where(table, "model == 'dvt_fashion'")["model"]) == {"dvt_fashion"}
    assert len(leaderboard.where(table, "gain_lost > 0.5 and hardware == 'cpu_1t'")) == 2
    assert len(leaderboard.where(table, "n >= 1000")) == 8  # the failed row has no n
    assert len(leaderboard.where(table, "")) == 9


@pytest.mark.parametrize(
    "bad", ["model ==", "modle == 'x'", "accuracy", "accuracy = 1", "model > 3", "@pd.io", "1 == 1"]
)
def test_a_bad_where_is_one_clear_line(bad):
    with pytest.raises(ExitbenchError) as error:
        leaderboard.where(leaderboard.frame(make_sweep()), bad)
    assert str(error.value).startswith("where: ")
    assert "\n" not in str(error.value)


def test_terminal_table_fits_and_keeps_machines_apart():
    long = make_record(machine="elsewhere", status="unreliable", policy="a_policy_with_a_long_name_indeed")
    text = leaderboard.render(leaderboard.frame([*make_sweep(), make_failed(hardware="cuda"), long]))
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("machine a1b2c3d4") == 2
    assert text.count("machine elsewhere") == 1
    assert "unreliable" in text
    assert "failed" in text
    assert "nan" not in text.lower()
    assert leaderboard.render(leaderboard.frame([])) == "no records"


def test_tables_and_figures_never_load_torch():
    code = "import benchmark.records.leaderboard, plots.all, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
