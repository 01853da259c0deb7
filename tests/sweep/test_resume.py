"""Sweeps that are killed, that run at the same time, that find damaged records: the same records in the end."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from warm import CONF

from benchmark.records import record

SWEEP = ["run", "-m", "--config-dir", CONF, "model=small_dvt,small_bert", "workload=clean,same_chunked", "limit=12",
         "policy.threshold=0.6", "timing.samples=4", "timing.time_limit_s=0.4", "timing.worker=false",
         "isolate=false"]  # fmt: skip
COMBINATIONS = 4
KILLS = 10
DONE = "exitbench: 4 combinations"  # the sweep's last line
# Fields of a timed record that depend on the clock.
CLOCKED = (
    "created",
    "latency",
    "raw",
    "status",
    "reasons",
    "audit",
    "mac_speedup_timed",
    "noise_before",
    "noise_after",
)
# Fields of any record that depend on the clone, the machine and the cache.
ENVIRONMENT = ("content_sha256", "git_commit", "git_dirty", "from_cache", "noise_before", "noise_after")


def read_folder(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The records of a folder without fields that vary, and what is wrong in the folder."""
    records, problems = record.read_all([folder])
    return {one.record_id: timeless(json.loads((folder / f"{one.record_id}.json").read_text())) for one in records}, [
        *problems,
        *(f"{path}: left over" for path in folder.glob(".*.json")),
    ]


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        left = (*CLOCKED, *ENVIRONMENT)
        return {key: timeless(inner) for key, inner in value.items() if key not in left and "second" not in key}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """One line for each difference between two values."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted(left.keys() | right.keys())
        return [line for key in keys for line in differences(left.get(key), right.get(key), f"{path}.{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{path}.{number}")]
    return [] if left == right else [f"{path}: {left!r:.80} and {right!r:.80}"]


@pytest.fixture(scope="module")
def undisturbed(warm):
    """The sweep's seconds and records when nothing disturbs it."""
    begun = time.monotonic()
    command = warm.start(*SWEEP, "records=undisturbed", "cache=cache-undisturbed")
    assert command.wait() == 0, command.output
    records, problems = read_folder(warm.folder / "undisturbed")
    assert len(records) == COMBINATIONS
    assert problems == []
    return time.monotonic() - begun, records


def test_a_sweep_killed_at_ten_random_moments_ends_with_the_same_records(warm, undisturbed):
    seconds, expected = undisturbed
    draw, folder = random.Random(20260711), warm.folder / "killed"
    words = [*SWEEP, "records=killed", "cache=cache-killed"]
    finished: set[str] = set()
    for number in range(KILLS):
        command = warm.start(*words)
        if number % 5:  # every fifth kill may hit the start itself
            command.said("run  ", DONE)
        moment = draw.uniform(0, 0.3 * seconds)
        time.sleep(moment)
        status = command.kill()
        found, problems = read_folder(folder) if folder.is_dir() else ({}, [])
        problems = [line for line in problems if "left over" not in line]  # a killed write leaves its temporary
        under_way = [line for line in command.output.replace("\r", "\n").splitlines() if line.strip()][-1:]
        print(f"kill {number + 1}: {moment:.2f} s in, exit {status}, {len(found)} records kept; under way: {under_way}")
        assert problems == []
        assert finished <= set(found)  # nothing finished is ever lost
        assert [line for one in found for line in differences(expected[one], found[one], one)] == []
        finished = set(found)
        if DONE in command.output:  # too quick for ten kills: from the start again
            shutil.rmtree(folder)
            finished = set()
    command = warm.start(*words)
    assert command.wait() == 0, command.output
    found, problems = read_folder(folder)
    assert differences(expected, found) == problems == []
    assert command.output.count("skip ") == len(finished)


def test_a_writer_in_place_would_be_caught(tmp_path, undisturbed, warm):
    """The double of a writer that does not replace files whole: what a kill leaves is reported by name."""
    shutil.copytree(warm.folder / "undisturbed", tmp_path / "records")
    victim = sorted((tmp_path / "records").glob("*.json"))[0]
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    found, problems = read_folder(tmp_path / "records")
    assert len(found) == COMBINATIONS - 1
    assert len(problems) == 1
    assert str(victim) in problems[0]


