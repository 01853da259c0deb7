"""Ground floor: errors, seams (Protocols) and the frozen dataclasses that travel between floors.

Nothing here imports torch at run time, so records, leaderboards and plots can use it cheaply.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, dtype


class ExitbenchError(Exception):
    """An error a user can cause and mend: one line saying what was expected, what came, what to do."""


@dataclass(frozen=True)
class TextSample:
    """One labelled text: a sentence, or a pair of sentences."""

    index: int
    label: int
    texts: tuple[str, ...]
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, eq=False)
class ImageSample:
    """One labelled image; pixels (channels, height, width), float32 in [0, 1], not normalised."""

    index: int
    label: int
    pixels: Tensor
    kind: ClassVar[str] = "image"


Sample = TextSample | ImageSample


@dataclass(frozen=True)
class Dataset:
    """The three splits of a dataset; calibration is cut from train and never trained on.

    fingerprint: sha256 over decoded inputs and labels of all splits, the same whichever source served them.
    metric: the task's own, "accuracy", "f1" or "matthews"; see `metrics.score`.
    """

    name: str
    version: int
    kind: str  # "text" or "image"
    num_classes: int
    class_names: tuple[str, ...]
    train: Sequence[Sample]
    calibration: Sequence[Sample]
    test: Sequence[Sample]
    fingerprint: str
    metric: str = "accuracy"


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model's `collate` makes of b samples: tensors whose first axis is the sample.

    lengths (b,): what a sample's cost depends on – its own tokens for text, 0 for images of one size.
    truncated: how many of the samples were cut to the model's longest input.
    """

    inputs: dict[str, Tensor]
    lengths: Tensor
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def with_inputs(self, **inputs: Tensor) -> Batch:
        """The same batch with some inputs replaced or added."""
        return replace(self, inputs={**self.inputs, **inputs})

    def to(self, device: str, float_dtype: dtype | None = None) -> Batch:
        """The same batch on `device`, floating inputs cast to `float_dtype` where given."""
        moved = {
            name: value.to(device, float_dtype) if value.is_floating_point() else value.to(device)
            for name, value in self.inputs.items()
        }
        return replace(self, inputs=moved, lengths=self.lengths.to(device))


class EarlyExitModel(Protocol):
    """A model is a generator of exits; see `exits`. Everything else describes it to the suite."""

    num_exits: int  # E
    num_classes: int  # C
    kind: str  # the kind of sample it takes: "text" or "image"

    def collate(self, samples: Sequence[Any]) -> Batch:
        """Encode samples on the CPU: tokens or pixels in [0, 1]; normalising is the network's part."""
        ...

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """Yield the logits (b, C) of exit 1, 2, … E for the samples still running.

        The caller may send a mask (b,) of those that go on; the model drops the others before
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
    """An exit rule: one step, written once and used both live and on traces."""

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
class Trace:
    """All exits' logits of N inputs run once to full depth."""

    logits: Tensor  # (N, E, C) float32 on the CPU
    labels: Tensor  # (N,) int64
    lengths: Tensor  # (N,) int64, the cost key of each sample
    truncated: int = 0


@dataclass(frozen=True)
class Cost:
    """Cumulative MACs to each exit, batch 1, by sample length: `by_length[length][exit - 1]`."""

    by_length: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Perturbed:
    """What a workload made of N samples.

    facts: per-sample columns of length N (queries, seconds, changed, depth_before, depth_after);
    empty for `clean`. settings: what the attack was run with, for the record.
    """

    samples: Sequence[Sample]
    facts: dict[str, list[float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    from_cache: bool = False


class Workload(Protocol):
    """Turns (model, samples) into samples: the identity, or an attack on this model under this policy."""

    name: str

    def apply(self, model: EarlyExitModel, policy: Policy, samples: Sequence[Sample]) -> Perturbed:
        """The samples to measure, in the same order, labels and indices untouched."""
        ...


class Objective(Protocol):
    """What an attack minimises: logits (b, E, C) and exit depths (b,) in 1 … E -> loss (b,)."""

    def __call__(self, logits: Tensor, exit_depth: Tensor) -> Tensor: ...


Finished = Callable[[int, int], None]  # told depth before and after of each sample as its search ends


def unwatched(depth_before: int, depth_after: int) -> None:
    """The `Finished` of a search that nobody follows."""


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


@dataclass(frozen=True)
class Hardware:
    """A profile made concrete on this machine: where and how a model runs."""

    name: str
    device: str  # torch device string
    dtype: str  # "float32", …
    threads: int
    compiler: str = "eager"


@dataclass(frozen=True)
class Latency:
    """What the stopwatch saw: paired, interleaved observations and their judgement. Milliseconds, wall and CPU.

    Not included: collating the batch, and its copy to the device. `None` percentiles lacked samples.
    """

    scenario: str
    clock: str  # which clock `speedup` was taken from: "cpu" or "wall"
    n: int  # distinct samples timed
    rounds: int
    warmup_rounds: int
    warmup_capped: bool
    full_wall_ms: list[float]
    early_wall_ms: list[float]
    canary_wall_ms: list[float]
    full_cpu_ms: list[float]
    early_cpu_ms: list[float]
    canary_cpu_ms: list[float]
    sample_of: list[int]  # position of the timed sample, one per round
    speedup: float
    speedup_lo: float
    speedup_hi: float
    speedup_wall: float
    speedup_wall_lo: float
    speedup_wall_hi: float
    canary: float
    canary_lo: float
    canary_hi: float
    latency_ms_p50: float | None
    latency_ms_p90: float | None
    latency_ms_p99: float | None
    full_ms_p50: float | None
    full_ms_p90: float | None
    full_ms_p99: float | None
    outliers: int  # Tukey outliers of early_wall_ms over its own sample's median, counted and kept
    stopped_by: str  # "interval" or "time_limit" or "rounds"
    unreliable: list[str]  # reasons; empty when the canary held
    predictions: list[int]  # live answers, one per distinct sample, for the audit
    exit_depths: list[int]  # live exit depths (1 … E), likewise
    median_ratio: float | None = None  # median over rounds of full / early: the typical sample, not the total
    repeat_half_width: float | None = None  # relative 95% half-width of speedup if the same samples were timed again
