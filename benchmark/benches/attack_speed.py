"""Samples a second and gain lost of the word search, beside the released search that takes one sample at a time.

    exitbench bench attack_speed [model=minilm_sst2] [dataset=sst2] [policy=entropy] [n=100] [chunk=10] [seed=0]

Both searches attack the same sentences under the same rule at its own operating point, in one process on one thread,
chunk by chunk in turns, so that whatever else the machine does falls on both. Time is the process's CPU time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.types import ExitbenchError

DEFAULTS = {"model": "minilm_exits", "dataset": "", "policy": "", "n": "100", "chunk": "10", "seed": "0"}


@dataclass
class Tally:
    """What one of the two searches has spent and reached so far."""

    seconds: float = 0.0
    queries: float = 0.0
    depth: list[float] = field(default_factory=list)

    def row(self, name: str, clean: list[float], num_exits: int) -> str:
        """One line of the table."""
        from benchmark.records import metrics

        before, after = sum(clean) / len(clean), sum(self.depth) / len(self.depth)
        lost = metrics.gain_lost(num_exits / before, num_exits / after)
        layers = metrics.gain_lost_layers(before, after, num_exits)
        shown = "  –  " if lost is None or layers is None else f"{lost:9.1%} {layers:11.1%}"
        speed = len(self.depth) / self.seconds
        return f"{name:9} {speed:10.3f} {self.queries / len(self.depth):9.0f} {after:11.2f} {shown}"


def main(arguments: list[str]) -> int:
    """Run the comparison and print its table and the ratio of samples a second."""
    asked = _asked(arguments)
    import torch

    from benchmark.attacks import objectives
    from benchmark.config.compose import build, compose
    from benchmark.hardware.profiles import applied
    from benchmark.run.pipeline import take
    from benchmark.run.transfer import settled
    from benchmark.utils.progress import track

    chosen = [f"{group}={asked[group]}" for group in ("model", "dataset", "policy") if asked[group]]
    cfg = compose("config", ["hardware=cpu_1t", "workload=same", *chosen])
    hardware, dataset, model = build(cfg.hardware), build(cfg.dataset), build(cfg.model)
    if dataset.kind != "text":
        raise ExitbenchError(f"dataset: expected one of texts, got {dataset.name}")
    ours: Any = build(cfg.workload.searches.text)
    searches = {"released": replace(ours, faithful=True), "ours": ours}
    tallies = {name: Tally() for name in searches}
    clean: list[float] = []
    with applied(hardware), torch.random.fork_rng():
        policy = settled(cfg.policy, model, dataset, hardware)
        samples = take(dataset.test, int(asked["n"]), int(asked["seed"]))
        size = int(asked["chunk"])
        for start in track(range(0, len(samples), size), "chunks, both searches", unit="chunk"):
            part = samples[start : start + size]
            # Who goes first alternates.
            for name, search in list(searches.items())[:: 1 if start // size % 2 else -1]:
                began = time.process_time()
                made = search.run(model, policy, objectives.same, part, int(asked["seed"]))
                tally = tallies[name]
                tally.seconds += time.process_time() - began
                tally.queries += sum(made.facts["queries"])
                tally.depth += made.facts["depth_after"]
                clean += made.facts["depth_before"] if name == "ours" else []
    before = sum(clean) / len(clean)
    print(f"{cfg.model.checkpoint or cfg.model.backbone}, {dataset.name}, {policy.name} {policy.threshold:.4g}, "
          f"{len(clean)} sentences, mean exit {before:.2f} of {model.num_exits}")  # fmt: skip
    print(f"{'search':9} {'samples/s':>10} {'queries':>9} {'mean exit':>11} {'gain lost':>9} {'(layers)':>11}")
    for name, tally in tallies.items():
        print(tally.row(name, clean, model.num_exits))
    released, own = tallies["released"], tallies["ours"]
    print(f"ours attacks {released.seconds / own.seconds:.1f} times as many samples a second (CPU time, one thread)")
    return 0


def _asked(arguments: list[str]) -> dict[str, str]:
    given = {word.partition("=")[0]: word.partition("=")[2] for word in arguments}
    if unknown := set(given) - set(DEFAULTS):
        raise ExitbenchError(f"bench attack_speed: expected {', '.join(DEFAULTS)}, got {', '.join(sorted(unknown))}")
    asked = DEFAULTS | given
    for name in ("n", "chunk", "seed"):
        if not asked[name].isdigit() or (name != "seed" and asked[name] == "0"):
            raise ExitbenchError(f"bench attack_speed: expected a whole number for {name}, got {asked[name]!r}")
    return asked
