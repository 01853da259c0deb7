"""Choice of SAME's lambda for a model: gain lost at each value with its interval, on calibration samples only.

    exitbench bench lam [model=dvt_fashion] [policy=confidence] [workload=same] [n=40] [seed=0] [lams=0,0.1,0.3,0.8,1]

The uniform half of the objective is divided by the number of classes, so its weight falls as that grows.
"""

from __future__ import annotations

from functools import partial

from benchmark.types import ExitbenchError, Search

DEFAULTS = {"model": "dvt_fashion", "policy": "", "workload": "same", "n": "40", "seed": "0", "lams": "0,0.1,0.3,0.8,1"}


def main(arguments: list[str]) -> int:
    """Run the workload's search with each lambda on the same calibration samples; print the gain lost."""
    options = DEFAULTS | {word.partition("=")[0]: word.partition("=")[2] for word in arguments}
    if unknown := set(options) - set(DEFAULTS):
        raise ExitbenchError(f"bench lam: expected {', '.join(DEFAULTS)}, got {', '.join(sorted(unknown))}")
    try:
        count, seed, lams = int(options["n"]), int(options["seed"]), [float(lam) for lam in options["lams"].split(",")]
    except ValueError as error:
        raise ExitbenchError(f"bench lam: expected numbers for n, seed and lams, got {error}") from error
    from benchmark.attacks import objectives
    from benchmark.config.compose import build, compose
    from benchmark.hardware.profiles import applied
    from benchmark.records import attack_intervals, metrics
    from benchmark.run.pipeline import take
    from benchmark.run.transfer import policy_at_operating_point

    chosen = [f"{group}={options[group]}" for group in ("model", "policy", "workload") if options[group]]
    cfg = compose("config", ["hardware=cpu_1t", *chosen])
    hardware, dataset, model = build(cfg.hardware), build(cfg.dataset), build(cfg.model)
    search: Search = build(cfg.workload.searches[dataset.kind])
    with applied(hardware):
        policy = policy_at_operating_point(cfg.policy, model, dataset, hardware)
        samples = take(dataset.calibration, count, seed)
        print(f"{options['model']}, {policy.name} {policy.threshold:.4g}, {len(samples)} calibration samples")
        print(f"{'lambda':>7} {'mean exit':>10} {'gain lost':>10} {'95% interval':>16} {'(layers)':>9}")
        for lam in lams:
            facts = search.run(model, policy, partial(objectives.same, lam=lam), samples, seed).facts
            before, after = (sum(facts[f"depth_{side}"]) / len(samples) for side in ("before", "after"))
            lost = metrics.gain_lost(model.num_exits / before, model.num_exits / after)
            layers = metrics.gain_lost_layers(before, after, model.num_exits)
            ends = attack_intervals.gain_lost(facts["depth_before"], facts["depth_after"], model.num_exits)
            losses = "nothing to lose"
            if lost is not None and layers is not None and ends is not None:
                losses = f"{lost:10.1%} {ends[0]:8.1%} {ends[1]:7.1%} {layers:9.1%}"
            print(f"{lam:7g} {after:10.2f} {losses}", flush=True)
    return 0
