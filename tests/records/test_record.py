"""Records survive the disk, and nothing that is not a sound record passes for one."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from make_records import make_failed, make_record

from benchmark.records import record
from benchmark.types import ExitbenchError


def test_round_trip_keeps_everything(tmp_path):
    for one in (make_record(), make_record(workload="same"), make_record(latency={}, seed=1), make_failed()):
        path = record.write(one, tmp_path)
        assert path == tmp_path / f"{one.record_id}.json"
        assert record.read(path) == one
        assert json.loads(path.read_text())["schema_version"] == record.SCHEMA_VERSION


def test_reading_without_raw_leaves_out_observations_only(tmp_path):
    one = make_record()
    light = record.read(record.write(one, tmp_path), raw=False)
    assert "early_wall_ms" in one.latency
    assert "early_wall_ms" not in light.latency
    assert light.latency == {key: one.latency[key] for key in light.latency}
    assert replace(light, latency=one.latency) == one


def test_tuples_and_numpy_numbers_become_plain(tmp_path):
    one = make_record(config={"sizes": (np.int64(3), np.float32(0.5)), "threshold": math.inf, "folder": tmp_path})
    config = record.read(record.write(one, tmp_path)).config
    assert config == {"sizes": [3, 0.5], "threshold": "inf", "folder": str(tmp_path)}


def test_id_is_stable_and_sensitive():
    identity = {"model": "dvt", "policy": {"threshold": 0.5, "patience": 3}}
    known = record.record_id(identity)
    canonical = b'{"model":"dvt","policy":{"patience":3,"threshold":0.5}}'
    assert known == hashlib.sha256(canonical).hexdigest()[:16]
    assert known == record.record_id({"policy": {"patience": 3.0, "threshold": 0.5}, "model": "dvt"})
    assert known != record.record_id({"model": "dvt", "policy": {"threshold": 0.5, "patience": 4}})
    assert known != record.record_id({**identity, "extra": None})
    assert record.record_id({"flag": True}) != record.record_id({"flag": 1})


@pytest.mark.parametrize("bad", [math.nan, math.inf, np.float64("nan")])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path, bad):
    one = make_record()
    spoilt = replace(one, curve=[{**one.curve[0], "accuracy": bad}])
    with pytest.raises(ExitbenchError, match=r"curve\.0\.accuracy"):
        record.write(spoilt, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nan_is_refused_in_an_identity_too():
    with pytest.raises(ExitbenchError, match=r"identity\.x"):
        record.record_id({"x": math.nan})


def spoil_results(**changes):
    return {**make_record().results, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "fine"}, "expected one of ok, unreliable, failed"),
        ({"status": "unreliable", "reasons": []}, "why the record is unreliable"),
        ({"choices": {"model": "dvt"}}, r"choices\.dataset: expected a text, got nothing"),
        ({"machine": {}}, r"machine\.id"),
        ({"config": []}, "config: expected a section"),
        ({"results": spoil_results(mac_speedup="2")}, r"results\.mac_speedup: expected a number, got '2'"),
        ({"results": spoil_results(mac_speedup=True)}, r"results\.mac_speedup"),
        ({"results": spoil_results(exit_histogram=[1, 2, 3])}, "3 counts, one per exit, that sum to data.n = 2000"),
        ({"latency": {"speedup": 2.0}}, r"latency\.speedup_lo"),
        ({"curve": [{"threshold": 0.5}]}, r"curve\.0\.accuracy"),
    ],
)
def test_the_schema_names_the_first_problem(changes, words):
    with pytest.raises(ExitbenchError, match=words):
        record.Record(**{**vars(make_record()), **changes})


def truncate(path):
    path.write_bytes(path.read_bytes()[:-300])


def edit(path):
    text = path.read_text()
    assert '"mac_speedup": ' in text
    path.write_text(text.replace('"mac_speedup": ', '"mac_speedup": 1'))


def edit_raw(path):
    text = path.read_text()
    path.write_text(text.replace('"early_wall_ms": [', '"early_wall_ms": [1.5, '))


def reformat(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "unreliable"}))


def from_the_future(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))


UNSOUND = {
    "empty": (lambda path: path.write_bytes(b""), "not whole JSON"),
    "truncated": (truncate, "cut short"),
    "half-written": (lambda path: path.write_bytes(path.read_bytes()[:40]), "cut short"),
    "hand-edited": (edit, "edited by hand"),
    "raw edited": (edit_raw, "edited by hand"),
    "reformatted": (reformat, "edited by hand"),
    "foreign": (lambda path: path.write_text('{"name": "someone else"}'), "not an exitbench record"),
    "foreign list": (lambda path: path.write_text("[1, 2]"), "not an exitbench record"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not whole JSON"),
    "newer": (from_the_future, "expected 1, got 99"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_files_are_named_and_left_out(tmp_path, case):
    spoil, words = UNSOUND[case]
    sound, victim = make_record(seed=1), make_record(seed=2)
    record.write(sound, tmp_path)
    path = record.write(victim, tmp_path)
    spoil(path)
    records, problems = record.read_all([tmp_path])
    assert [one.record_id for one in records] == [sound.record_id]
    assert len(problems) == 1
    assert str(path) in problems[0]
    assert words in problems[0]
    assert "\n" not in problems[0]
    assert not record.exists(victim.record_id, tmp_path)


def test_an_unsound_file_is_set_aside_and_never_overwritten(tmp_path):
    one = make_record()
    path = record.write(one, tmp_path)
    edit(path)
    edited = path.read_bytes()
    record.write(one, tmp_path)
    assert record.read(path) == one
    assert path.with_name(f"{path.name}.unsound").read_bytes() == edited
    assert record.read_all([tmp_path])[1] == []


def test_a_sound_record_stands_unless_forced(tmp_path):
    first = make_record()
    second = replace(first, created="2027-01-01T00:00:00+00:00")
    path = record.write(first, tmp_path)
    record.write(second, tmp_path)
    assert record.read(path) == first
    record.write(second, tmp_path, force=True)
    assert record.read(path) == second


def test_a_crash_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    first = make_record()
    path = record.write(first, tmp_path)

    def half(self, content):
        with self.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        record.write(replace(first, created=record.utc_now()), tmp_path, force=True)
    assert record.read(path) == first
    assert list(tmp_path.iterdir()) == [path]


def test_a_renamed_record_is_reported(tmp_path):
    path = record.write(make_record(), tmp_path)
    path.rename(tmp_path / "copy.json")
    records, problems = record.read_all([tmp_path])
    assert records == []
    assert "renamed" in problems[0]


def test_folders_of_several_machines_meet(tmp_path):
    here, there = make_record(machine="here"), make_record(machine="there")
    later = replace(here, created="2027-01-01T00:00:00+00:00")
    record.write(here, tmp_path / "a")
    for one in (later, there):
        record.write(one, tmp_path / "b")
    record.write(there, tmp_path / "c")
    records, problems = record.read_all([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert {one.record_id: one.created for one in records} == {one.record_id: one.created for one in (later, there)}
    assert len(problems) == 1
    assert "the later one counts" in problems[0]


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(ExitbenchError, match="not there"):
        record.read_all([tmp_path / "nowhere"])


def test_line_ends_of_another_system_are_no_edit(tmp_path):
    one = make_record()
    path = record.write(one, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert record.read(path) == one


def test_files_can_be_read_by_people(tmp_path):
    lines = record.write(make_record(), tmp_path).read_text().splitlines()
    assert ' "status": "ok",' in lines
    assert len(lines) > 50
    assert all(len(line) < 200 or line.lstrip().startswith('"') for line in lines)
