"""The folder of an unfinished training: whose it is, so that no other training goes on from its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

SETTINGS = "settings.json"


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Note in `folder` which training it holds; a folder that holds checkpoints without a note is taken on trust.

    Raises:
        ExitbenchError: it holds another training: the first setting that differs is named.
    """
    path = folder / SETTINGS
    now = flat(json.loads(json.dumps(settings)))
    if path.is_file():
        before = flat(json.loads(path.read_text()))
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


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {
        name: leaf
        for key, child in value.items()
        for name, leaf in flat(child, f"{prefix}.{key}" if prefix else str(key)).items()
    }
