"""Records of several folders: each once, whatever the order, and what differs is said."""

from itertools import permutations

import pytest
from make_records import make_record, make_sweep

from benchmark.records import leaderboard, record
from benchmark.types import ExitbenchError


def test_one_record_in_two_folders_counts_once(tmp_path):
    for folder in ("a", "b"):
        for one in make_sweep():
            record.write(one, tmp_path / folder)
    found, problems = record.read_all([tmp_path / "a", tmp_path / "b", tmp_path / "a"])
    assert len(found) == len(make_sweep())
    assert problems == []


def test_the_later_of_two_counts_whatever_the_order(tmp_path):
    variants = [make_record(created=f"2026-01-0{day}T00:00:00+00:00") for day in (1, 2)]
    variants.append(make_record(created="2026-01-02T00:00:00+00:00", reasons=["of the same second"]))
    for number, one in enumerate(variants):
        record.write(one, tmp_path / str(number))
    seen = set()
    for order in permutations(("0", "1", "2")):
        (found,), problems = record.read_all([tmp_path / name for name in order])
        assert found.created == "2026-01-02T00:00:00+00:00"
        assert len(problems) == 2
        seen.add((str(found.reasons), *problems))
    assert len(seen) == 1


def test_a_difference_in_raw_observations_alone_is_a_difference(tmp_path):
    one = make_record()
    record.write(one, tmp_path / "a")
    other = {**one.latency, "early_wall_ms": [value + 1 for value in one.latency["early_wall_ms"]]}
    record.write(make_record(latency=other), tmp_path / "b")
    _, problems = record.read_all([tmp_path / "a", tmp_path / "b"], lean=True)
    assert len(problems) == 1


def test_a_lean_reading_gives_the_same_leaderboard(tmp_path):
    for one in make_sweep():
        record.write(one, tmp_path)
    whole, lean = (record.read_all([tmp_path], lean=lean)[0] for lean in (False, True))
    assert leaderboard.to_csv(leaderboard.frame(whole)) == leaderboard.to_csv(leaderboard.frame(lean))
    assert whole != lean
    assert not any(one.curve or one.examples or one.config for one in lean)


def test_a_folder_with_a_folder_and_foreign_files(tmp_path):
    record.write(make_record(), tmp_path)
    (tmp_path / "odd.json").mkdir()
    (tmp_path / ".hidden.json").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    found, problems = record.read_all([tmp_path])
    assert len(found) == 1
    assert len(problems) == 1
    assert "odd.json: cannot be read" in problems[0]
    with pytest.raises(ExitbenchError, match="which is not there"):
        record.read_all([tmp_path / "none"])
