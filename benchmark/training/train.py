"""Training a model's exits by a recipe, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.training.gradient_projection import balance_gradients, freeze_parameters
from benchmark.training.recipe import Recipe, Stages
from benchmark.types import Dataset, ExitbenchError, Sample

__all__ = ["Recipe", "Stage", "Stages", "check_fit", "train"]


@dataclass(frozen=True)
class Stage:
    """Result of one stage: its name ("" if it is the only one), steps and seconds, interruptions excluded."""

    name: str
    steps: int
    seconds: float


def train(
    model: Any, dataset: Dataset, recipe: Recipe | Stages, folder: Path, device: str = "cpu", limit: int = 0
) -> list[Stage]:
    """Train in place; checkpoints go to `folder`, and a killed run resumes from the last one in its stage.

    limit: train on the first `limit` samples only; 0 for all.

    Raises:
        ExitbenchError: the dataset's kind or number of classes is not the model's.
    """
    check_fit(model, dataset)
    split = dataset.train[: limit or None]
    done = []
    for number, (name, stage) in enumerate(recipe.stages.items(), 1):
        label = f"train {name} ({number} of {len(recipe.stages)})" if name else "train"
        done.append(Stage(name, *_stage(model, split, stage, folder / name, device, label)))
    model.eval()
    return done


def _stage(
    model: Any, split: Sequence[Sample], recipe: Recipe, folder: Path, device: str, label: str
) -> tuple[int, float]:
    from benchmark.training.trainer import run_stage

    probe = model.collate(split[:2]).to(str(next(model.parameters()).device))
    with ExitStack() as stack:
        frozen_modules = stack.enter_context(freeze_parameters(model, recipe.only, recipe.keep_last_exit, probe))
        if recipe.equilibrium:
            stack.enter_context(balance_gradients(model, probe))
        return run_stage(model, split, recipe, folder, device, label, probe, frozen_modules)


def check_fit(model: Any, dataset: Dataset) -> None:
    """Raise if a model does not fit a dataset.

    Raises:
        ExitbenchError: another kind of sample, or another number of classes.
    """
    if model.kind != dataset.kind:
        raise ExitbenchError(
            f"dataset: expected {model.kind} samples for this model, got {dataset.name} with {dataset.kind} samples"
        )
    if model.num_classes != dataset.num_classes:
        raise ExitbenchError(
            f"dataset: expected labels of {model.num_classes} classes, as the model has, "
            f"got {dataset.name} with {dataset.num_classes}; set model.num_classes or choose another dataset"
        )
