"""Training recipes: settings of one stage or of several stages; `trainer` runs them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.training.losses import EachLoss, JointLoss, exit_losses
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class Recipe:
    """Settings of one training stage. The weights after the last step are used; no data selects among checkpoints.

    loss: joint loss, mean losses of the exits (E,) -> scalar; one of `training.losses`, or several for alternate steps.
    each: loss of each exit, (logits E × (b, C), labels (b,), smoothing) -> E scalars. Default: cross-entropy.
    smoothing: label smoothing. shift: largest random shift of an image in pixels. flip: mirror half of the images.
    Texts ignore shift and flip.
    by_length: put samples of similar length into one batch, which reduces padding.
    only: regular expressions; parameters whose name matches none are frozen. Empty: all are trained.
    keep_last_exit: freeze every parameter that the last exit depends on; only the heads of other exits are trained.
    equilibrium: divide each parameter's gradient by the number of exits that depend on it (`balance_gradients`).
    certainty: weight of the certainty loss of each exit, for models with a certainty output (`extra_columns`).
    project: "last", "early" or "": the exits whose gradient on shared parameters is projected; see
    `gradient_projection.project_gradients`.
    """

    loss: JointLoss | Sequence[JointLoss]
    epochs: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float = 0.05
    smoothing: float = 0.0
    shift: int = 0
    flip: bool = False
    seed: int = 0
    each: EachLoss = exit_losses
    by_length: bool = False
    only: Sequence[str] = ()
    keep_last_exit: bool = False
    equilibrium: bool = False
    certainty: float = 1.0
    project: str = ""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ExitbenchError(f"recipe.{name}: expected a number above 0, got {getattr(self, name)!r}")
        if not 0 <= self.warmup < 1:
            raise ExitbenchError(f"recipe.warmup: expected a share of the steps in [0, 1), got {self.warmup!r}")
        if self.project not in ("", "last", "early"):
            raise ExitbenchError(f"recipe.project: expected '', 'last' or 'early', got {self.project!r}")
        if not self.turns:
            raise ExitbenchError("recipe.loss: expected one loss or a list of them, got an empty list")
        if isinstance(self.only, str):
            raise ExitbenchError(f"recipe.only: expected a list of regular expressions, got {self.only!r}")
        for pattern in self.only:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ExitbenchError(f"recipe.only: expected regular expressions, got {pattern!r} ({error})") from error

    @property
    def turns(self) -> Sequence[JointLoss]:
        """The alternating losses: step t uses `turns[t % len(turns)]`, t from 0."""
        return [self.loss] if callable(self.loss) else self.loss

    @property
    def stages(self) -> Mapping[str, Recipe]:
        """The recipe itself, without a name."""
        return {"": self}


class Stages:
    """Recipes trained one after another, each from the weights of the previous one. A finished stage is not repeated.

    Args:
        seed: for the initial weights; each stage has its own seed for its batches.
        stages: by name, in order.

    Raises:
        ExitbenchError: no stages, or one that is no recipe.
    """

    def __init__(self, seed: int = 0, **stages: Recipe) -> None:
        if not stages or not all(isinstance(stage, Recipe) for stage in stages.values()):
            raise ExitbenchError(f"recipe: expected stages that are each a recipe, got {stages}")
        self.seed, self.stages = seed, stages
