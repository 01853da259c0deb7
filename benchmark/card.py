"""The card beside a checkpoint: how it was made, from what, and what it reached, in Markdown."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.files import whole_file

PACKAGES = ("torch", "transformers", "peft", "accelerate")


def write_card(
    path: Path,
    name: str,
    command: str,
    dataset: Any,
    sha256: str,
    seconds: float,
    device: str,
    recipe: Mapping[str, object],
    exits: Sequence[Mapping[str, float]],
) -> None:
    """Write `path`; `exits` has calibration and test accuracy and GMACs of each exit, first to last."""
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
        f"- recipe: {', '.join(f'{key} {value}' for key, value in recipe.items())}",
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
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
