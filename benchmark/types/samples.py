"""What goes in: samples, datasets, and the batches that models make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, dtype


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


# A metric by name, or a function of answers (N,) and labels (N,), both NumPy columns of whole numbers.
Metric = str | Callable[[Any, Any], float]


@dataclass(frozen=True)
class Dataset:
    """The three splits of a dataset; calibration is cut from train and never trained on.

    fingerprint: sha256 over decoded inputs and labels of all splits, the same whichever source served them.
    metric: the task's own, "accuracy", "f1" or "matthews", or a function of answers and labels (N,), larger is better;
    see `metrics.score`. Records give it beside accuracy, and thresholds are chosen on it.
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
    metric: Metric = "accuracy"


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
