"""Training a model's exits, on the transformers library's trainer: checkpoints, resume and bars are its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.augment import flip_and_shift
from benchmark.losses import exit_losses
from benchmark.types import Batch, Dataset, ExitbenchError, Sample


@dataclass(frozen=True)
class Recipe:
    """How to train: one pass over `epochs` of the train split; the last state is kept, nothing is selected.

    loss: per-exit mean losses (E,) -> scalar, one of `benchmark.losses`.
    shift: largest random shift of an image in pixels; flip: mirror half of them. Texts ignore both.
    """

    loss: Callable[[Tensor], Tensor]
    epochs: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float = 0.05
    smoothing: float = 0.0
    shift: int = 0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ExitbenchError(f"recipe.{name}: expected a number above 0, got {getattr(self, name)!r}")
        if not 0 <= self.warmup < 1:
            raise ExitbenchError(f"recipe.warmup: expected a share of the steps in [0, 1), got {self.warmup!r}")


class _Exits(nn.Module):
    """The model as the trainer wants it: tensors in, loss out."""

    def __init__(self, model: Any, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, labels: Tensor, lengths: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        logits = list(self.model.exits(Batch(inputs, lengths)))
        return {"loss": self.recipe.loss(exit_losses(logits, labels, self.recipe.smoothing))}


class _Positions(torch.utils.data.Dataset[int]):
    """Positions into a split; the collator fetches whole batches, which for images is one tensor operation."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, position: int) -> int:
        return position


def _collator(model: Any, split: Sequence[Sample], recipe: Recipe) -> Callable[[list[int]], dict[str, Tensor]]:
    def collate(positions: list[int]) -> dict[str, Tensor]:
        samples = [split[position] for position in positions]
        batch = model.collate(samples)
        inputs = batch.inputs
        if "pixels" in inputs:
            inputs = {"pixels": flip_and_shift(inputs["pixels"], recipe.shift, recipe.flip)}
        labels = torch.tensor([sample.label for sample in samples])
        return {**inputs, "labels": labels, "lengths": batch.lengths}

    return collate


def train(model: Any, dataset: Dataset, recipe: Recipe, folder: Path, device: str = "cpu", limit: int = 0) -> None:
    """Train in place; checkpoints go to `folder` after each epoch, and a killed run goes on from the last.

    limit: train on the first `limit` samples only; 0 for all.

    Raises:
        ExitbenchError: the dataset's kind or number of classes is not the model's.
    """
    from transformers import Trainer, TrainingArguments
    from transformers.trainer_utils import get_last_checkpoint

    check_fit(model, dataset)
    size = min(limit or len(dataset.train), len(dataset.train))
    steps = math.ceil(math.ceil(size / recipe.batch_size) * recipe.epochs)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=int(recipe.warmup * steps),
        lr_scheduler_type="cosine",
        seed=recipe.seed,
        save_strategy="epoch",
        save_total_limit=1,
        logging_steps=50,
        report_to=[],
        remove_unused_columns=False,
        use_cpu=device == "cpu",
        dataloader_num_workers=0,
        dataloader_pin_memory=device != "cpu",
    )
    trainer = Trainer(
        model=_Exits(model, recipe),
        args=arguments,
        train_dataset=_Positions(size),
        data_collator=_collator(model, dataset.train, recipe),  # type: ignore[arg-type]
    )
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    model.eval()


def check_fit(model: Any, dataset: Dataset) -> None:
    """Raise where a model cannot take a dataset.

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
