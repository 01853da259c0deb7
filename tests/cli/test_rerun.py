"""A record measured again agrees with itself, and a tampered one does not, although it is sealed again."""

import json
from dataclasses import replace

import pytest
from commands import refused
from warm import CONF

from benchmark.records import record as record_files
from benchmark.records.agreement import disagreements, figures


@pytest.fixture(scope="module")
def made(tmp_path_factory, warm):
    """Records of a small model, clean and attacked, untimed; and the surroundings they were made in."""
    folder = tmp_path_factory.mktemp("rerun")
    surroundings = {"cwd": folder, "EXITBENCH_CACHE": str(folder / "cache")}
    words = ["run", "-m", "--config-dir", CONF, "model=small_dvt", "workload=clean,same_quick", "limit=8",
             "timing.samples=0"]  # fmt: skip
    answer = warm.call(*words, **surroundings)
    assert answer.returncode == 0, answer.stderr
    return sorted((folder / "results" / "records").glob("*.json")), surroundings


def test_a_record_agrees_with_itself(made, warm):
    files, surroundings = made
    for file in files:
        answer = warm.call("rerun", str(file), "--config-dir", CONF, **surroundings)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "DIFFERS" not in answer.stdout
        assert answer.stdout.splitlines()[-1] == f"{file.stem}: agrees"


def test_a_tampered_record_differs(made, warm, tmp_path):
    files, surroundings = made
    sound = record_files.read(files[0])
    better = {**sound.results, "gmacs_mean": sound.results["gmacs_mean"] / 2}
    path = record_files.write(replace(sound, results=better), tmp_path)
    answer = warm.call("rerun", str(path), "--config-dir", CONF, **surroundings)
    assert answer.returncode == 1, answer.stderr
    assert "gmacs_mean" in answer.stdout.splitlines()[-1]


def test_a_broken_seal_and_a_missing_choice_are_one_line(made, warm, tmp_path):
    files, surroundings = made
    document = json.loads(files[0].read_text())
    (tmp_path / files[0].name).write_text(json.dumps(document))
    assert "content_sha256" in refused(warm.call("rerun", str(tmp_path / files[0].name), **surroundings))
    assert "small_dvt" in refused(warm.call("rerun", str(files[0]), **surroundings))


def test_intervals_are_judged_on_one_machine_only(made):
    record = record_files.read(made[0][0])
    timed = {"speedup": 2.0, "speedup_lo": 1.9, "speedup_hi": 2.1, "canary": 1.0, "canary_lo": 0.99, "canary_hi": 1.01}
    slower = {**timed, "speedup": 1.5, "speedup_lo": 1.4, "speedup_hi": 1.6}
    one, other = replace(record, latency=timed), replace(record, latency=slower)
    assert disagreements(figures(one, other)) == ["speedup (measured)"]
    elsewhere = replace(other, machine={**other.machine, "id": "another"})
    assert disagreements(figures(one, elsewhere)) == []
