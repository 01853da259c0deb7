"""Experiments made of other experiments: `parts:` in the yaml names them, and one command runs all of them in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.types import ExitbenchError

EXPERIMENT = "+experiment="


def expand_parts(overrides: Sequence[str], roots: Sequence[Path]) -> list[tuple[str, list[str]]]:
    """(part, its overrides) for each part of the chosen experiment; ("", overrides) where it has no parts.

    roots: folders laid out as conf/, the user's own before ours. Other overrides apply to every part.

    Raises:
        ExitbenchError: a part that does not exist or has parts of its own; settings beside `parts`, which would be
            ignored.
    """
    chosen = [word for word in overrides if word.startswith(EXPERIMENT)]
    parts = parts_of(chosen[0].removeprefix(EXPERIMENT), roots) if len(chosen) == 1 else []
    if not parts:
        return [("", list(overrides))]
    return [(part, [f"{EXPERIMENT}{part}" if word == chosen[0] else word for word in overrides]) for part in parts]


def parts_of(experiment: str, roots: Sequence[Path]) -> list[str]:
    """The parts of an experiment; empty where it is a sweep itself. Raises what `expand_parts` raises."""
    content = _read(experiment, roots)
    if content is None or "parts" not in content:
        return []
    parts = content["parts"]
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise ExitbenchError(f"experiment {experiment}: parts: expected a list of experiments, got {parts!r}")
    if beside := sorted(map(str, set(content) - {"parts"})):
        raise ExitbenchError(f"experiment {experiment}: expected parts alone, got {', '.join(beside)} beside them")
    for part in parts:
        if (inner := _read(part, roots)) is None:
            raise ExitbenchError(f"experiment {experiment}: parts: there is no experiment {part}; see exitbench ls")
        if "parts" in inner:
            raise ExitbenchError(f"experiment {experiment}: parts: expected sweeps, but {part} has parts of its own")
    return parts


def _read(experiment: str, roots: Sequence[Path]) -> dict[str, object] | None:
    """An experiment's yaml; None where it does not exist or cannot be read, which Hydra then reports."""
    import yaml

    for file in (root / "experiment" / f"{experiment}.yaml" for root in roots):
        if file.is_file():
            try:
                node = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                return None
            return node if isinstance(node, dict) else None
    return None
