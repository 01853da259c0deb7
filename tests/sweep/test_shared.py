"""Shared work is done once and reported; a crash ends one combination and not the sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_resume import differences, timeless
from warm import CONF

ONE = ["run", "-m", "--config-dir", CONF, "model=small_dvt", "limit=8", "timing.samples=0"]


def entries(folder, kind: str, suffix: str) -> int:
    return len(list((folder / kind).glob(f"*.{suffix}")))


def test_eight_profiles_share_one_attack_and_its_traces(warm):
    names = ",".join(f"profile_{number}" for number in range(8))
    command = warm.start(*ONE, "isolate=false", "policy.threshold=0.6", "workload=same_chunked",
                         f"hardware.name={names}", "records=profiles", "cache=cache-profiles")  # fmt: skip
    assert command.wait() == 0, command.output
    assert entries(warm.folder / "cache-profiles", "attacks", "json") == 1
    assert entries(warm.folder / "cache-profiles", "traces", "safetensors") == 3  # calibration, clean, attacked
    last = command.output.splitlines()[-1]
    assert last == ("exitbench: 8 combinations: 8 measured; reused: 21 traces of 322 samples, 7 attacks of 56 samples; "
                    "made: 3 traces of 46 samples, 1 attack of 8 samples")  # fmt: skip
    assert command.output.count("made: ") == 2  # the first combination's, and the total
    assert command.output.count("attack same of 8 samples") == 8


def test_eight_rules_share_one_trace_of_each_split(warm):
    thresholds = ",".join(f"0.{number}" for number in range(2, 10))
    command = warm.start(*ONE, "isolate=false", f"policy.threshold={thresholds}", "records=rules", "cache=cache-rules")
    assert command.wait() == 0, command.output
    assert entries(warm.folder / "cache-rules", "traces", "safetensors") == 2
    assert "reused: 14 traces of 266 samples; made: 2 traces of 38 samples" in command.output.splitlines()[-1]


def records_of(folder: Path) -> dict[str, dict]:
    """The records of a folder by their model."""
    records = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return {one["choices"]["model"]: one for one in records}


@pytest.fixture(scope="module")
def crashed(warm):
    """The words and the finished command of an isolated sweep, one of whose combinations crashes."""
    words = [*ONE, "model=crashing,small_dvt", "workload=same_chunked", "records=crashed", "cache=cache-crashed"]
    command = warm.start(*words)
    assert command.wait() == 1, command.output
    return words, command


def test_a_crash_is_a_failed_record_and_the_sweep_goes_on(warm, crashed):
    words, command = crashed
    by_model = records_of(warm.folder / "crashed")
    assert by_model["crashing"]["status"] == "failed"
    assert by_model["crashing"]["reasons"] == ["its process was killed by SIGSEGV"]
    assert by_model["small_dvt"]["status"] == "ok"
    assert "exitbench: 2 combinations: 1 measured, 1 failed" in command.output
    assert "exitbench: 1 combination(s) failed: model=crashing" in command.output
    again = warm.start(*words)
    assert again.wait() == 1  # what failed before is skipped, and still counted
    assert again.output.count("skip ") == 2
    assert "killed by SIGSEGV; retry=failed runs it again" in again.output


def test_a_record_does_not_depend_on_isolation(warm, crashed):
    words = [word for word in ONE if word != "-m"]
    command = warm.start(*words, "workload=same_chunked", "isolate=false", "records=together", "cache=cache-together")
    assert command.wait() == 0, command.output
    alone, together = (records_of(warm.folder / name)["small_dvt"] for name in ("crashed", "together"))
    assert alone["record_id"] == together["record_id"]
    assert differences(timeless(alone), timeless(together)) == []
    assert together["attack"]
