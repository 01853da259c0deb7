"""Train one stage with the Hugging Face Trainer: checkpoints, resuming, learning-rate schedule and loss."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DataCollator, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, TrainerControl, TrainerState
from transformers.trainer_utils import get_last_checkpoint

from benchmark.training.augment import flip_and_shift
from benchmark.training.gradient_projection import project_gradients, shared_parameters
from benchmark.training.length_groups import LengthGroups
from benchmark.training.losses import certainty_loss, trained_exits
from benchmark.training.recipe import Recipe
from benchmark.types import Batch, Sample
from benchmark.utils.files import atomic_write
from benchmark.utils.progress import track

SAVE_EVERY = 500  # steps, or an epoch if that is shorter
SECONDS_FILE = "seconds.json"  # in each checkpoint: training time so far, interruptions excluded


class TrainableExits(nn.Module):
    """An early-exit model as the Trainer expects it: the forward pass returns the loss.

    step: training step from 0; it selects one of the alternating losses. frozen_modules: stay in evaluation mode.
    """

    def __init__(self, model: Any, recipe: Recipe, frozen_modules: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.model, self.recipe, self.step = model, recipe, 0
        self.frozen_modules = tuple(frozen_modules)
        self.trained = [trained_exits(loss, model.num_exits) for loss in recipe.turns]

    def forward(self, labels: Tensor, lengths: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        inputs.pop("num_items_in_batch", None)  # added by the library
        turn = self.step % len(self.trained)
        # Detach untrained exits. Without a gradient, neither momentum nor weight decay changes their parameters.
        losses = [
            loss if on else loss.detach()
            for loss, on in zip(self._losses(Batch(inputs, lengths), labels), self.trained[turn], strict=True)
        ]
        join = self.recipe.turns[turn]
        *early, last = losses
        return {
            "loss": join(torch.stack(losses)),
            "early": join(torch.stack([*early, last.detach()])),
            "last": join(torch.stack([*(loss.detach() for loss in early), last])),
        }

    def _losses(self, batch: Batch, labels: Tensor) -> list[Tensor]:
        """The loss of each exit (E,), plus its certainty loss if the model has a certainty output."""
        classes, outputs = self.model.num_classes, list(self.model.exits(batch))
        losses = list(self.recipe.each([row[:, :classes] for row in outputs], labels, self.recipe.smoothing))
        if not getattr(self.model, "extra_columns", 0):
            return losses
        return [
            loss + self.recipe.certainty * certainty_loss(row[:, classes], row[:, :classes], labels)
            for loss, row in zip(losses, outputs, strict=True)
        ]

    def train(self, mode: bool = True) -> TrainableExits:
        super().train(mode)
        for module in self.frozen_modules:
            module.eval()
        return self

    @property
    def _keys_to_ignore_on_save(self) -> list[str]:
        """Duplicate names of shared tensors, which safetensors cannot store; the Trainer reads this when loading."""
        first = {name for name, _ in [*self.named_parameters(), *self.named_buffers()]}
        return [name for name in super().state_dict() if name not in first]

    def tie_weights(self) -> None:
        """Called by the Trainer after loading a file without those names; the tensors are shared already."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = super().state_dict(*args, **kwargs)
        for name in self._keys_to_ignore_on_save:
            del state[name]
        return state


class _IndexDataset(torch.utils.data.Dataset[int]):
    """Indices of a split; the collator fetches whole batches, which for images is one tensor operation."""

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


class _Trainer(Trainer):
    """Hugging Face Trainer with batches by length and gradient projection, if the recipe uses them.

    shared: parameters of both the last and earlier exits whose gradients are projected; empty without projection.
    """

    order: LengthGroups | None = None
    shared: Sequence[nn.Parameter] = ()
    reference: str = ""  # "early" or "last": the exits whose gradient is not projected

    def _get_train_sampler(self, train_dataset: object = None) -> torch.utils.data.Sampler[int] | None:
        if self.order is not None:
            return self.order
        return super()._get_train_sampler(cast(Any, train_dataset))

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        if not self.shared:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        parts = model(**self._prepare_inputs(inputs))
        other = "last" if self.reference == "early" else "early"
        self.accelerator.backward(parts[self.reference], retain_graph=True)
        reference = [value.clone() for value in self._shared_gradients()]
        self.accelerator.backward(parts[other])
        rest = [value - first for value, first in zip(self._shared_gradients(), reference, strict=True)]
        for value, gradient in zip(self.shared, project_gradients(reference, rest), strict=True):
            value.grad = gradient
        return parts["loss"].detach()

    def _shared_gradients(self) -> list[Tensor]:
        return [value.grad for value in self.shared if value.grad is not None]


