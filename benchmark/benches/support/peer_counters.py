"""Our MACs of a module beside torch's counter and, if installed, fvcore, with the reason for each difference."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.benches.support.peer_row import Row
from benchmark.cost import macs

PRODUCTS = (
    "linear",
    "conv",
    "matmul",
    "addmm",
    "mm",
    "bmm",
    "baddbmm",
    "einsum",
)  # fvcore counts these as we do
ATTENTION = "attention"  # in names of fused operators, which fvcore does not know


def compare(case: str, module: torch.nn.Module, given: torch.Tensor) -> list[Row]:
    """Rows in GMACs or GFLOPs, as each tool calls them, of `module(given)`."""

    @torch.inference_mode()
    def run() -> None:
        module(given)

    ours, (flops, parts) = macs.count_call(run), _torch_count(run)
    rows = [
        Row("gmacs", case, "exitbench", "GMACs", ours / 1e9),
        Row("gmacs", case, "torch FlopCounterMode", "GFLOPs", flops / 1e9, to_ours=flops / ours,
            note="two flops a MAC, no more" if flops == 2 * ours else f"{flops - 2 * ours:+d} flops from two a MAC"),
    ]  # fmt: skip
    if importlib.util.find_spec("fvcore") is None:
        return [
            *rows,
            Row("gmacs", case, "fvcore", "GFLOPs", None, note="not installed: pip install 'exitbench[peers]'"),
        ]
    total, by_operator, unknown = _fvcore(module, given)
    attention = sum(count for name, count in parts.items() if ATTENTION in name) // 2
    note = difference(ours, total, by_operator, unknown, attention)
    return [*rows, Row("gmacs", case, "fvcore", "GFLOPs", total / 1e9, to_ours=total / ours, note=note)]


def difference(
    ours: int, total: float, by_operator: Mapping[str, float], unknown: Mapping[str, int], attention: int
) -> str:
    """Why fvcore's total differs: what it adds, what it omits, and whether that explains the whole difference.

    attention: our MACs of fused attention. unknown: operators that it met without a formula, and how often.
    """
    beside = {name: count for name, count in by_operator.items() if name not in PRODUCTS and count}
    skipped = sum(count for name, count in unknown.items() if ATTENTION in name)
    said = ["MACs, called flops"]
    if beside:
        said.append("with " + ", ".join(f"{name} ({count / ours:+.2%})" for name, count in sorted(beside.items())))
    if skipped:
        said.append(f"without fused attention ({skipped} calls, {-attention / ours:.2%})")
    rest = total - sum(beside.values()) + (attention if skipped else 0) - ours
    said.append("which is all of the difference" if rest == 0 else f"{rest / ours:+.2%} not accounted for")
    return ", ".join(said[:-1]) + "; " + said[-1]


def _torch_count(run: Callable[[], object]) -> tuple[int, dict[str, int]]:
    with FlopCounterMode(display=False) as counter:
        run()
    parts = counter.get_flop_counts().get("Global", {})
    return counter.get_total_flops(), {str(operator): count for operator, count in parts.items()}


def _fvcore(module: torch.nn.Module, given: torch.Tensor) -> tuple[float, dict[str, float], dict[str, int]]:
    with warnings.catch_warnings(), torch.no_grad():
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns about a missing GPU
        warnings.simplefilter("ignore")  # it uses torch.jit, which is deprecated
        from fvcore.nn import FlopCountAnalysis  # type: ignore[import-not-found]

        found = FlopCountAnalysis(module, given).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        found.tracer_warnings("none")
        return float(found.total()), dict(found.by_operator()), dict(found.unsupported_ops())
