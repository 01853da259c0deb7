"""The seams as Protocols: models, exit rules, workloads, objectives and searches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from benchmark.types.samples import Batch, Sample

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.types.results import Perturbed


class EarlyExitModel(Protocol):
    """A model is a generator of exits; see `exits`. Everything else describes it to the suite.

    A model may have `extra_columns: int` X above 0: its exits then yield (b, C + X), the logits followed by X columns
    for exit rules to read. The first of them is a learned certainty that the answer is right, before the sigmoid.
    """

    num_exits: int  # E
    num_classes: int  # C
    kind: str  # the kind of sample it takes: "text" or "image"

    def collate(self, samples: Sequence[Any]) -> Batch:
        """Encode samples on the CPU: tokens or pixels in [0, 1]; normalising is the network's part."""
        ...

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """Yield the logits (b, C) of exit 1, 2, … E for the samples still running.

        The caller may send a mask (b,) of the samples that continue; the model drops the others before
        its next stage. Exhaust it for a trace; close it and nothing deeper is ever computed.
        """
        ...

    def probe(self, length: int) -> Batch:
        """One synthetic sample of that length, for counting MACs."""
        ...

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Cumulative MACs to each exit (E,) from the architecture's arithmetic alone."""
        ...


@runtime_checkable
class StagedModel(Protocol):
    """An `EarlyExitModel` whose running samples can be set aside after an exit and joined with others there.

    "running" is the model's own state: all that later exits need of b samples. `exits` is then
    `models.layers.staged.staged_exits`. A model without these four methods works, but `offline` cannot refill its
    batches.
    """

    def begin(self, batch: Batch) -> Any:
        """The state of a batch before exit 1."""
        ...

    def stage(self, running: Any, depth: int) -> tuple[Tensor, Any]:
        """Exit `depth` (1 … E) for b samples -> what it yields (b, C + X), and what runs after it."""
        ...

    def select(self, running: Any, rows: Tensor) -> Any:
        """The samples given by a mask (b,) or by row numbers."""
        ...

    def join(self, parts: Sequence[Any]) -> Any:
        """What runs after one and the same exit, as one, in order."""
        ...


@runtime_checkable
class WordModel(Protocol):
    """What a word search needs beyond `EarlyExitModel`: the tokenizer and the table it indexes.

    `exits` must accept a batch that carries `inputs_embeds` (b, T, d) instead of looking up `input_ids`.
    """

    tokenizer: Any  # a fast tokenizer: it knows which characters a token came from
    max_length: int  # tokens, special ones included, that `collate` cuts to

    @property
    def word_embeddings(self) -> Tensor:
        """The input embedding table (V, d)."""
        ...


class Policy(Protocol):
    """An exit rule: one step, written once and used both live and on traces.

    A class variable `reads` names the input of `step`: "logits" (b, C), the default; "extra", the columns (b, X) that
    a model yields after its logits; "hindsight" (b, 1), which depends on labels.
    """

    name: ClassVar[str]

    @property
    def threshold(self) -> float: ...

    def start(self, size: int, device: str) -> Tensor:
        """The state (b, …) before exit 1."""
        ...

    def step(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One exit: logits (b, C) and state -> stop (b,) bool and the next state (b, …)."""
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """What an attack is made against, where that is not what is measured: a model and the rule it exits by."""

    model: EarlyExitModel
    policy: Policy


class Workload(Protocol):
    """Turns (model, samples) into samples: the identity, or an attack on this model under this policy."""

    name: str

    def apply(self, model: EarlyExitModel, policy: Policy, samples: Sequence[Sample]) -> Perturbed:
        """The samples to measure, in the same order, labels and indices untouched."""
        ...


class Objective(Protocol):
    """What an attack minimises: logits (b, E, C) and exit depths (b,) in 1 … E -> loss (b,).

    An argument `answers`, if there is one, receives the last exit's answers (b,) on the clean inputs.
    """

    def __call__(self, logits: Tensor, exit_depth: Tensor) -> Tensor: ...


Finished = Callable[[int, int], None]  # called with the depths of a sample before and after, when its search ends


def unwatched(depth_before: int, depth_after: int) -> None:
    """A `Finished` that does nothing."""


class Search(Protocol):
    """How one kind of sample is searched under a budget and constraints, guided by an objective."""

    kind: str  # the kind of sample it searches

    def run(
        self,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        samples: Sequence[Any],
        seed: int,
        finished: Finished = unwatched,
    ) -> Perturbed:
        """The most expensive sample found for each of `samples`."""
        ...
