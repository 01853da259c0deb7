"""Comparison of our clock, counter and offline engine with other tools. One thread, CPU, interleaved.

`exitbench bench peers passes=15 samples=64 batch=32 seconds=20 out=results/peers`. Latency: MiniLM to full depth and
timm's ViT-Ti/16 (random weights, 32 px) against torch.utils.benchmark on the same call, in turns, by the CPU clock.
MACs: ours against torch's counter and fvcore (`exitbench[peers]`) on the same modules, with where the difference lies.
Offline: our engine against masking without compaction and one sample at a time, at the default threshold.
Intervals describe one process. out: a folder for peers.csv and peers.md; without it they are printed alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmark.benches.support import peer_counters, peer_engines, peer_latency, peer_report
from benchmark.benches.support.setup import CPU, load_family, parse_options
from benchmark.engine.execute import run_full
from benchmark.hardware.machine import fingerprint, noise
from benchmark.hardware.profiles import applied
from benchmark.records.record import utc_now
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_section import host_lock

DEFAULTS = {"passes": 15, "samples": 64, "batch": 32, "seconds": 20, "out": ""}


def main(arguments: list[str]) -> int:
    """Print three tables, and write them to the folder `out`.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a folder that cannot be written.
    """
    options = parse_options("peers", DEFAULTS, arguments)
    families = {name: load_family(name, options["samples"]) for name in ("minilm_exits", "dvt_fashion")}
    text = families["minilm_exits"]
    vit, pixels = _vit()
    tokens, ids = _FullDepth(text.model), text.batches[0].inputs["input_ids"]
    limits = Limits(time_limit_s=options["seconds"], min_passes=5)
    disturbed = noise()
    with applied(CPU), host_lock():
        rows = [
            *peer_latency.compare(
                "minilm_exits, full depth", lambda: run_full(text.model, text.batches[0]), options["passes"]
            ),
            *peer_latency.compare("vit_tiny_patch16, 32 px", lambda: _forward(vit, pixels), options["passes"]),
            *peer_counters.compare(f"minilm_exits, {ids.shape[1]} tokens", tokens, ids),
            *peer_counters.compare("vit_tiny_patch16, 32 px", vit, pixels),
        ]
        for name, one in families.items():
            case = f"{name}, batches of {options['batch']}"
            rows += peer_engines.compare(case, one.model, one.policy, one.samples, CPU, options["batch"], limits)
    print(peer_report.text(rows))
    if options["out"]:
        facts, words = fingerprint(), " ".join(f"{key}={value}" for key, value in options.items())
        about = (
            f"    exitbench bench peers {words}\n\n{utc_now()}, {facts['cpu_model']}, {facts['cores_usable']} usable "
            f"core(s), torch {facts['torch']}, one thread, load {disturbed['load_1m']}, {disturbed['busy']:.0%} of all "
            "cores busy before. Made by the command; not edited."
        )
        print("\n".join(f"wrote {path}" for path in peer_report.write(rows, about, Path(options["out"]))))
    return 0


def _vit() -> tuple[Any, torch.Tensor]:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32, num_classes=10).eval()
        return vit, torch.rand(1, 3, 32, 32)


@torch.inference_mode()
def _forward(module: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    return module(pixels)


class _FullDepth(torch.nn.Module):
    """All exits of a text of one length as one module, for counters that trace."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        # All exits, because tracing drops what the output does not depend on.
        return torch.cat(list(self.model.exits(self.model.probe(ids.shape[1]))), -1)
