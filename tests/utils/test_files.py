"""Folders of a user's own: a record is known again only while they are as they were."""

import os

from benchmark.sweep.record_identity import local_folders
from benchmark.utils.files import folder_fingerprint


def test_a_changed_folder_is_another_folder(tmp_path):
    (tmp_path / "own").mkdir()
    file = tmp_path / "own" / "train.csv"
    file.write_text("text,label\na,0\n")
    before = folder_fingerprint(tmp_path / "own")
    assert folder_fingerprint(tmp_path / "own") == before
    file.write_text("text,label\nb,0\n")
    os.utime(file, ns=(1, 1))  # as long as before, and no clock is that coarse
    changed = folder_fingerprint(tmp_path / "own")
    (tmp_path / "own" / "more.csv").write_text("")
    assert len({before, changed, folder_fingerprint(tmp_path / "own")}) == 3


def test_only_folders_that_are_there_count(tmp_path):
    assert local_folders({"dataset": {"path": "nyu-mll/glue"}, "model": {"backbone": "minilm"}}) == {}
    assert set(local_folders({"dataset": {"path": str(tmp_path)}, "model": {}})) == {"dataset.path"}
