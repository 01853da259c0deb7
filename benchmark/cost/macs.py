"""Cumulative MACs to each exit, counted eagerly at batch 1, one length at a time.

flops = 2 × macs. That is the only sentence about FLOPs here: everything is in multiply-accumulates of matrix
products, convolutions and attention, as executed. Papers that print MACs as "FLOPs" are quoted with that remark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmark.types import Cost, EarlyExitModel, ExitbenchError

# Operators that move, compare, reduce, normalise or interpolate: no matrix product in any of them.
_FREE = """
_adaptive_avg_pool2d _efficientzerotensor _embedding_bag _embedding_bag_forward_only _local_scalar_dense
_log_softmax _reshape_alias _safe_softmax _softmax _to_copy _unsafe_view adaptive_avg_pool2d addcdiv addcmul alias all
allclose amax amin any arange argmax as_strided avg_pool2d bernoulli_ cat chunk clone constant_pad_nd
contiguous copy_ cumsum detach diagonal embedding empty empty_like empty_strided equal expand eye fill_ full
full_like gather im2col index index_fill index_put_ index_select is_same_size isinf isnan lerp lift_fresh
linalg_vector_norm linspace masked_fill max max_pool2d_with_indices mean min native_batch_norm
native_channel_shuffle native_dropout native_group_norm native_layer_norm new_empty new_full new_ones
new_zeros nonzero norm ones ones_like permute pixel_shuffle pixel_unshuffle prod repeat reshape resize_
resolve_conj resolve_neg roll rsub scalar_tensor scatter select set_ slice sort split split_with_sizes squeeze
stack std sum sym_numel sym_size t topk transpose tril triu unbind unfold unsafe_chunk unsafe_split unsqueeze
upsample_bilinear2d upsample_nearest2d var var_mean view view_as where zero_ zeros zeros_like
"""
FREE = frozenset(_FREE.split())


class _Guard(TorchDispatchMode):
    """Refuses operators that are neither counted nor known to be free: an unknown one is an error, not a zero."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        name = packet.__name__
        known = packet in flop_registry or name in FREE or torch.Tag.pointwise in func.tags
        # An in-place operator is as free as the one it is the in-place form of.
        if not known and name.rstrip("_") not in FREE:
            with self:  # under inference mode composites come whole: judge their parts
                made = func.decompose(*args, **(kwargs or {}))
            if made is not NotImplemented:
                return made
            raise ExitbenchError(
                f"macs: operator {func} is neither counted nor known to be free; "
                "give it a formula with torch.utils.flop_counter.register_flop_formula"
            )
        return func(*args, **(kwargs or {}))


def count_call(run: Callable[[], Any]) -> int:
    """MACs of what a call executes; ExitbenchError for an operator of unknown cost."""
    with FlopCounterMode(display=False) as counter, _Guard():
        run()
    return counter.get_total_flops() // 2


@torch.no_grad()
def count(model: EarlyExitModel, length: int) -> tuple[int, ...]:
    """Cumulative MACs (E,) of one sample of `length`, each exit forced, heads included.

    Raises:
        ExitbenchError: an operator of unknown cost, or a count that falls with depth.
    """
    generator = model.exits(model.probe(length))
    total, cumulative = 0, []
    for _ in range(model.num_exits):
        total += count_call(lambda: next(generator))
        cumulative.append(total)
    generator.close()
    if cumulative != sorted(cumulative):
        raise ExitbenchError(f"macs: expected costs that grow with depth, got {cumulative}")
    return tuple(cumulative)


def cost(model: EarlyExitModel, lengths: Iterable[int]) -> Cost:
    """The cost table for all lengths that occur; counted for three of them, by closed form for the rest.

    Attention is quadratic in length, and three lengths settle a quadratic: of a model that agreed on three, only
    lengths beyond those are counted again.

    Raises:
        ExitbenchError: the closed form and the counter disagree, so neither is to be believed.
    """
    present = sorted(set(lengths))
    checked = {present[0], present[len(present) // 2], present[-1]}
    known = _counted.setdefault(model, {})
    for length in sorted(checked):
        if length not in known:
            if len(known) >= 3 and min(known) < length < max(known):
                continue
            known[length] = count(model, length)
        counted, formula = known[length], model.closed_form_macs(length)
        if counted != formula:
            raise ExitbenchError(f"macs: at length {length} the counter says {counted}, the closed form {formula}")
    return Cost({length: model.closed_form_macs(length) for length in present})


# What was counted of models that still live: a run asks of each split, of the same lengths again and again.
_counted: WeakKeyDictionary[Any, dict[int, tuple[int, ...]]] = WeakKeyDictionary()


def table(costs: Cost, lengths: Tensor) -> Tensor:
    """Lengths (N,) -> cumulative MACs (N, E), float64."""
    keys = sorted(costs.by_length)
    rows = torch.tensor([costs.by_length[key] for key in keys], dtype=torch.float64)
    return rows[torch.searchsorted(torch.tensor(keys), lengths)]
