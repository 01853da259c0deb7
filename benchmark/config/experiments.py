"""Experiments made of others: `parts:` in an experiment's yaml names them, and one command runs all in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.types import ExitbenchError

CHOSEN = "+experiment="


def expanded(overrides: Sequence[str], roots: Sequence[Path]) -> list[tuple[str, list[str]]]:
    """(part, its overrides) of each part of the experiment that is asked for; ("", overrides) where it has none.

    roots: folders laid out as conf/, one's own before ours. Other overrides go to every part.

    Raises:
        ExitbenchError: a part that is not there or has parts of its own; settings beside `parts`, which nobody would
            read.
    """
    chosen = [word for word in overrides if word.startswith(CHOSEN)]
    parts = named(chosen[0].removeprefix(CHOSEN), roots) if len(chosen) == 1 else []
    if not parts:
        return [("", list(overrides))]
    return [(part, [f"{CHOSEN}{part}" if word == chosen[0] else word for word in overrides]) for part in parts]


def named(experiment: str, roots: Sequence[Path]) -> list[str]:
    """The experiments that one is made of, none where it is a sweep by itself; errors as `expanded` says."""
    read = _read(experiment, roots)
    if read is None or "parts" not in read:
        return []
    parts = read["parts"]
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise ExitbenchError(f"experiment {experiment}: parts: expected a list of experiments, got {parts!r}")
    if beside := sorted(map(str, set(read) - {"parts"})):
        raise ExitbenchError(f"experiment {experiment}: expected parts alone, got {', '.join(beside)} beside them")
    for part in parts:
        if (inner := _read(part, roots)) is None:
            raise ExitbenchError(f"experiment {experiment}: parts: there is no experiment {part}; see exitbench ls")
        if "parts" in inner:
            raise ExitbenchError(f"experiment {experiment}: parts: expected sweeps, but {part} has parts of its own")
    return parts


def _read(experiment: str, roots: Sequence[Path]) -> dict | None:
    """An experiment's yaml; None where there is none, or none that can be read, of which Hydra says more."""
    import yaml

    for file in (root / "experiment" / f"{experiment}.yaml" for root in roots):
        if file.is_file():
            try:
                node = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                return None
            return node if isinstance(node, dict) else None
    return None
