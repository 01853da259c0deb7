"""Any number of ways to do the same work, timed in interleaved rounds on the same samples; ratios between any two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.timing.process_statistics import ratio_over_processes
from benchmark.timing.rounds import Clock, ClockName, Run, observe
from benchmark.timing.statistics import Floats, Interval, ratio_of_totals
from benchmark.utils.progress import track

Times = Mapping[str, Floats]  # by way: milliseconds (n, m), n samples timed m times each


def time_side_by_side(
    ways: Mapping[str, Run],
    units: Sequence[object],
    clock: Clock,
    headline: ClockName,
    time_limit_s: float,
    min_passes: int = 2,
    max_passes: int = 50,
    seed: int = 0,
) -> dict[str, Floats]:
    """Milliseconds (n, m) of each way on each of n units, by the headline clock.

    A round is one unit done in all ways, in random order; a pass is every unit once, shuffled. `min_passes` are made
    whatever they take, then others while they fit into the limit. Warm-up: every unit in every way, untimed. Before
    each timed run comes an untimed one of the same way, as in a process that does nothing else: behind a dozen other
    networks, small ones would be timed while they fetch their weights, at twice the time.
    """
    rng, names = np.random.default_rng(seed), list(ways)
    for unit in units:
        for way in ways.values():
            way(unit)
    started = clock.wall()
    passes: list[Floats] = []
    with track((), "side by side", total=min_passes * len(units), unit="round") as bar:
        while len(passes) < max_passes:
            pass_started, table = clock.wall(), np.zeros((len(units), len(names)))
            for unit in rng.permutation(len(units)):
                for number in rng.permutation(len(names)):
                    way = ways[names[number]]
                    way(units[unit])
                    wall, cpu, _ = observe(way, units[unit], clock)
                    table[unit, number] = (cpu if headline == "cpu" else wall) / 1e6
                bar.update()
            passes.append(table)
            now = clock.wall()
            late = (now - started) + (now - pass_started) > time_limit_s * 1e9
            if len(passes) >= min_passes and late:
                break
    stacked = np.stack(passes, 1)  # (n, m, ways)
    return {name: stacked[..., number] for number, name in enumerate(names)}


def ratio(processes: Sequence[Times], numerator: str, denominator: str, seed: int = 0) -> Interval:
    """Total time of one way over that of another, with its 95% interval over samples and, of several, processes."""
    tables = [(one[numerator], one[denominator]) for one in processes]
    if len(tables) == 1:
        return ratio_of_totals(*tables[0], seed)
    return ratio_over_processes(tables, seed, draw_samples=True).interval


def mean_ms(processes: Sequence[Times], way: str) -> float:
    """Mean over samples and processes of a sample's median milliseconds."""
    return float(np.mean([np.median(one[way], axis=1).mean() for one in processes]))
