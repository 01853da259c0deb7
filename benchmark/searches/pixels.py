"""Pixel search: projected sign-gradient steps in an L∞ ball around each image, in [0, 1] before normalisation."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark import checks, decide, forward
from benchmark.types import (
    Batch,
    EarlyExitModel,
    ExitbenchError,
    Finished,
    ImageSample,
    Objective,
    Perturbed,
    Policy,
    unwatched,
)

DIRECTIONS = ("gradient", "random")


@dataclass(frozen=True)
class PixelSearch:
    """L∞ search that keeps the deepest image found, ties by the lower loss, and stops a sample at full depth.

    epsilon, step: fractions of the pixel range. direction: the objective's gradient, or random signs at the same
    budget of forwards. A sample costs at most iterations + 2 forwards; one already at full depth costs one.
    Source: DeepSloth (arXiv 2010.02432) for the loop and its settings, SAME (arXiv 2305.12228) for the objective.
    """

    epsilon: float = 8 / 255
    step: float = 0.002
    iterations: int = 30
    batch_size: int = 64
    direction: str = "gradient"
    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        checks.share("search.epsilon", self.epsilon)
        checks.share("search.step", self.step)
        checks.whole_number("search.iterations", self.iterations, 1)
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
        """The most expensive image found for each of `samples`; each has its own random stream by (seed, index)."""
        found: list[ImageSample] = []
        facts: dict[str, list[float]] = {}
        for start in range(0, len(samples), self.batch_size):
            part = samples[start : start + self.batch_size]
            pixels, columns = self._batch(model, policy, objective, part, seed)
            found += [ImageSample(s.index, s.label, p) for s, p in zip(part, pixels, strict=True)]
            for name, column in columns.items():
                facts.setdefault(name, []).extend(column)
            for before, after in zip(columns["depth_before"], columns["depth_after"], strict=True):
                finished(int(before), int(after))
        return Perturbed(found, facts)

    def _batch(
        self, model: EarlyExitModel, policy: Policy, objective: Objective, samples: Sequence[ImageSample], seed: int
    ) -> tuple[list[Tensor], dict[str, list[float]]]:
        """Found pixels and fact columns of one batch."""
        began = time.perf_counter()
        device, dtype = forward.place_of(model)
        batch = model.collate(samples).to(device)
        clean = batch.inputs["pixels"]  # (b, channels, H, W)
        if clean.shape[1:] != samples[0].pixels.shape:
            raise ExitbenchError(
                f"model.collate: expected pixels of the sample's shape {tuple(samples[0].pixels.shape)}, "
                f"got {tuple(clean.shape[1:])}; resize in the dataset, pad in the network"
            )
        draws = [random.Random(f"{seed}/{sample.index}") for sample in samples]
        climb = _Climb(self, model, policy, objective, batch, dtype)
        climb.run(draws)
        change = (climb.best - clean).flatten(1).abs()  # (b, channels·H·W)
        seconds = (time.perf_counter() - began) * climb.queries / climb.queries.sum()
        columns = {
            "queries": climb.queries,
            "seconds": seconds,
            "changed": change.amax(1),
            "share_changed": (change > 0).float().mean(1),
            "depth_before": climb.depth_before,
            "depth_after": climb.depth,
            "prediction_kept": climb.prediction == climb.prediction_before,
        }
        return list(climb.best.cpu()), {name: column.double().tolist() for name, column in columns.items()}


class _Climb:
    """The state of one batch's search: the best image so far, its depth and loss, and who is still climbing."""

    def __init__(
        self,
        search: PixelSearch,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        batch: Batch,
        dtype: torch.dtype | None,
    ) -> None:
        self.search, self.model, self.policy, self.objective, self.dtype = search, model, policy, objective, dtype
        self.batch = batch
        self.clean = batch.inputs["pixels"]
        self.low, self.high = ball(self.clean, search.epsilon)
        self.best = self.clean.clone()
        self.queries = torch.zeros(len(batch), dtype=torch.long, device=self.clean.device)
        every = torch.arange(len(batch), device=self.clean.device)
        logits, self.loss, _ = self._look(self.clean, every, slope=False)
        self.depth_before = decide.replay(policy, logits)
        self.depth = self.depth_before.clone()
        self.prediction_before = logits[:, -1].argmax(-1)
        self.prediction = self.prediction_before.clone()

    def run(self, draws: list[random.Random]) -> None:
        """Climb until every sample is at full depth or the iterations are used up."""
        rows = torch.nonzero(self.depth < self.model.num_exits).flatten()
        noise = [_signs_or_noise(draws[row], self.clean[row], signs=False) for row in rows.tolist()]
        if not noise:
            return
        pixels = self._inside(self.clean[rows] + self.search.step * torch.stack(noise), rows)
        guided = self.search.direction == "gradient"
        for iteration in range(self.search.iterations + 1):
            last = iteration == self.search.iterations
            logits, loss, slope = self._look(pixels, rows, slope=guided and not last)
            self._keep(pixels, rows, logits, loss)
            climbing = self.depth[rows] < self.model.num_exits
            rows, pixels = rows[climbing], pixels[climbing]
            if last or not len(rows):
                return
            if slope is None:
                signs = torch.stack([_signs_or_noise(draws[row], self.clean[row], signs=True) for row in rows.tolist()])
            else:
                signs = slope[climbing].sign()
            pixels = self._inside(pixels - self.search.step * signs, rows)

    def _look(self, pixels: Tensor, rows: Tensor, slope: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits (r, E, C), losses (r,) and, where asked, the gradient to the pixels (r, channels, H, W)."""
        self.queries[rows] += 1
        inputs = {name: value[rows] for name, value in self.batch.inputs.items()} | {"pixels": pixels}
        batch = Batch(inputs, self.batch.lengths[rows]).to(str(pixels.device), self.dtype)
        if slope:
            loss, logits, direction = forward.gradient(self.model, self.policy, self.objective, batch, "pixels")
            return logits, loss, direction.float()
        with torch.no_grad():
            logits = forward.all_exits(self.model, batch)
            return logits, self.objective(logits, decide.replay(self.policy, logits)), None

    def _keep(self, pixels: Tensor, rows: Tensor, logits: Tensor, loss: Tensor) -> None:
        """Take over what is deeper than the best so far, or as deep at a lower loss."""
        depth = decide.replay(self.policy, logits)
        better = (depth > self.depth[rows]) | ((depth == self.depth[rows]) & (loss < self.loss[rows]))
        kept = rows[better]
        self.best[kept] = pixels[better]
        self.depth[kept], self.loss[kept] = depth[better], loss[better]
        self.prediction[kept] = logits[better, -1].argmax(-1)

    def _inside(self, pixels: Tensor, rows: Tensor) -> Tensor:
        return pixels.maximum(self.low[rows]).minimum(self.high[rows])


def ball(clean: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Lowest and highest pixels allowed around `clean`, same shape: in [0, 1] and nowhere farther than epsilon.

    Bounds that float32 rounded outwards are moved one step inwards, so that the ball holds exactly.
    """
    low, high = (clean.double() - epsilon).float(), (clean.double() + epsilon).float()
    low = torch.where(clean.double() - low.double() > epsilon, low.nextafter(clean), low)
    high = torch.where(high.double() - clean.double() > epsilon, high.nextafter(clean), high)
    return low.clamp(min=0), high.clamp(max=1)


def _signs_or_noise(draw: random.Random, like: Tensor, signs: bool) -> Tensor:
    """Random signs, or uniform noise in ± 1, in the shape and place of `like`; the draw's next number seeds it."""
    generator = torch.Generator().manual_seed(draw.getrandbits(63))
    noise = torch.rand(like.shape, generator=generator) * 2 - 1
    return (noise.sign() if signs else noise).to(like.device)
