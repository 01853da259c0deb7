"""`exitbench doctor`: report this machine, its noise, its packages, and which data sources respond."""

from __future__ import annotations

import argparse

from benchmark import __version__


def run(arguments: argparse.Namespace) -> int:
    """Print what a run would find on this machine, and what to do where something is missing."""
    if arguments.repeats:
        return _repeats(arguments.repeats)
    if arguments.stopwatch:
        return _stopwatch()
    from concurrent.futures import ThreadPoolExecutor

    from benchmark.data.sources.assets import source_status
    from benchmark.hardware.machine import fingerprint, noise

    with ThreadPoolExecutor() as pool:
        sources = pool.submit(source_status)
        facts, disturbance = pool.submit(fingerprint), pool.submit(noise)
        print(f"exitbench {__version__}")
        for title, section in (("machine", facts.result()), ("noise", disturbance.result())):
            print(title)
            for name, value in section.items():
                print(f"  {name:<16}{', '.join(value) or 'none' if isinstance(value, list) else value}")
        print("sources")
        for name, usable, detail in sources.result():
            print(f"  {name:<16}{'ok ' if usable else 'no '} {detail}")
    if disturbance.result()["busy"] > 0.5:
        print("this machine is busy: expect wide intervals and records marked unreliable")
    return 0


def _stopwatch() -> int:
    """Time a real A/A and a real A/B of ratio 2; return 1 if an interval misses the true ratio."""
    from benchmark.hardware.machine import noise
    from benchmark.timing.stopwatch_check import format_table, time_known_work

    disturbance = noise()
    print(f"stopwatch (load {disturbance['load_1m']}, {disturbance['busy']:.0%} of all cores busy)", flush=True)
    found = time_known_work()
    print("\n".join(format_table(found)))
    missed = [what for what, truth, measured in found if not measured.speedup_lo <= truth <= measured.speedup_hi]
    print(f"outside its interval: {', '.join(missed)}" if missed else "both truths lie in their intervals")
    print("an interval misses the truth once in twenty even on an idle machine; run it again before you worry")
    return 1 if missed else 0


def _repeats(repeats: int) -> int:
    """Repeat real A/A and A/B measurements; return 1 if fewer than nine of ten agree."""
    from benchmark.benches.support.stopwatch_repeats import AIM, agreement, format_table, measure_repeats
    from benchmark.hardware.machine import noise
    from benchmark.timing.process_statistics import BETWEEN_MEASUREMENTS_SD

    disturbance = noise()
    print(f"stopwatch (load {disturbance['load_1m']}, {disturbance['busy']:.0%} of all cores busy)", flush=True)
    found = measure_repeats(repeats)
    print("\n".join(format_table(found)))
    print("A/A has 1: intervals of full depth against itself that contain 1. Pairs: repeats whose intervals overlap.")
    print("in repeat: the next speed-up lies within the repeat half-width of this one (95% by its definition)")
    print("sd proc.: between processes of one measurement. sd times: between measurements, beyond that; "
          f"the repeat half-width allows for {BETWEEN_MEASUREMENTS_SD:.1%}")  # fmt: skip
    below = [" ".join(case) for case, measured in found.items() if not agreement(measured).reached]
    print(f"below {AIM:.0%}: {', '.join(below)}" if below else f"all at least {AIM:.0%}")
    return 1 if below else 0