class _ProgressCallback(TrainerCallback):
    """Sets the model's step, shows progress and stores the training time beside each checkpoint."""

    def __init__(self, exits: TrainableExits, description: str, before: float) -> None:
        self.exits, self.description = exits, description
        self.seconds, self.started = before, time.monotonic()

    def elapsed(self) -> float:
        """Training time in seconds, with that before the resumed checkpoint."""
        return self.seconds + time.monotonic() - self.started

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.bar = track(range(state.max_steps), self.description, unit="step")
        self.bar.update(state.global_step)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.exits.step = state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.bar.update()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        if logs and "loss" in logs:
            self.bar.set_postfix_str(f"loss {float(logs['loss']):.4f}", refresh=False)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        with atomic_write(
            Path(cast(str, args.output_dir)) / f"checkpoint-{state.global_step}" / SECONDS_FILE
        ) as temporary:
            temporary.write_text(json.dumps(self.elapsed()))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.bar.close()


def run_stage(
    model: Any,
    split: Sequence[Sample],
    recipe: Recipe,
    folder: Path,
    device: str,
    description: str,
    probe: Batch,
    frozen_modules: Sequence[nn.Module] = (),
) -> tuple[int, float]:
    """Train in place on all of `split`, from the last checkpoint in `folder` if there is one.

    probe: a small batch on the model's device; it finds the parameters that exits share.

    Returns the number of steps and the training time in seconds, with earlier calls that a checkpoint recorded.
    """
    per_epoch = math.ceil(len(split) / recipe.batch_size)
    steps = math.ceil(per_epoch * recipe.epochs)
    exits = TrainableExits(model, recipe, frozen_modules)
    trainer = _Trainer(
        model=exits,
        args=_arguments(recipe, folder, device, per_epoch, steps),
        train_dataset=_IndexDataset(len(split)),
        data_collator=cast(DataCollator, _collator(model, split, recipe)),
    )
    if recipe.by_length:
        trainer.order = LengthGroups(lengths(model, split), recipe.batch_size, recipe.seed)
    if recipe.project:
        trainer.shared = shared_parameters(model, probe)
        trainer.reference = "early" if recipe.project == "last" else "last"
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    progress = _ProgressCallback(exits, description, _seconds(last))
    trainer.add_callback(progress)
    trainer.remove_callback(PrinterCallback)
    finished = last is not None and int(last.rsplit("-", 1)[1]) >= steps
    trainer.train(resume_from_checkpoint=last)
    return steps, _seconds(last) if finished else progress.elapsed()


def _arguments(recipe: Recipe, folder: Path, device: str, per_epoch: int, steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=int(recipe.warmup * steps),
        lr_scheduler_type="cosine",
        seed=recipe.seed,
        save_strategy="steps",
        save_steps=min(per_epoch, SAVE_EVERY),
        save_total_limit=1,
        logging_steps=50,
        report_to=[],
        remove_unused_columns=False,
        disable_tqdm=True,  # replaced by our progress bar
        use_cpu=device == "cpu",
        dataloader_num_workers=0,
        dataloader_pin_memory=device != "cpu",
    )


def lengths(model: Any, split: Sequence[Sample]) -> list[int]:
    """Tokens of each sample after truncation; for images all lengths are equal and not computed."""
    if model.kind != "text":
        return [0] * len(split)
    chunks = track([split[n : n + 1000] for n in range(0, len(split), 1000)], "count tokens", unit="chunk")
    return [length for chunk in chunks for length in model.collate(chunk).lengths.tolist()]


def _seconds(checkpoint: str | None) -> float:
    path = Path(checkpoint or "") / SECONDS_FILE
    return float(json.loads(path.read_text())) if checkpoint and path.is_file() else 0.0
