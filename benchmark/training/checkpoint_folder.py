"""The checkpoint folder of one training: its settings are stored, so that no other training resumes from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

SETTINGS = "settings.json"


def bind_settings(folder: Path, settings: Mapping[str, object]) -> None:
    """Store the settings in `folder`, or compare them; a folder with checkpoints but no settings is accepted.

    Raises:
        ExitbenchError: it holds another training: the first setting that differs is named.
    """
    path = folder / SETTINGS
    now = flatten(json.loads(json.dumps(settings)))
    if path.is_file():
        before = flatten(json.loads(path.read_text()))
        differ = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if differ:
            key = differ[0]
            raise ExitbenchError(
                f"{folder}: expected the training begun there, with {key} {before.get(key, 'absent')!r}, got "
                f"{now.get(key, 'absent')!r}; give another name=, or delete the folder to start over"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1))


def flatten(value: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one mapping, keys joined by dots."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {
        name: leaf
        for key, child in value.items()
        for name, leaf in flatten(child, f"{prefix}.{key}" if prefix else str(key)).items()
    }
