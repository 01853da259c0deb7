"""One batch of images under attack: the best of each so far, its depth and loss, and who is still climbing."""

from __future__ import annotations

import math
import random
from typing import Protocol

import torch
from torch import Tensor

from benchmark.attacks import forward
from benchmark.attacks.pixels.norm_balls import BALLS
from benchmark.types import Batch, EarlyExitModel, Objective, Policy

KEEPS = ("deepest", "loss", "last")
SCHEDULES = ("constant", "cosine")


class Settings(Protocol):
    """What a pixel search is asked for; see `searches.pixels.PixelSearch`."""

    @property
    def epsilon(self) -> float: ...
    @property
    def norm(self) -> str: ...
    @property
    def step(self) -> float: ...
    @property
    def schedule(self) -> str: ...
    @property
    def iterations(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def keep(self) -> str: ...
    @property
    def direction(self) -> str: ...


class Climb:
    """The state of one batch's search; `best` (b, channels, H, W) is what it found."""

    def __init__(
        self,
        search: Settings,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        batch: Batch,
        dtype: torch.dtype | None,
    ) -> None:
        self.search, self.model, self.policy, self.objective, self.dtype = search, model, policy, objective, dtype
        self.batch = batch
        self.clean = batch.inputs["pixels"]
        self.ball = BALLS[search.norm](self.clean, search.epsilon)
        self.best = self.clean.clone()
        every = torch.arange(len(batch), device=self.clean.device)
        self.queries = torch.zeros(len(batch), dtype=torch.long, device=self.clean.device)
        self.answers: Tensor | None = None
        yielded, self.loss, _ = self._look(self.clean, every, slope=False)
        self.answers = forward.answers_of(model, yielded)
        self.loss, self.depth_before = forward.losses(model, policy, objective, yielded, self.answers)
        self.depth, self.answer = self.depth_before.clone(), self.answers.clone()
        self.trails = [[(1, depth)] for depth in self.depth.tolist()]

    def run(self, draws: list[random.Random]) -> None:
        """Climb from each random start until all is won or the iterations are used up."""
        for _ in range(self.search.restarts):
            rows = torch.nonzero(self._open()).flatten()
            if not len(rows):
                return
            self._ascend(rows, draws)

    def _open(self) -> Tensor:
        """Who may still gain (b,): all, where something else than the depth is kept."""
        if self.search.keep == "deepest":
            return self.depth < self.model.num_exits
        return torch.ones_like(self.depth, dtype=torch.bool)

    def _ascend(self, rows: Tensor, draws: list[random.Random]) -> None:
        noise = torch.stack([self.ball.noise(draws[row], self.clean[row]) for row in rows.tolist()])
        pixels = self.ball.inside(self.clean[rows] + self._step(0) * noise, rows)
        guided = self.search.direction == "gradient"
        for iteration in range(self.search.iterations + 1):
            last = iteration == self.search.iterations
            yielded, loss, slope = self._look(pixels, rows, slope=guided and not last)
            self._keep(pixels, rows, yielded, loss, last)
            climbing = self._open()[rows]
            rows, pixels = rows[climbing], pixels[climbing]
            if last or not len(rows):
                return
            if slope is None:
                slope = torch.stack([self.ball.noise(draws[row], self.clean[row]) for row in rows.tolist()])
            else:
                slope = slope[climbing]
            pixels = self.ball.inside(pixels - self._step(iteration) * self.ball.direction(slope), rows)

    def _step(self, iteration: int) -> float:
        """`step` throughout, or falling from it to 0 along half a cosine."""
        share = iteration / self.search.iterations
        factor = 1.0 if self.search.schedule == "constant" else (1 + math.cos(math.pi * share)) / 2
        return self.search.step * factor

    def _look(self, pixels: Tensor, rows: Tensor, slope: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """What exits yield (r, E, …), losses (r,) and, where asked, the gradient to the pixels (r, channels, H, W)."""
        self.queries[rows] += 1
        inputs = {name: value[rows] for name, value in self.batch.inputs.items()} | {"pixels": pixels}
        batch = Batch(inputs, self.batch.lengths[rows]).to(str(pixels.device), self.dtype)
        answers = None if self.answers is None else self.answers[rows]
        if slope:
            loss, yielded, direction = forward.gradient(
                self.model, self.policy, self.objective, batch, "pixels", answers
            )
            return yielded, loss, direction.float()
        with torch.no_grad():
            yielded = forward.all_exits(self.model, batch)
            return yielded, forward.losses(self.model, self.policy, self.objective, yielded, answers)[0], None

    def _keep(self, pixels: Tensor, rows: Tensor, yielded: Tensor, loss: Tensor, last: bool) -> None:
        """Take over what is deeper than the best so far, or as deep at a lower loss; or by what else is kept."""
        depth = forward.depths(self.model, self.policy, yielded)
        lower = loss < self.loss[rows]
        better = {
            "deepest": (depth > self.depth[rows]) | ((depth == self.depth[rows]) & lower),
            "loss": lower,
            "last": torch.full_like(lower, last),
        }[self.search.keep]
        kept = rows[better]
        for row, queries, deep in zip(kept.tolist(), self.queries[kept].tolist(), depth[better].tolist(), strict=True):
            if deep != self.trails[row][-1][1]:
                self.trails[row].append((queries, deep))
        self.best[kept] = pixels[better]
        self.depth[kept], self.loss[kept] = depth[better], loss[better]
        self.answer[kept] = forward.answers_of(self.model, yielded[better])
