"""Record locks: one holder at a time, released when the holder dies, and leftovers of killed writers are removed."""

from __future__ import annotations

import os
import signal

import pytest

from benchmark.sweep.claims import FOLDER, claim
from benchmark.types import Unwritable
from benchmark.utils.files import remove_temporary_files


def holder(record) -> int:
    """A process that locks a record and then does nothing."""
    ready, signalled = os.pipe()
    pid = os.fork()
    if pid == 0:
        held = claim(record)
        os.write(signalled, b"1" if held else b"0")
        signal.pause()
    assert os.read(ready, 1) == b"1"
    os.close(ready)
    os.close(signalled)
    return pid


def test_a_lock_belongs_to_one_process_until_it_dies(tmp_path):
    record = tmp_path / "0123.json"
    pid = holder(record)
    assert claim(record) is None
    assert claim(tmp_path / "4567.json") is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    mine = claim(record)
    assert mine is not None  # the lock of a dead process is free at once
    mine.release()


def test_waiting_ends_when_the_holder_dies(tmp_path):
    record = tmp_path / "0123.json"
    pid = holder(record)
    os.kill(pid, signal.SIGKILL)
    waited = claim(record, wait=True)
    os.waitpid(pid, 0)
    assert waited is not None
    waited.release()


def test_a_new_holder_removes_leftovers_of_its_own_record_only(tmp_path):
    for name in (".0123.json.abc.json", ".4567.json.abc.json", "4567.json"):
        (tmp_path / name).write_text("{")
    held = claim(tmp_path / "0123.json")
    assert held is not None
    assert {file.name for file in tmp_path.iterdir()} == {FOLDER, ".4567.json.abc.json", "4567.json"}
    held.release()
    remove_temporary_files(tmp_path / "4567.json")
    assert {file.name for file in tmp_path.iterdir()} == {FOLDER, "4567.json"}


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match=r"records: cannot write in .*file.* choose a writable folder"):
        claim(tmp_path / "file" / "0123.json")
