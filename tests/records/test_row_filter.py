"""Filters say what they mean, and nothing in them runs."""

import pytest
from make_records import make_failed, make_record, make_sweep

from benchmark.records import leaderboard
from benchmark.types import ExitbenchError

TABLE = leaderboard.frame([*make_sweep(), make_failed(), make_record(status="unreliable", machine="elsewhere")])


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("model == 'dvt_fashion'", 6),
        ('model=="dvt_fashion" and workload != "clean"', 2),
        ("model in ['minilm_exits', 'other']", 4),
        ("'mini' in model", 4),
        ("not model == 'dvt_fashion'", 4),
        ("(model == 'dvt_fashion') & ~(status == 'ok')", 2),
        ("1.5 < mac_speedup <= 100", 5),
        ("gain_lost is None", 6),
        ("gain_lost is not None and gain_lost > 0.5", 4),
        ("gain_lost != 0.5", 4),  # of a row that has none, nothing is said
        ("accuracy < accuracy_full - 0.001", 9),
        ("n / 0 > 1", 0),
        ("exit_histogram == [1540, 310, 150]", 3),
        ("rank == 1 or status == 'failed'", 9),
        ("  ", 10),
    ],
)
def test_rows_that_hold(condition, count):
    assert len(leaderboard.where(TABLE, condition)) == count


@pytest.mark.parametrize(
    "bad",
    [
        "__import__('os').system('echo no')",
        "model.str.len() > 3",
        "model.to_csv('here')",
        "model.__class__ == 1",
        "[x for x in (1,)] == model",
        "(lambda: 1)() == n",
        "f'{model}' == model",
        "open == 1",
        "model[0] == 'd'",
        "n ** n ** n > 1",
        "n << 9 > 1",
        "n > 100 & model == 'x'",
        "model == 3",
        "model > n",
        "model and n",
        "n in model",
        "config == 1",
        "model == None",
        "n is 3",
        "True",
        "(" * 500 + "n" + ")" * 500 + " > 1",
        "not " * 5000 + "n > 1",
        "n > 1 and " * 2000 + "n > 1",
        "n = 1",
        "n > 1; n > 2",
        "\x00",
    ],
)
def test_all_else_is_one_line(bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExitbenchError, match=r"^where: ") as error:
        leaderboard.where(TABLE, bad)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 2000
    assert list(tmp_path.iterdir()) == []
