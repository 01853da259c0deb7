"""A hand-edited CSV, a hand-edited record and one edited with a true hash are all caught; committed ones hold."""

import argparse
import json
from pathlib import Path

import pytest
from make_records import make_record, make_sweep

from benchmark.cli import leaderboard as command
from benchmark.records import leaderboard, record
from benchmark.records.consistency import contradictions
from benchmark.records.seal import sealed
from benchmark.utils.project_root import project_root


def asked(folder, **changes):
    facts = {"records": [str(folder / "records")], "out": str(folder / "lb.csv"), "table": "", "where": ""}
    return argparse.Namespace(**facts | {"validate": True} | changes)


@pytest.fixture
def swept(tmp_path):
    for one in make_sweep():
        record.write(one, tmp_path / "records")
    assert command.run(asked(tmp_path, validate=False)) == 0
    return tmp_path


def test_a_leaderboard_as_it_was_written_holds(swept, capsys):
    assert command.run(asked(swept)) == 0
    assert "every figure follows from its 8 records" in capsys.readouterr().out


def test_a_filtered_one_is_held_to_its_filter(swept, capsys):
    where = {"where": "model == 'dvt_fashion'"}
    assert command.run(asked(swept, validate=False, **where)) == 0
    assert command.run(asked(swept, **where)) == 0
    assert command.run(asked(swept)) == 1
    assert capsys.readouterr().out.count("not in the leaderboard") == 4


def test_an_edited_cell_is_named(swept, capsys):
    csv = swept / "lb.csv"
    csv.write_text(csv.read_text().replace(",0.92,", ",0.93,", 1))
    assert command.run(asked(swept)) == 1
    assert "accuracy is 0.93, expected 0.92" in capsys.readouterr().out


def test_a_hand_edited_record_is_named(swept, capsys):
    path = swept / "records" / f"{make_record().record_id}.json"
    path.write_text(path.read_text().replace('"mac_speedup": ', '"mac_speedup": 1', 1))
    assert command.run(asked(swept)) == 1
    said = capsys.readouterr().out
    assert "edited by hand?" in said
    assert f"{make_record().record_id}: in the leaderboard, not among the records" in said


def edit(folder, section, name, value):
    """A figure changed, and the hash made true again."""
    path = folder / "records" / f"{make_record(workload='same').record_id}.json"
    document = json.loads(path.read_bytes())
    del document["content_sha256"]
    document[section][name] = value
    body = ",\n".join(f" {json.dumps(key)}: {json.dumps(inner)}" for key, inner in document.items())
    path.write_bytes(sealed(body.encode() + b"\n}\n"))


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("results", "mean_exit_depth", 1.5),
        ("results", "mac_speedup", 9.0),
        ("results", "accuracy", {"value": 0.92, "stderr": 0.2, "n": 2000}),
        ("latency", "speedup", 9.0),
        ("latency", "canary", 1.0),
        ("latency", "latency_ms_p50", 0.1),
        ("latency", "unreliable", ["canary"]),
        ("raw", "early_wall_ms", [1.0] * 40),
    ],
)
def test_a_record_that_contradicts_itself_is_named(swept, capsys, section, name, value):
    edit(swept, section, name, value)
    assert command.run(asked(swept, validate=False)) == 0  # the leaderboard is written from it …
    assert command.run(asked(swept)) == 1  # … and does not hold
    assert "the record says" in capsys.readouterr().out


def test_observations_cut_short_are_named(swept, capsys):
    edit(swept, "raw", "early_wall_ms", [1.0] * 7)
    assert command.run(asked(swept)) == 1
    assert "cannot be computed again" in capsys.readouterr().out


COMMITTED = sorted(path for path in (project_root() / "results").glob("*/records") if path.is_dir())


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.parent.name)
def test_committed_records_hold_from_their_raw_observations(folder):
    found, problems = record.read_all([folder], raw=True)
    assert problems == []
    assert [line for one in found for line in contradictions(one)] == []


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.parent.name)
def test_committed_leaderboards_follow_from_their_records(folder):
    csv = Path(folder).parent / "leaderboard.csv"
    if csv.exists():
        assert leaderboard.validate_folders(csv, [folder])[0] == []
