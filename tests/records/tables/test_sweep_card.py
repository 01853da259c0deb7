"""The card says what the records say, limits included, and nothing else."""

from make_records import make_failed, make_record, make_sweep

from benchmark.records import leaderboard
from benchmark.records.derived_tables import derive, markdown


def facts(records):
    made, _ = derive("card", leaderboard.frame(records))
    return dict(zip(made["fact"], made["value"], strict=True))


def test_a_sweep_of_one_machine():
    said = facts([*make_sweep(), make_failed(hardware="cuda"), make_record(status="unreliable", seed=3)])
    assert said["records"] == "10: 1 failed, 8 ok, 1 unreliable"
    assert said["models"] == "dvt_fashion, minilm_exits"
    assert "2 cores" in said["machine a1b2c3d4"]
    assert said["samples of each test set"].startswith("1000 to 2000; an accuracy's standard error is up to 1.")
    assert {"one machine", "no GPU", "one sample at a time", "failed", "unreliable"} <= said.keys()
    assert "never attacked" not in said


def test_limits_that_do_not_hold_are_not_claimed():
    said = facts([make_record(), make_record(machine="elsewhere")])
    assert "one machine" not in said
    assert said["several machines"].startswith("2;")
    assert said["never attacked"] == "dvt_fashion"
    assert not {"failed", "unreliable", "untimed records"} & said.keys()


def test_it_is_a_markdown_table():
    made, spelling = derive("card", leaderboard.frame(make_sweep()))
    assert markdown(made, spelling).startswith("| fact | value |\n| --- | --- |\n| records | 8: 8 ok |")
