"""A training folder belongs to one training."""

import pytest

from benchmark.training.checkpoint_folder import bind_settings
from benchmark.types import ExitbenchError

SETTINGS = {"recipe": {"epochs": 2, "loss": [{"name": "a"}]}, "limit": 0}


def test_the_same_training_goes_on_and_another_is_refused(tmp_path):
    bind_settings(tmp_path / "run", SETTINGS)
    bind_settings(tmp_path / "run", {**SETTINGS})
    with pytest.raises(ExitbenchError, match=r"recipe\.epochs 2, got 3.*name="):
        bind_settings(tmp_path / "run", {**SETTINGS, "recipe": {"epochs": 3, "loss": [{"name": "a"}]}})
    with pytest.raises(ExitbenchError, match="with data 'absent'"):
        bind_settings(tmp_path / "run", {**SETTINGS, "data": "f"})


def test_checkpoints_from_before_there_were_notes_are_taken_on_trust(tmp_path):
    (tmp_path / "old" / "checkpoint-7").mkdir(parents=True)
    bind_settings(tmp_path / "old", SETTINGS)
    with pytest.raises(ExitbenchError, match="limit"):
        bind_settings(tmp_path / "old", {**SETTINGS, "limit": 5})
