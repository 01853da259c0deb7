"""A full disk or a folder that cannot be written: one line, exit code 2, no half-written file, nothing more started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from warm import CONF

from benchmark.sweep import job as point
from benchmark.types import Unwritable
from benchmark.utils.files import atomic_write, is_disk_full

FULL = Path("/dev/full")
SMALL = ["run", "-m", "--config-dir", CONF, "model=small_dvt", "policy.threshold=0.3,0.6", "limit=8",
         "timing.samples=0", "isolate=false"]  # fmt: skip


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
def test_a_full_device_is_one_line_and_leaves_nothing(tmp_path):
    says = r"cannot write .*a\.json: No space left on device; is the disk full\?"
    with pytest.raises(Unwritable, match=says), atomic_write(tmp_path / "a.json"):
        FULL.write_text("more than there is room for")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", ["json", "safetensors"])
def test_a_write_beyond_what_fits_leaves_the_old_file(tmp_path, writer):
    """In a real process that may write 4 KB: the errors that Python and safetensors raise."""
    (tmp_path / "a.json").write_text("old")
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from pathlib import Path
from benchmark.utils.files import atomic_write
from benchmark.types import Unwritable
try:
    with atomic_write(Path("a.json")) as temporary:
        if {writer!r} == "json":
            temporary.write_text("x" * 5000)
        else:
            import numpy
            from safetensors.numpy import save_file
            save_file({{"x": numpy.zeros(5000)}}, temporary)
except Unwritable as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert "cannot write a.json: " in answer.stdout, answer.stderr
    assert answer.stdout.endswith("is the disk full?\n")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_other_errors_are_not_taken_for_a_full_disk():
    assert is_disk_full(OSError(28, "No space left on device"))
    assert is_disk_full(RuntimeError("I/O error: File too large (os error 27)"))
    assert not is_disk_full(OSError(2, "No such file"))
    assert not is_disk_full(RuntimeError("os error 2"))
    assert not is_disk_full(ValueError("no space"))


def test_a_sweep_stops_at_a_full_disk(monkeypatch):
    """The first combination that cannot be written is the last one started, and does not count as failed."""
    started = []

    def full(self):
        started.append(self)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(point._Job, "outcome", full)
    monkeypatch.setattr(point, "stopped", [])
    cfg = SimpleNamespace(isolate=False, cache=None)
    for _ in range(3):
        with pytest.raises(Unwritable, match="No space left on device; is a disk full"):
            point.run_combination(cfg)
    assert len(started) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["records=file/records"],
        ["hydra.sweep.dir=file/sweeps"],
        ["cache=file/cache"],
        ["cache=file/cache", "isolate=auto"],
    ],
)
def test_what_cannot_be_written_is_one_line_and_exit_2(warm, words):
    (warm.folder / "file").write_text("")
    command = warm.start(*SMALL, *words)
    assert command.wait() == 2, command.output
    assert "Traceback" not in command.output
    said = [line for line in command.output.splitlines() if line.startswith("exitbench: ")]
    assert len(said) == 1, command.output
    assert "file" in said[0]
    assert "writable folder" in said[0]
    assert "measured" not in command.output


def test_records_that_no_longer_fit_stop_the_sweep(warm):
    """The traces of a real sweep still fit, the records do not; with space again the same command completes it."""
    command = warm.start(*SMALL, "records=tight", limit_file_bytes=8192)
    assert command.wait() == 2, command.output
    said = [line for line in command.output.splitlines() if line.startswith("exitbench: ")]
    assert len(said) == 1, command.output
    assert "is the disk full?" in said[0]
    assert command.output.count("run  ") == 1
    assert list((warm.folder / "tight").glob("*.json")) == []
    assert list((warm.folder / "tight").glob(".*.json")) == []
    again = warm.start(*SMALL, "records=tight")
    assert again.wait() == 0, again.output
    assert len(list((warm.folder / "tight").glob("*.json"))) == 2
