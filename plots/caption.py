"""Caption file of a figure: what it shows, samples, machines, versions, and the command that draws it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from benchmark.records.leaderboard import atomic_write

_COMMAND_LINE = re.compile(r"^ *python plots/\S+.*\n", re.M)


def write(name: str, description: str, frame: pd.DataFrame, command: str, out: Path) -> Path:
    """Write `<out>/<name>.md` from a figure's docstring and the records it was drawn from; returns the path."""
    path = out / f"{name}.md"
    with atomic_write(path) as temporary:
        temporary.write_text(caption(name, description, frame, command), encoding="utf-8")
    return path


def caption(name: str, description: str, frame: pd.DataFrame, command: str) -> str:
    """The text: Markdown of a few short paragraphs."""
    shown = [" ".join(part.split()) for part in _COMMAND_LINE.sub("", description).split("\n\n")]
    facts = [f"Drawn from {len(frame)} records", _samples(frame), *_machines(frame), *_versions(frame)]
    parts = [f"![{name}]({name}.png)", *filter(None, shown), ". ".join(filter(None, facts)) + "."]
    if command:
        parts.append(f"Command: `{command}`")
    return "\n\n".join(parts) + "\n"


def _samples(frame: pd.DataFrame) -> str:
    sizes = sorted({int(n) for n in frame["n"].dropna()})
    if not sizes:
        return ""
    return f"Samples per record: {sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")


def _machines(frame: pd.DataFrame) -> list[str]:
    """Each machine once, by its fingerprint; with its processor where the records are at hand."""
    named = {}
    for fingerprint, machine in zip(frame["fingerprint"], frame["machine"], strict=True):
        facts = machine if isinstance(machine, dict) else {}
        processor = ", ".join(str(facts[key]) for key in ("cpu_model", "os") if facts.get(key))
        named[fingerprint] = f"{fingerprint} ({processor})" if processor else str(fingerprint)
    return [f"Machine: {'; '.join(named[key] for key in sorted(named))}"] if named else []


def _versions(frame: pd.DataFrame) -> list[str]:
    versions = {one.get("exitbench") for one in frame["provenance"] if isinstance(one, dict)} - {None}
    days = sorted({str(created)[:10] for created in frame["created"] if created})
    return [
        *([f"exitbench {', '.join(sorted(map(str, versions)))}"] if versions else []),
        *([f"Measured {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")] if days else []),
    ]
