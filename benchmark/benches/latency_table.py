"""Milliseconds to each exit on this machine, by input length, and what they predict of a policy beside the stopwatch.

    exitbench bench latency_table [models=dvt_fashion,minilm_exits] [hardware=cpu_1t] [batch=1] [samples=64]
                                  [seconds=40] [processes=3] [out=results/latency]

For each exit: stages, heads and the rule's steps up to it, and the network cut off there without the other heads. The
table is made of ten of the samples, texts from the shortest to the longest, and kept in the cache by model, profile,
batch and machine. The prediction is the table's mean over the exits that the default rule takes on all `samples`, one
by one; the measurement is of those samples, in the same processes. out: a folder for latency_table.csv and .md; without
it they are printed alone.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.benches.support.exit_times import ExitTimes, measure
from benchmark.benches.support.setup import parse_options
from benchmark.cost import latency_table
from benchmark.cost.latency_table import LatencyTable
from benchmark.hardware.machine import fingerprint
from benchmark.records.record import utc_now
from benchmark.types import ExitbenchError
from benchmark.utils.cache import cache_dir
from benchmark.utils.files import atomic_write
from benchmark.utils.identity import content_hash

DEFAULTS = {"models": "dvt_fashion,minilm_exits", "hardware": "cpu_1t", "batch": 1, "samples": 64, "seconds": 40,
            "processes": 3, "out": ""}  # fmt: skip


class Checked(NamedTuple):
    """A prediction beside its measurement, milliseconds a sample; off = predicted / measured − 1."""

    what: str
    predicted: float
    measured: float
    off: float


def main(arguments: list[str]) -> int:
    """Print the tables, keep them in the cache, and write them to the folder `out`.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a model or profile that is not there.
    """
    options = parse_options("latency_table", DEFAULTS, arguments)
    if options["processes"] < 2:
        raise ExitbenchError(
            "bench latency_table: expected processes=2 or more, as one says nothing of the next, got 1"
        )
    found = []
    for name in options["models"].split(","):
        print(f"{name} on {options['hardware']}", file=sys.stderr, flush=True)
        found.append(_one(name, options))
        print(_text(*found[-1]))
    if options["out"]:
        command = " ".join(["exitbench bench latency_table", *arguments])
        for path in _write(found, command, Path(options["out"])):
            print(f"wrote {path}")
    return 0


def cached(model: str, weights: str, hardware: str, batch: int) -> Path:
    """Where the table of a model on a profile of this machine is kept."""
    key = content_hash([model, weights, hardware, batch, fingerprint()["id"]])
    return cache_dir() / "latency" / f"{key[:24]}.json"


def _one(name: str, options: dict[str, Any]) -> tuple[LatencyTable, list[Checked]]:
    parts: list[ExitTimes] = []
    for process in range(options["processes"]):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            share = options["seconds"] / options["processes"]
            asked = name, options["hardware"], options["samples"], options["batch"], share, process
            parts.append(pool.submit(measure, *asked).result())
    first = parts[0]
    (to_exit, to_half), (alone, alone_half) = (
        latency_table.mean_and_half([getattr(part, kind) for part in parts]) for kind in ("to_exit", "alone")
    )
    table = LatencyTable(
        name, first.weights, options["hardware"], str(fingerprint()["id"]), options["batch"], len(parts), first.grid,
        to_exit.tolist(), to_half.tolist(), alone.tolist(), alone_half.tolist(),
    )  # fmt: skip
    latency_table.write(table, cached(name, first.weights, options["hardware"], options["batch"]))
    return table, _checked(table, parts) if options["batch"] == 1 else []


def _checked(table: LatencyTable, parts: Sequence[ExitTimes]) -> list[Checked]:
    last = [len(table.to_exit[0])] * len(parts[0].depths)
    pairs = {
        "early exit": (parts[0].depths, [part.early_ms for part in parts]),
        "full depth": (last, [part.full_ms for part in parts]),
    }
    rows = []
    for what, (depths, times) in pairs.items():
        predicted, measured = table.predict(parts[0].lengths, depths), float(np.mean(times))
        rows.append(Checked(what, predicted, measured, predicted / measured - 1))
    return rows


def _rows(table: LatencyTable) -> list[tuple[str, ...]]:
    head = ("model", "hardware", "batch", "length", "exit", "ms to exit", "±", "ms between", "ms alone", "± alone")
    between = table.between()
    rows: list[tuple[str, ...]] = [head]
    for row, length in enumerate(table.lengths):
        for column in range(len(table.to_exit[0])):
            values = (table.to_exit, table.to_exit_half, between, table.alone, table.alone_half)
            numbers = (f"{one[row][column]:.4f}" for one in values)
            rows.append((table.model, table.hardware, str(table.batch), str(length or ""), str(column + 1), *numbers))
    return rows


CHECK_HEAD = ("model", "hardware", "what", "predicted ms", "measured ms", "off")


def _check_rows(table: LatencyTable, checked: Sequence[Checked]) -> list[tuple[str, ...]]:
    return [
        (table.model, table.hardware, one.what, f"{one.predicted:.3f}", f"{one.measured:.3f}", f"{one.off:+.1%}")
        for one in checked
    ]


def _text(table: LatencyTable, checked: Sequence[Checked]) -> str:
    parts = []
    for lines in (_rows(table), [CHECK_HEAD, *_check_rows(table, checked)]):
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        parts.append("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines))
    return "\n\n".join(parts)


def _write(found: Sequence[tuple[LatencyTable, list[Checked]]], command: str, folder: Path) -> list[Path]:
    facts = fingerprint()
    lines = [_rows(found[0][0])[0], *(row for table, _ in found for row in _rows(table)[1:])]
    checks = [CHECK_HEAD, *(row for table, checked in found for row in _check_rows(table, checked))]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    about = (
        f"{utc_now()}, {facts['cpu_model']}, {facts['cores_usable']} usable core(s), torch {facts['torch']}. "
        "Milliseconds of a batch; ± is half a 95% interval over processes. `ms to exit`: all of it up to there. "
        "`ms alone`: the network cut off there, the other heads left out. Made by the command; not edited."
    )
    page = "\n\n".join(["# Latency tables", f"    {command}", about, "## Prediction beside the stopwatch",
                        _markdown(checks), "## Milliseconds to each exit", _markdown(lines)])  # fmt: skip
    files = {folder / "latency_table.csv": stream.getvalue(), folder / "latency_table.md": page + "\n"}
    for path, content in files.items():
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(files)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rest))
