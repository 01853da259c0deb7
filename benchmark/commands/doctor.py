"""`exitbench doctor`: this machine, its noise, its packages, and which sources of data answer."""

from __future__ import annotations

import argparse

from benchmark import __version__


def run(arguments: argparse.Namespace) -> int:
    """Print what a run would find here; says what to do where something is missing."""
    from concurrent.futures import ThreadPoolExecutor

    from benchmark.assets import sources_status
    from benchmark.hardware import fingerprint, noise

    with ThreadPoolExecutor() as pool:
        sources = pool.submit(sources_status)
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
