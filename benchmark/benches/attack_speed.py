"""Speed of the word search: samples per second and gain lost, compared with the released search.

    exitbench bench attack_speed [model=minilm_sst2] [dataset=sst2] [policy=entropy] [n=100] [chunk=10] [seed=0]

The released search attacks one sample at a time. Both searches attack the same sentences under the same rule at its
operating point, in one process on one thread. They alternate chunk by chunk, so that other load on the machine affects
both alike. Time is the process's CPU time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from benchmark.types import ExitbenchError

DEFAULTS = {"model": "minilm_exits", "dataset": "", "policy": "", "n": "100", "chunk": "10", "seed": "0"}


@dataclass
class Tally:
    """Seconds, queries and exit depths of one of the two searches so far."""

    seconds: float = 0.0
    queries: float = 0.0
    depth: list[float] = field(default_factory=list)

    def row(self, name: str, clean: list[float], num_exits: int) -> str:
        """One line of the table."""
        from benchmark.records import attack_intervals, metrics

        before, after = sum(clean) / len(clean), sum(self.depth) / len(self.depth)
        lost = metrics.gain_lost(num_exits / before, num_exits / after)
        layers = metrics.gain_lost_layers(before, after, num_exits)
        ends = attack_intervals.gain_lost(clean, self.depth, num_exits)
        losses = "  –  "
        if lost is not None and layers is not None and ends is not None:
            losses = f"{lost:9.1%} {ends[0]:8.1%} {ends[1]:7.1%} {layers:11.1%}"
        speed = len(self.depth) / self.seconds
        return f"{name:9} {speed:10.3f} {self.queries / len(self.depth):9.0f} {after:11.2f} {losses}"


def main(arguments: list[str]) -> int:
    """Run the comparison; print a table and the ratio of samples per second."""
    options = _options(arguments)
    import torch

    from benchmark.attacks import objectives
    from benchmark.attacks.words.search import WordSearch
    from benchmark.config.compose import build, compose
    from benchmark.hardware.profiles import applied
    from benchmark.run.pipeline import take
    from benchmark.run.transfer import policy_at_operating_point
    from benchmark.utils.progress import track

    chosen = [f"{group}={options[group]}" for group in ("model", "dataset", "policy") if options[group]]
    cfg = compose("config", ["hardware=cpu_1t", "workload=same", *chosen])
    hardware, dataset, model = build(cfg.hardware), build(cfg.dataset), build(cfg.model)
    if dataset.kind != "text":
        raise ExitbenchError(f"dataset: expected a text dataset, got {dataset.name}")
    ours: WordSearch = build(cfg.workload.searches.text)
    searches = {"released": replace(ours, faithful=True), "ours": ours}
    tallies = {name: Tally() for name in searches}
    clean: list[float] = []
    with applied(hardware), torch.random.fork_rng():
        policy = policy_at_operating_point(cfg.policy, model, dataset, hardware)
        samples = take(dataset.test, int(options["n"]), int(options["seed"]))
        size = int(options["chunk"])
        for start in track(range(0, len(samples), size), "chunks, both searches", unit="chunk"):
            chunk = samples[start : start + size]
            # The search that runs first alternates.
            for name, search in list(searches.items())[:: 1 if start // size % 2 else -1]:
                began = time.process_time()
                attacked = search.run(model, policy, objectives.same, chunk, int(options["seed"]))
                tally = tallies[name]
                tally.seconds += time.process_time() - began
                tally.queries += sum(attacked.facts["queries"])
                tally.depth += attacked.facts["depth_after"]
                clean += attacked.facts["depth_before"] if name == "ours" else []
    before = sum(clean) / len(clean)
    print(f"{cfg.model.checkpoint or cfg.model.backbone}, {dataset.name}, {policy.name} {policy.threshold:.4g}, "
          f"{len(clean)} sentences, mean exit {before:.2f} of {model.num_exits}")  # fmt: skip
    print(
        f"{'search':9} {'samples/s':>10} {'queries':>9} {'mean exit':>11} {'gain lost':>9} "
        f"{'95% interval':>16} {'(layers)':>11}"
    )
    for name, tally in tallies.items():
        print(tally.row(name, clean, model.num_exits))
    released, own = tallies["released"], tallies["ours"]
    print(f"ours attacks {released.seconds / own.seconds:.1f} times as many samples per second (CPU time, one thread)")
    return 0


def _options(arguments: list[str]) -> dict[str, str]:
    overrides = {word.partition("=")[0]: word.partition("=")[2] for word in arguments}
    if unknown := set(overrides) - set(DEFAULTS):
        raise ExitbenchError(f"bench attack_speed: expected {', '.join(DEFAULTS)}, got {', '.join(sorted(unknown))}")
    options = DEFAULTS | overrides
    for name in ("n", "chunk", "seed"):
        if not options[name].isdigit() or (name != "seed" and options[name] == "0"):
            raise ExitbenchError(f"bench attack_speed: expected a whole number for {name}, got {options[name]!r}")
    return options
