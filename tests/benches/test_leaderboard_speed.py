"""The bench of the leaderboard copies real records soundly, and times a process that never loads torch."""

import pytest

from benchmark.benches import leaderboard_speed
from benchmark.records import leaderboard, record
from benchmark.types import ExitbenchError


def test_copies_are_sound_records_with_their_twins(tmp_path):
    originals = leaderboard_speed._found(leaderboard_speed.DEFAULTS["folder"])
    count = 3 * len(originals)
    size = leaderboard_speed.copies(originals, count, tmp_path / "records")
    found, problems = record.read_all([tmp_path / "records"], lean=True)
    assert (len(found), problems) == (count, [])
    assert size == sum(path.stat().st_size for path in (tmp_path / "records").iterdir())
    table = leaderboard.frame(found)
    attacked = table[table["workload"] != "clean"]
    assert attacked["twin_id"].is_unique
    assert (attacked["twin_id"] != "").all()


def test_a_run_prints_its_time_and_judges_it(capsys):
    assert leaderboard_speed.main(["records=8", "runs=1", "seconds=600"]) == 0
    assert "median" in capsys.readouterr().out
    assert leaderboard_speed.main(["records=8", "runs=1", "seconds=0.001"]) == 1
    with pytest.raises(ExitbenchError, match="run in a clone"):
        leaderboard_speed.main(["folder=nowhere"])
