"""Time of DVT's two reuses at the last exit, relative to the cascade without them and to their usual form.

    exitbench bench reuse_overhead [rounds=40] [large=3] [large_batch=8] [products=1] [seed=0]

One process, one thread, CPU clock; in each round all variants run once in random order, and the median of their ratios
to the cascade without reuse in the same round is shown. "large" rounds of T2T-ViT-12 at 224 px, twice as
many at batch 1; 0 leaves it out.
products: the same ratio of the matrix products alone, run by themselves: what is left is moving and activating numbers.
Their operands are kept for it, some 25 GB at a large batch of 64; products=0 leaves them out.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmark.types import Batch, ExitbenchError

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.models.dvt import DVT

DEFAULTS = {"rounds": 40, "large": 3, "large_batch": 8, "products": 1, "seed": 0}
SMALL: dict[str, Any] = {
    "num_classes": 10, "grids": (4, 6, 8), "width": 96, "depth": 4, "heads": 3, "mlp_ratio": 2, "image_size": 32,
    "mean": [0.5], "std": [0.5], "tokenizer": "conv_stem", "reuse_hidden": 48, "reuse_width": 16,
}  # fmt: skip
VARIANTS = {"none": (False, False), "features": (True, False), "relations": (False, True), "both": (True, True)}


def main(arguments: list[str]) -> int:
    """Measure and print one table per model and batch size."""
    import torch

    from benchmark.models.pretrained.released_dvt import architecture

    chosen = _numbers(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        random.seed(chosen["seed"])
        large = {"num_classes": 1000, **architecture("DVT_T2t_vit_12")}
        table = partial(_table, products=bool(chosen["products"]))
        table("small DVT, 32 px", SMALL, 1, 3 * chosen["rounds"])
        table("small DVT, 32 px", SMALL, 64, max(1, chosen["rounds"] // 2))
        if chosen["large"]:
            table("T2T-ViT-12, 224 px", large, 1, 2 * chosen["large"])
            table("T2T-ViT-12, 224 px", large, max(1, chosen["large_batch"]), chosen["large"])
    finally:
        torch.set_num_threads(threads)
    return 0


def _numbers(arguments: list[str]) -> dict[str, int]:
    chosen = dict(DEFAULTS)
    for word in arguments:
        name, _, value = word.partition("=")
        if name not in DEFAULTS or not value.isdecimal():
            raise ExitbenchError(f"bench: expected whole numbers for {', '.join(DEFAULTS)}, got {word!r}")
        chosen[name] = int(value)
    return chosen


def _table(title: str, architecture: dict[str, Any], batch_size: int, rounds: int, products: bool) -> None:
    import torch

    from benchmark.cost.matrix_products import products_of, run_in_order
    from benchmark.models.dvt import DVT

    models = {}
    for name, (feature, relation) in VARIANTS.items():
        torch.manual_seed(0)
        models[name] = DVT(**architecture, feature_reuse=feature, relation_reuse=relation).eval()
    whole = models["both"]
    side = whole.image_size
    pixels = torch.rand(batch_size, len(architecture["mean"]), side, side)
    batch = Batch({"pixels": pixels}, torch.zeros(batch_size, dtype=torch.int64))
    runs: dict[str, Callable[[], object]] = {
        name: lambda m=model: list(m.exits(batch)) for name, model in models.items()
    }
    runs["both, usual form"] = lambda: usual_exits(whole, batch)
    with torch.inference_mode():
        apart = max(
            float((a - b).abs().max()) for a, b in zip(whole.exits(batch), usual_exits(whole, batch), strict=True)
        )
        times = _interleaved(runs, rounds)
        alone = (
            _interleaved({name: run_in_order(products_of(run)) for name, run in runs.items()}, rounds)
            if products
            else {}
        )
    macs = {name: models[name.partition(",")[0]].closed_form_macs(0)[-1] for name in runs}
    print(f"\n{title}, batch {batch_size}, {rounds} rounds; logits differ by {apart:.1e} from the usual form's")
    print(f"{'':26} {'ms (CPU)':>9} {'time':>7} {'products':>9} {'MACs':>7}")
    for name in runs:
        only = f"{_ratio(alone, name):.3f}" if products else "–"
        print(
            f"{name:26} {statistics.median(times[name]):9.2f} {_ratio(times, name):7.3f} {only:>9} "
            f"{macs[name] / macs['none']:7.3f}"
        )


def _ratio(times: dict[str, list[float]], name: str) -> float:
    return statistics.median(own / plain for own, plain in zip(times[name], times["none"], strict=True))


def _interleaved(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    from benchmark.utils.progress import track

    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in track(range(rounds), "rounds", unit="round"):
        for name in random.sample(list(runs), len(runs)):
            started = time.process_time_ns()
            runs[name]()
            times[name].append((time.process_time_ns() - started) / 1e6)
    return times


def usual_exits(model: DVT, batch: Batch) -> list[Tensor]:
    """All exits' logits of a `DVT` with both reuses in their usual form.

    1 × 1 convolutions, nearest-neighbour interpolation and adaptive pooling on whole tensors, block by block.
    """
    pixels, before = model.begin(batch)
    found = []
    for depth, transformer in enumerate(model.transformers, 1):
        logits, before = _usual_transformer(transformer, pixels, before, depth < model.num_exits)
        found.append(logits)
    return found


def _usual_transformer(transformer: Any, pixels: Any, before: Any, return_logits: bool) -> tuple[Any, Any]:
    import torch

    from benchmark.models.layers.reuse import Reused

    x = transformer.tokens(pixels)
    x = torch.cat([transformer.cls_token.expand(len(x), -1, -1), x], 1) + transformer.pos_embed
    mixed, relations = None, []
    if before is not None:
        mix = transformer.relation_reuse
        mixed = mix.conv2(torch.nn.functional.gelu(mix.conv1(torch.cat(before.relations, 1))))
        mixed = _resized_relations(mixed, transformer.coarse, transformer.grid).chunk(len(transformer.blocks), 1)
    for number, block in enumerate(transformer.blocks):
        x, logits = _usual_block(block, x, mixed[number] if mixed else None, before, transformer, return_logits)
        relations.append(logits)
    return transformer.head(transformer.norm(x[:, 0])), Reused(x, relations)


def _usual_block(block: Any, x: Any, bias: Any, before: Any, transformer: Any, return_logits: bool) -> tuple[Any, Any]:
    import torch
    from torch.nn import functional as F

    b, t, width = x.shape
    heads = block.attn.heads
    q, k, v = block.attn.qkv(block.norm1(x)).view(b, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    logits = None
    if return_logits:
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        logits = logits if bias is None else logits + bias
        attended = logits.softmax(-1) @ v
    else:
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    x = x + block.attn.proj(attended.transpose(1, 2).reshape(b, t, width))
    wide = x
    if before is not None:
        reuse = block.feature_reuse
        context = reuse.fc2(F.gelu(reuse.fc1(reuse.norm(before.features[:, 1:]))))  # (b, coarse², out)
        context = _resized(context.transpose(1, 2), transformer.coarse, transformer.grid).transpose(1, 2)
        wide = torch.cat([x, torch.cat([torch.zeros_like(context[:, :1]), context], 1)], -1)
    return x + block.fc2(F.gelu(block.fc1(block.norm2(wide)))), logits


def _resized(x: Tensor, coarse: int, fine: int) -> Tensor:
    """(b, c, coarse²) -> (b, c, fine²)."""
    from torch.nn import functional as F

    image = x.reshape(*x.shape[:2], coarse, coarse)
    return F.adaptive_avg_pool2d(F.interpolate(image, size=2 * coarse, mode="nearest"), fine).flatten(2)


def _resized_relations(x: Tensor, coarse: int, fine: int) -> Tensor:
    """(b, c, T, T) -> (b, c, T', T'): rows, then columns; the class token's are unchanged."""
    import torch

    for _ in range(2):
        b, c, rows, columns = x.shape
        image = x[:, :, 1:].permute(0, 1, 3, 2).reshape(b, c * columns, rows - 1)
        image = _resized(image, coarse, fine).view(b, c, columns, fine**2).permute(0, 1, 3, 2)
        x = torch.cat([x[:, :, :1], image], 2).transpose(2, 3)
    return x
