"""Projected gradient descent on one batch of images: the best of each so far, its depth and loss, who continues."""

from __future__ import annotations

import math
import random
from typing import Protocol

import torch
from torch import Tensor

from benchmark.attacks import forward
from benchmark.attacks.pixels.norm_balls import BALLS
from benchmark.types import Batch, EarlyExitModel, Objective, Policy

KEEP_CHOICES = ("deepest", "loss", "last")
SCHEDULES = ("constant", "cosine")


class PixelSearchSettings(Protocol):
    """Settings of a pixel search; `pixels.search.PixelSearch` documents them."""

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


class ProjectedGradient:
    """The state of the search on one batch; `best` (b, channels, H, W) is its result."""

    def __init__(
        self,
        search: PixelSearchSettings,
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
        outputs, self.loss, _ = self._evaluate(self.clean, every, with_gradient=False)
        self.answers = forward.answers_of(model, outputs)
        self.loss, self.depth_before = forward.losses(model, policy, objective, outputs, self.answers)
        self.depth, self.answer = self.depth_before.clone(), self.answers.clone()
        self.trails = [[(1, depth)] for depth in self.depth.tolist()]

    def run(self, rngs: list[random.Random]) -> None:
        """Run all restarts, until every sample has succeeded or the iterations are used up."""
        for _ in range(self.search.restarts):
            rows = torch.nonzero(self._active()).flatten()
            if not len(rows):
                return
            self._descend(rows, rngs)

    def _active(self) -> Tensor:
        """Samples that the search continues on (b,); all of them unless it keeps the deepest image."""
        if self.search.keep == "deepest":
            return self.depth < self.model.num_exits
        return torch.ones_like(self.depth, dtype=torch.bool)

    def _descend(self, rows: Tensor, rngs: list[random.Random]) -> None:
        start = self._step_size(0) * self._random_steps(rows, rngs)
        pixels = self.ball.project(self.clean[rows] + start, rows)
        by_gradient = self.search.direction == "gradient"
        for iteration in range(self.search.iterations + 1):
            last = iteration == self.search.iterations
            outputs, loss, gradient = self._evaluate(pixels, rows, with_gradient=by_gradient and not last)
            self._update_best(pixels, rows, outputs, loss, last)
            active = self._active()[rows]
            rows, pixels = rows[active], pixels[active]
            if last or not len(rows):
                return
            direction = self._random_steps(rows, rngs) if gradient is None else gradient[active]
            pixels = self.ball.project(pixels - self._step_size(iteration) * self.ball.direction(direction), rows)

    def _random_steps(self, rows: Tensor, rngs: list[random.Random]) -> Tensor:
        return torch.stack([self.ball.random_step(rngs[row], self.clean[row]) for row in rows.tolist()])

    def _step_size(self, iteration: int) -> float:
        """`step`, constant or falling to 0 along half a cosine."""
        share = iteration / self.search.iterations
        factor = 1.0 if self.search.schedule == "constant" else (1 + math.cos(math.pi * share)) / 2
        return self.search.step * factor

    def _evaluate(self, pixels: Tensor, rows: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Outputs (r, E, …), losses (r,), and with `with_gradient` the gradient to the pixels (r, channels, H, W)."""
        self.queries[rows] += 1
        inputs = {name: value[rows] for name, value in self.batch.inputs.items()} | {"pixels": pixels}
        batch = Batch(inputs, self.batch.lengths[rows]).to(str(pixels.device), self.dtype)
        answers = None if self.answers is None else self.answers[rows]
        if with_gradient:
            loss, outputs, gradient = forward.gradient(
                self.model, self.policy, self.objective, batch, "pixels", answers
            )
            return outputs, loss, gradient.float()
        with torch.no_grad():
            outputs = forward.all_exits(self.model, batch)
            return outputs, forward.losses(self.model, self.policy, self.objective, outputs, answers)[0], None

    def _update_best(self, pixels: Tensor, rows: Tensor, outputs: Tensor, loss: Tensor, last: bool) -> None:
        """Replace the best images by deeper ones, or as deep ones of lower loss; or by the other choices of `keep`."""
        depth = forward.depths(self.model, self.policy, outputs)
        lower = loss < self.loss[rows]
        better = {
            "deepest": (depth > self.depth[rows]) | ((depth == self.depth[rows]) & lower),
            "loss": lower,
            "last": torch.full_like(lower, last),
        }[self.search.keep]
        improved = rows[better]
        columns = (improved.tolist(), self.queries[improved].tolist(), depth[better].tolist())
        for row, queries, new_depth in zip(*columns, strict=True):
            if new_depth != self.trails[row][-1][1]:
                self.trails[row].append((queries, new_depth))
        self.best[improved] = pixels[better]
        self.depth[improved], self.loss[improved] = depth[better], loss[better]
        self.answer[improved] = forward.answers_of(self.model, outputs[better])
