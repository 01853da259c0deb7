"""MAC counter: cumulative multiply-accumulates to each exit, counted eagerly at batch 1, one input length at a time.

Counted are matrix products, convolutions and attention, as executed. flops = 2 × macs; papers that print MACs as
"FLOPs" are quoted with that remark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula, sdpa_flop_count

from benchmark.types import Cost, EarlyExitModel, ExitbenchError

# Operators that move, compare, reduce, normalise or interpolate, without any matrix product.
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

# Fused attention on a CPU, which the counter of older versions of torch does not know.
_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
if _CPU_ATTENTION not in flop_registry:

    @register_flop_formula(_CPU_ATTENTION)
    def _cpu_attention_flops(
        query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: object, **__: object
    ) -> int:
        return sdpa_flop_count(query, key, value)


class _Guard(TorchDispatchMode):
    """Raises on operators without a FLOP formula that are not in FREE, so that none is silently counted as zero."""

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        packet = func._overloadpacket
        name = packet.__name__
        known = packet in flop_registry or name in FREE or torch.Tag.pointwise in func.tags
        # An in-place operator is free if its out-of-place form is.
        if not known and name.rstrip("_") not in FREE:
            with self:  # in inference mode, composite operators arrive undecomposed
                result = func.decompose(*args, **(kwargs or {}))
            if result is not NotImplemented:
                return result
            raise ExitbenchError(
                f"macs: operator {func} is neither counted nor known to be free; "
                "give it a formula with torch.utils.flop_counter.register_flop_formula"
            )
        return func(*args, **(kwargs or {}))


def count_call(run: Callable[[], object]) -> int:
    """MACs that a call executes; raises ExitbenchError for an operator of unknown cost."""
    with FlopCounterMode(display=False) as counter, _Guard():
        run()
    return counter.get_total_flops() // 2


@torch.no_grad()
def count(model: EarlyExitModel, length: int) -> tuple[int, ...]:
    """Cumulative MACs (E,) of one sample of `length` to each exit, heads included.

    Raises:
        ExitbenchError: an operator of unknown cost, or a count that decreases with depth.
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
    """The cost table for all lengths that occur: the model's closed form, checked against the counter at three lengths.

    Cost is quadratic in length, and three points determine a quadratic: once a model has agreed at three lengths, only
    lengths outside their range are counted again.

    Raises:
        ExitbenchError: the closed form and the counter disagree.
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


# Counts of models that are still alive, because a run needs the same lengths for every split.
_counted: WeakKeyDictionary[EarlyExitModel, dict[int, tuple[int, ...]]] = WeakKeyDictionary()


def table(costs: Cost, lengths: Tensor) -> Tensor:
    """Lengths (N,) -> cumulative MACs (N, E), float64."""
    keys = sorted(costs.by_length)
    rows = torch.tensor([costs.by_length[key] for key in keys], dtype=torch.float64)
    return rows[torch.searchsorted(torch.tensor(keys), lengths)]
