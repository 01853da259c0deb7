"""The model card of a checkpoint in Markdown: command, data, recipe, and scores of all exits."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.types import Dataset
from benchmark.utils.files import atomic_write

if TYPE_CHECKING:
    from benchmark.training.train import Stage

PACKAGES = ("torch", "transformers", "peft", "accelerate")


def write_card(
    path: Path,
    name: str,
    command: str,
    dataset: Dataset,
    sha256: str,
    seconds: float,
    device: str,
    recipe: Mapping[str, object],
    exits: Sequence[Mapping[str, float]],
    stages: Sequence[str] = (),
) -> None:
    """Write the card to `path`.

    exits: calibration accuracy, test accuracy and GMACs of each exit, first to last. If the dataset's metric is not
    accuracy, also the test score. recipe: the settings of a recipe with one stage. stages: lines from `recipe_lines`,
    printed instead of the recipe.
    """
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    lines = [
        f"# {name}",
        "",
        "Made by, and made again by:",
        "",
        f"    {command}",
        "",
        f"- data: {dataset.name} (version {dataset.version}), {len(dataset.train):,} training samples, "
        f"fingerprint `{dataset.fingerprint}`",
        *(stages or [f"- recipe: {_listed(recipe)}"]),
        f"- training took {seconds / 60:.0f} minutes on {device}, which other work shared; {versions}",
        f"- weights: sha256 `{sha256}`",
        "- the last state was kept: no data chose among the states of this training; "
        "how the recipe came about is in its yaml",
        "",
        f"| exit | accuracy, calibration (n = {len(dataset.calibration):,}) "
        f"| accuracy, test (n = {len(dataset.test):,}) | mean GMACs (test) |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {depth} | {row['calibration']:.4f} | {row['test']:.4f} | {row['gmacs']:.5f} |"
        for depth, row in enumerate(exits, 1)
    ]
    if all("score" in row for row in exits):
        scores = ", ".join(f"{row['score']:.4f}" for row in exits)
        lines += ["", f"Test {dataset.metric}, the task's own metric, exit by exit: {scores}."]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def recipe_lines(recipe: Mapping[str, Any], stages: Sequence[Stage]) -> list[str]:
    """One line per stage: its settings, steps and seconds.

    recipe: the resolved configuration, with a mapping for each stage where there are several.
    stages: the results of `train.train`.
    """
    lines = []
    for stage in stages:
        name = f"stage {stage.name}" if stage.name else "recipe"
        settings = recipe[stage.name] if stage.name else recipe
        took = f"{stage.steps:,} steps in {stage.seconds:,.0f} s"
        named = {key: _named(value) for key, value in settings.items() if key not in ("_target_", "_partial_")}
        lines.append(f"- {name}: {_listed(named)}; {took}")
    return lines


def _named(node: object) -> object:
    """A configuration with functions replaced by their names."""
    if isinstance(node, Mapping) and "_partial_" in node:
        name = str(node["_target_"]).rsplit(".", 1)[-1]
        given = [f"{key} {value}" for key, value in node.items() if key not in ("_target_", "_partial_")]
        return f"{name} ({', '.join(given)})" if given else name
    if isinstance(node, Mapping):
        return {key: _named(value) for key, value in node.items() if key not in ("_target_", "_partial_")}
    return [_named(value) for value in node] if isinstance(node, list) else node


def _listed(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
