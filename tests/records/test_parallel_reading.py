"""Reading by several processes gives what one gives: the same records, in the same order, with the same complaints."""

import os
import signal
import threading
from functools import partial

import pytest
from make_records import make_record, make_sweep

from benchmark.records import leaderboard, parallel_reading, record
from benchmark.records.seal import sealed
from benchmark.types import ExitbenchError


@pytest.fixture
def crowd(monkeypatch):
    """Three processes for any handful of files, whatever the machine; threads of other tests do not count."""
    monkeypatch.setattr(parallel_reading, "BLOCK", 3)
    monkeypatch.setattr(parallel_reading, "_usable_cores", lambda: 3)
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def broken(folder):
    """One file of each way to be unsound, and what its complaint says."""
    whole = record.write(make_record(seed=9), folder).read_bytes()
    bodies = {
        "cut": whole[:-30],
        "edited": whole.replace(b'"ok"', b'"OK"'),
        "foreign": b"[1, 2]",
        "nan": sealed(b' "schema_version": 1,\n "record_id": "nan",\n "n": NaN\n}\n'),
        "latin": "é".encode("latin1"),
        "renamed": whole,
        "newer": sealed(b' "schema_version": 99,\n "record_id": "newer"\n}\n'),
    }
    for name, body in bodies.items():
        (folder / f"{name}.json").write_bytes(body)
    (folder / "odd.json").mkdir()
    said = ("not whole JSON", "content_sha256", "not an exitbench record", "n:", "not whole JSON", "renamed?", "99")
    return (*said, "cannot be read")


def process_of(path):
    """Picklable, and different in every process."""
    return path.name, os.getpid()


def ended(path, parent):
    """What a machine without memory does to a process."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_same_records_and_complaints_as_by_one(tmp_path, request):
    for one in make_sweep():
        record.write(one, tmp_path)
    said = broken(tmp_path)
    alone = record.read_all([tmp_path], lean=True)
    leaderboard.write(leaderboard.frame(alone[0]), tmp_path / "table.csv")
    checked = leaderboard.validate_folders(tmp_path / "table.csv", [tmp_path])
    request.getfixturevalue("crowd")
    assert record.read_all([tmp_path], lean=True) == alone
    assert leaderboard.validate_folders(tmp_path / "table.csv", [tmp_path]) == checked
    assert len(alone[0]) == len(make_sweep()) + 1
    assert len(alone[1]) == len(said)
    for words in said:
        assert any(words in line for line in alone[1]), words


def test_a_wrong_figure_is_found_by_any_process(tmp_path, crowd):
    for seed in range(12):
        record.write(make_record(seed=seed), tmp_path)
    wrong = make_record(seed=12)
    record.write(make_record(seed=12, results={**wrong.results, "mac_speedup": 9.0}), tmp_path)
    leaderboard.write(leaderboard.frame(record.read_all([tmp_path])[0]), tmp_path / "table.csv")
    found, count = leaderboard.validate_folders(tmp_path / "table.csv", [tmp_path])
    assert count == 13
    assert len(found) == 1
    assert "mac_speedup 9.0" in found[0]


def test_files_are_answered_in_turn_by_others(tmp_path, crowd):
    paths = [tmp_path / f"{number:02}" for number in range(20)]
    answers = list(parallel_reading.in_processes(process_of, paths))
    assert [path for path, _ in answers] == paths
    assert [name for _, (name, _) in answers] == [path.name for path in paths]
    assert os.getpid() not in {process for _, (_, process) in answers}


@pytest.mark.parametrize("reason", ["few files", "one core", "threads"])
def test_this_process_reads_where_others_would_not_help(tmp_path, crowd, monkeypatch, reason):
    if reason == "one core":
        monkeypatch.setattr(parallel_reading, "_usable_cores", lambda: 1)
    if reason == "threads":  # a fork would copy their locks, held
        monkeypatch.setattr(threading, "active_count", lambda: 2)
    paths = [tmp_path / str(number) for number in range(5 if reason == "few files" else 20)]
    assert {process for _, (_, process) in parallel_reading.in_processes(process_of, paths)} == {os.getpid()}


def test_a_process_that_was_ended_is_one_line(tmp_path, crowd):
    with pytest.raises(ExitbenchError, match="was ended"):
        list(parallel_reading.in_processes(partial(ended, parent=os.getpid()), [tmp_path] * 20))
