"""Low-rank updates (LoRA, Hu et al., ICLR 2022) on every linear layer of an encoder, by the peft library."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def add_low_rank(encoder: nn.Module, rank: int) -> Callable[[], object]:
    """Freeze the encoder and add rank-`rank` updates in place; the call returned merges them into it.

    Raises:
        ExitbenchError: a rank below 1.
    """
    from peft import LoraConfig, get_peft_model

    from benchmark.types import ExitbenchError

    if rank < 1:
        raise ExitbenchError(f"model.low_rank: expected at least 1, got {rank}")
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for a property by its old name
        adapted = get_peft_model(cast("PreTrainedModel", encoder), config)
    return cast("Callable[[], object]", adapted.merge_and_unload)
