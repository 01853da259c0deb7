"""Projected gradient descent (PGD) on pixels: an L∞ or L2 ball around each image in [0, 1], before normalisation."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.attacks import forward
from benchmark.attacks.pixels import projected_gradient
from benchmark.attacks.pixels.norm_balls import BALLS
from benchmark.attacks.pixels.projected_gradient import ProjectedGradient
from benchmark.types import (
    EarlyExitModel,
    ExitbenchError,
    Finished,
    ImageSample,
    Objective,
    Perturbed,
    Policy,
    unwatched,
)
from benchmark.utils import checks

DIRECTIONS = ("gradient", "random")


@dataclass(frozen=True)
class PixelSearch:
    """PGD that keeps the deepest image found, the lower loss breaking ties, and stops a sample at full depth.

    epsilon: radius; in `linf` the largest change of a pixel, in `l2` the norm of the whole change, pixels in [0, 1].
    step: step size in the same norm; its schedule is constant or falls to 0 along a `cosine`. Each of the `restarts`
    starts at a random point within one step of the image.
    keep: the `deepest` image; the image of lowest `loss` over all iterations, for attacks on accuracy; or the `last`
    iterate, as in DeepSloth's released loop. direction: the objective's gradient, or random steps at the same budget.
    A sample costs at most 1 + restarts × (iterations + 1) forward passes; one already at full depth costs one.
    Source: DeepSloth (arXiv 2010.02432) for the loop and its settings, SAME (arXiv 2305.12228) for the objective.
    """

    epsilon: float = 8 / 255
    norm: str = "linf"
    step: float = 0.002
    schedule: str = "constant"
    iterations: int = 30
    restarts: int = 1
    keep: str = "deepest"
    batch_size: int = 64
    direction: str = "gradient"
    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        checks.choice("search.norm", self.norm, BALLS)
        check = checks.share if self.norm == "linf" else checks.positive
        check("search.epsilon", self.epsilon)
        check("search.step", self.step)
        checks.choice("search.schedule", self.schedule, projected_gradient.SCHEDULES)
        checks.whole_number("search.iterations", self.iterations, 1)
        checks.whole_number("search.restarts", self.restarts, 1)
        checks.choice("search.keep", self.keep, projected_gradient.KEEP_CHOICES)
        checks.whole_number("search.batch_size", self.batch_size, 1)
        checks.choice("search.direction", self.direction, DIRECTIONS)

    def run(
        self,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        samples: Sequence[ImageSample],
        seed: int,
        finished: Finished = unwatched,
    ) -> Perturbed:
        """The best image found for each of `samples`; each has its own random stream by (seed, index)."""
        attacked: list[ImageSample] = []
        facts: dict[str, list[float]] = {}
        trails: list[list[tuple[int, int]]] = []
        for start in range(0, len(samples), self.batch_size):
            chunk = samples[start : start + self.batch_size]
            pixels, columns, trail = self._batch(model, policy, objective, chunk, seed)
            attacked += [ImageSample(s.index, s.label, p) for s, p in zip(chunk, pixels, strict=True)]
            trails += trail
            for name, column in columns.items():
                facts.setdefault(name, []).extend(column)
            for before, after in zip(columns["depth_before"], columns["depth_after"], strict=True):
                finished(int(before), int(after))
        return Perturbed(attacked, facts, trails=trails)

    def _batch(
        self, model: EarlyExitModel, policy: Policy, objective: Objective, samples: Sequence[ImageSample], seed: int
    ) -> tuple[list[Tensor], dict[str, list[float]], list[list[tuple[int, int]]]]:
        """Attacked pixels, per-sample columns and trails of one batch."""
        began = time.perf_counter()
        device, dtype = forward.device_and_dtype(model)
        batch = model.collate(samples).to(device)
        clean = batch.inputs["pixels"]  # (b, channels, H, W)
        if clean.shape[1:] != samples[0].pixels.shape:
            raise ExitbenchError(
                f"model.collate: expected pixels of the sample's shape {tuple(samples[0].pixels.shape)}, "
                f"got {tuple(clean.shape[1:])}; resize in the dataset, pad in the network"
            )
        pgd = ProjectedGradient(self, model, policy, objective, batch, dtype)
        pgd.run([random.Random(f"{seed}/{sample.index}") for sample in samples])
        change = (pgd.best - clean).flatten(1).double().abs()  # (b, channels·H·W)
        columns = {
            "queries": pgd.queries,
            "seconds": (time.perf_counter() - began) * pgd.queries / pgd.queries.sum(),
            "changed": change.amax(1),
            "changed_l2": change.norm(dim=1),
            "changed_mse": (change**2).mean(1),
            "share_changed": (change > 0).double().mean(1),
            "depth_before": pgd.depth_before,
            "depth_after": pgd.depth,
            "prediction_kept": pgd.answer == pgd.answers,
        }
        plain = {name: column.double().tolist() for name, column in columns.items()}
        return list(pgd.best.cpu()), plain, pgd.trails
