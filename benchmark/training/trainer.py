"""One stage of training on the transformers library's trainer: checkpoints, resume and schedules are its own."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint

from benchmark.training.augment import flip_and_shift
from benchmark.training.gradient_projection import meeting, projected
from benchmark.training.length_groups import LengthGroups
from benchmark.training.losses import certainty_loss, taught
from benchmark.training.recipe import Recipe
from benchmark.types import Batch, Sample
from benchmark.utils.files import atomic_write
from benchmark.utils.progress import track

SAVE_EVERY = 500  # steps, or an epoch where that is shorter
SECONDS = "seconds.json"  # in each checkpoint: how long training has taken up to it, over all its parts


class TaughtExits(nn.Module):
    """The model as the trainer wants it: tensors in, loss out.

    step: from 0, set before each step; it says whose turn it is. asleep: modules that run as in evaluation.
    """

    def __init__(self, model: Any, recipe: Recipe, asleep: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.model, self.recipe, self.step = model, recipe, 0
        self.asleep = tuple(asleep)
        self.teaches = [taught(loss, model.num_exits) for loss in recipe.turns]

    def forward(self, labels: Tensor, lengths: Tensor, **inputs: Any) -> dict[str, Tensor]:
        inputs.pop("num_items_in_batch", None)  # the library's
        turn = self.step % len(self.teaches)
        # An exit that is not taught leaves the graph: with no gradient at all, neither momentum nor decay moves it.
        losses = [
            loss if on else loss.detach()
            for loss, on in zip(self._losses(Batch(inputs, lengths), labels), self.teaches[turn], strict=True)
        ]
        join = self.recipe.turns[turn]
        *early, last = losses
        return {
            "loss": join(torch.stack(losses)),
            "early": join(torch.stack([*early, last.detach()])),
            "last": join(torch.stack([*(loss.detach() for loss in early), last])),
        }

    def _losses(self, batch: Batch, labels: Tensor) -> list[Tensor]:
        """Each exit's own loss (E,), with that of its certainty where it yields one."""
        classes, yielded = self.model.num_classes, list(self.model.exits(batch))
        losses = list(self.recipe.each([row[:, :classes] for row in yielded], labels, self.recipe.smoothing))
        if not getattr(self.model, "extra_columns", 0):
            return losses
        return [
            loss + self.recipe.certainty * certainty_loss(row[:, classes], row[:, :classes], labels)
            for loss, row in zip(losses, yielded, strict=True)
        ]

    def train(self, mode: bool = True) -> TaughtExits:
        super().train(mode)
        for module in self.asleep:
            module.eval()
        return self

    @property
    def _keys_to_ignore_on_save(self) -> list[str]:
        """Second names of shared tensors, which a safetensors file cannot hold; the library asks when it loads one."""
        first = {name for name, _ in [*self.named_parameters(), *self.named_buffers()]}
        return [name for name in super().state_dict() if name not in first]

    def tie_weights(self) -> None:
        """Asked for by the library after it loaded a file without second names: they share their tensors anyway."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = super().state_dict(*args, **kwargs)
        for name in self._keys_to_ignore_on_save:
            del state[name]
        return state


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


class _Trainer(Trainer):
    """The library's, with our order of samples and our gradients where a recipe asks for them.

    shared: parameters on which the last exit's gradient and the earlier exits' meet; empty where they just add up.
    """

    order: LengthGroups | None = None
    shared: Sequence[nn.Parameter] = ()
    kept: str = ""  # "early" or "last": whose gradient stays whole

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return super()._get_train_sampler(train_dataset) if self.order is None else self.order

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        if not self.shared:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        parts = model(**self._prepare_inputs(inputs))
        other = "last" if self.kept == "early" else "early"
        self.accelerator.backward(parts[self.kept], retain_graph=True)
        kept = [value.grad.clone() for value in self.shared]  # type: ignore[union-attr]
        self.accelerator.backward(parts[other])
        rest = [value.grad - first for value, first in zip(self.shared, kept, strict=True)]  # type: ignore[operator]
        for value, slope in zip(self.shared, projected(kept, rest), strict=True):
            value.grad = slope
        return parts["loss"].detach()


class _Watch(TrainerCallback):
    """Tells the model its step, draws the bar, and leaves the seconds beside each checkpoint."""

    def __init__(self, exits: TaughtExits, description: str, before: float) -> None:
        self.exits, self.description = exits, description
        self.seconds, self.started = before, time.monotonic()

    def elapsed(self) -> float:
        """Seconds of this training, with those of earlier parts that a checkpoint kept."""
        return self.seconds + time.monotonic() - self.started

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar = track(range(state.max_steps), self.description, unit="step")
        self.bar.update(state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.exits.step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.bar.set_postfix_str(f"loss {float(logs['loss']):.4f}", refresh=False)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        with atomic_write(Path(args.output_dir) / f"checkpoint-{state.global_step}" / SECONDS) as temporary:
            temporary.write_text(json.dumps(self.elapsed()))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()


def run_stage(
    model: Any,
    split: Sequence[Sample],
    recipe: Recipe,
    folder: Path,
    device: str,
    description: str,
    probe: Batch,
    asleep: Sequence[nn.Module] = (),
) -> tuple[int, float]:
    """Train in place on all of `split`, from the last checkpoint in `folder` if there is one.

    probe: a small batch on the model's device, to see which parameters its exits share.

    Returns its steps, and its seconds: those of this call and of the earlier ones that its checkpoints kept.
    """
    per_epoch = math.ceil(len(split) / recipe.batch_size)
    steps = math.ceil(per_epoch * recipe.epochs)
    exits = TaughtExits(model, recipe, asleep)
    trainer = _Trainer(
        model=exits,
        args=_arguments(recipe, folder, device, per_epoch, steps),
        train_dataset=_Positions(len(split)),
        data_collator=_collator(model, split, recipe),  # type: ignore[arg-type]
    )
    if recipe.by_length:
        trainer.order = LengthGroups(lengths(model, split), recipe.batch_size, recipe.seed)
    if recipe.project:
        trainer.shared, trainer.kept = meeting(model, probe), "early" if recipe.project == "last" else "last"
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    watch = _Watch(exits, description, _seconds(last))
    trainer.add_callback(watch)
    trainer.remove_callback(PrinterCallback)
    finished = last is not None and int(last.rsplit("-", 1)[1]) >= steps
    trainer.train(resume_from_checkpoint=last)
    return steps, _seconds(last) if finished else watch.elapsed()


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
        disable_tqdm=True,  # our bar is drawn instead
        use_cpu=device == "cpu",
        dataloader_num_workers=0,
        dataloader_pin_memory=device != "cpu",
    )


def lengths(model: Any, split: Sequence[Sample]) -> list[int]:
    """Each sample's own tokens, as the model cuts and counts them; images are all alike and are not looked at."""
    if model.kind != "text":
        return [0] * len(split)
    chunks = track([split[n : n + 1000] for n in range(0, len(split), 1000)], "count tokens", unit="chunk")
    return [length for chunk in chunks for length in model.collate(chunk).lengths.tolist()]


def _seconds(checkpoint: str | None) -> float:
    path = Path(checkpoint or "") / SECONDS
    return float(json.loads(path.read_text())) if checkpoint and path.is_file() else 0.0