def test_a_figure_that_moved_would_be_caught(undisturbed):
    _, records = undisturbed
    one, other = (json.loads(json.dumps(records)) for _ in range(2))
    name = next(iter(other))
    other[name]["results"]["mean_exit_depth"] += 1e-6
    (line,) = differences(one, other)
    assert line.startswith(f".{name}.results.mean_exit_depth: ")
    del other[name]
    assert len(differences(one, other)) == 1


def test_a_leftover_of_a_killed_write_would_be_caught(tmp_path):
    (tmp_path / ".0123.json.abc.json").write_text("{")
    assert read_folder(tmp_path)[1] == [f"{tmp_path / '.0123.json.abc.json'}: left over"]


UNSOUND = {
    "cut short": lambda content: content[: len(content) // 2],
    "edited by hand": lambda content: content.replace(b'"mac_speedup": ', b'"mac_speedup": 1'),
    "not an exitbench record": lambda content: b'{"name": "someone else"}',
}


def test_a_damaged_record_is_named_set_aside_and_measured_again(warm, undisturbed):
    folder = warm.folder / "mended"
    shutil.copytree(warm.folder / "undisturbed", folder)
    spoilt = {}
    for path, (says, spoil) in zip(sorted(folder.glob("*.json")), UNSOUND.items(), strict=False):
        content = spoil(path.read_bytes())
        path.write_bytes(content)
        spoilt[path] = (says, content)
    (folder / "notes.json").write_text("[1, 2]")
    command = warm.start(*SWEEP, "records=mended", "cache=cache-undisturbed")
    assert command.wait() == 0, command.output
    lines = [line for line in command.output.splitlines() if line.startswith("mend ")]
    assert len(lines) == len(spoilt)
    for path, (says, content) in spoilt.items():
        (line,) = [line for line in lines if path.name in line]
        assert says in line
        assert path.with_name(f"{path.name}.unsound").read_bytes() == content
    board = warm.start("leaderboard", "--records", "mended", "--out", "mended.csv")
    assert board.wait() == 0
    assert "left out: mended/notes.json: not an exitbench record" in board.output
    (folder / "notes.json").unlink()
    found, problems = read_folder(folder)
    assert differences(undisturbed[1], found) == problems == []


def test_two_sweeps_into_one_folder_share_the_work(warm, undisturbed):
    words = [*SWEEP, "records=shared", "cache=cache-shared", "timing.samples=0"]
    both = [warm.start(*words), warm.start(*words)]
    assert [one.wait() for one in both] == [0, 0], both[0].output + both[1].output
    begun = [line for one in both for line in one.output.splitlines() if line.startswith("run  ")]
    assert len(begun) == COMBINATIONS
    made = [line for one in both for line in one.output.splitlines() if "made: attack" in line]
    assert len(made) == 2  # one for each model
    found, problems = read_folder(warm.folder / "shared")
    assert len(found) == COMBINATIONS
    assert problems == []


def test_a_record_does_not_depend_on_its_folder_or_on_the_command(warm):
    words = ["run", "--config-dir", CONF, "model=small_dvt", "limit=8", "timing.samples=0", "workload=same_chunked"]
    for name, more in (("here", []), ("there", ["force=true", "isolate=false", "retry=failed"])):
        place = warm.folder / "far" / name
        command = warm.start(*words, *more, f"records={place / 'records'}", f"cache={place / 'cache'}")
        assert command.wait() == 0, command.output
    here, there = (list((warm.folder / "far" / name / "records").glob("*.json")) for name in ("here", "there"))
    assert [path.name for path in here] == [path.name for path in there]
    one, other = (timeless(json.loads(path.read_text())) for path in (*here, *there))
    assert differences(one, other) == []
    assert "far" not in here[0].read_text()
    assert one["config"]["batch_size"] == 64
    assert differences(one, {**other, "config": {**other["config"], "records": "there"}}) != []  # it would be seen
