"""Training steps on batches of similar length against random batches: CPU time per sample, and padding.

    exitbench bench training_order [model=minilm_sst2] [dataset=sst2] [recipe=joint_weighted] [steps=40] [seed=0]

Both orders take forward, backward and optimiser steps on the same weights in one process on one thread, a random
draw of their batches, step by step in turns. Time is the process's CPU time, collating included.
"""

from __future__ import annotations

import time
from typing import Any

from benchmark.types import ExitbenchError

DEFAULTS = {"model": "minilm_sst2", "dataset": "sst2", "recipe": "joint_weighted", "steps": "40", "seed": "0"}


def main(arguments: list[str]) -> int:
    """Print padding and CPU milliseconds a sample of both orders, and their ratio.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS, or steps that are no whole number above 0.
    """
    options = _parse(arguments)
    import torch

    from benchmark.config.compose import build, compose

    torch.set_num_threads(1)
    words = [f"{key}={options[key]}" for key in ("model", "dataset", "recipe")]
    cfg = compose("train", words)
    dataset, recipe = build(cfg.dataset), build(cfg.recipe)
    recipe = next(iter(recipe.stages.values()))
    torch.manual_seed(int(options["seed"]))
    model = build(cfg.model, checkpoint="")
    orders = _orders(model, dataset.train, recipe.batch_size, int(options["seed"]))
    seconds = _measure(model, dataset.train, recipe, orders, int(options["steps"]))
    print(f"{dataset.name}, batches of {recipe.batch_size}, {options['steps']} steps each")
    print(f"{'order':12} {'padding':>8} {'CPU ms a sample':>16}")
    each = {}
    for name, (_, padding) in orders.items():
        each[name] = 1e3 * seconds[name] / (int(options["steps"]) * recipe.batch_size)
        print(f"{name:12} {padding:8.1%} {each[name]:16.2f}")
    print(f"by length is {each['random'] / each['by length']:.2f} times as fast")
    return 0


def _parse(arguments: list[str]) -> dict[str, str]:
    given = {key: value for key, _, value in (word.partition("=") for word in arguments)}
    if unknown := sorted(set(given) - set(DEFAULTS)):
        raise ExitbenchError(f"bench: expected {', '.join(DEFAULTS)}, got {', '.join(unknown)}")
    options = {**DEFAULTS, **given}
    for key, least in (("steps", 1), ("seed", 0)):
        if not options[key].isdecimal() or int(options[key]) < least:
            raise ExitbenchError(f"bench: expected {key} to be a whole number from {least}, got {options[key]!r}")
    return options


def _orders(model: Any, split: Any, batch_size: int, seed: int) -> dict[str, tuple[list[list[int]], float]]:
    """Name -> full batches of positions, in random order, and the share of their tokens that is padding."""
    import torch

    from benchmark.training.length_groups import LengthGroups
    from benchmark.training.trainer import lengths

    draw = torch.Generator().manual_seed(seed)
    tokens = lengths(model, split)
    found = {}
    for name, order in {
        "random": torch.randperm(len(split), generator=draw).tolist(),
        "by length": list(LengthGroups(tokens, batch_size, seed)),
    }.items():
        batches = [order[n : n + batch_size] for n in range(0, len(order) - batch_size + 1, batch_size)]
        spent = sum(max(tokens[i] for i in batch) * batch_size for batch in batches)
        own = sum(tokens[i] for batch in batches for i in batch)
        mixed = [batches[n] for n in torch.randperm(len(batches), generator=draw).tolist()]
        found[name] = (mixed, 1 - own / spent)
    return found


def _measure(model: Any, split: Any, recipe: Any, orders: dict[str, Any], steps: int) -> dict[str, float]:
    import torch

    from benchmark.training.trainer import TrainableExits
    from benchmark.utils.progress import track

    taught = TrainableExits(model, recipe).train()
    trained = [value for value in model.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(trained, 1e-6)  # so small that the weights hardly change
    seconds = dict.fromkeys(orders, 0.0)
    for step in track(range(-2, steps), "training steps"):  # the first two warm up
        for name in sorted(orders, reverse=bool(step % 2)):
            started = time.process_time()
            samples = [split[i] for i in orders[name][0][step % len(orders[name][0])]]
            batch = model.collate(samples)
            labels = torch.tensor([sample.label for sample in samples])
            taught(labels, batch.lengths, **batch.inputs)["loss"].backward()
            optimiser.step()
            optimiser.zero_grad()
            seconds[name] += (time.process_time() - started) * (step >= 0)
    return seconds
