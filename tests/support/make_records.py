"""Synthetic records that look like real ones: two models, clean and attacked, on any hardware, with raw latency.

Nothing is measured here; the numbers only keep the identities that real records keep (histogram, means, n).
"""

from __future__ import annotations

import base64
import io
import math
import random
import statistics
from typing import Any

from PIL import Image

from benchmark.records.record import Record, record_id

MODELS: dict[str, dict[str, Any]] = {
    "dvt_fashion": {
        "dataset": "fashion_mnist",
        "exits": [0.889, 0.914, 0.926],
        "gmacs": [0.00624, 0.02047, 0.04763],
        "clean": [1540, 310, 150],
        "same": [112, 388, 1500],
        "threshold": 0.87,
        "ms": [1.9, 4.4, 7.8],
    },
    "minilm_exits": {
        "dataset": "movie_snippets",
        "exits": [0.745, 0.778, 0.841, 0.867, 0.869, 0.872],
        "gmacs": [0.021, 0.042, 0.063, 0.084, 0.105, 0.126],
        "clean": [60, 100, 430, 210, 90, 110],
        "same": [0, 2, 18, 60, 120, 800],
        "threshold": 0.52,
        "ms": [2.8, 5.2, 7.7, 10.1, 12.6, 15.0],
    },
}


def make_record(
    model: str = "dvt_fashion",
    workload: str = "clean",
    hardware: str = "cpu_1t",
    policy: str = "confidence",
    machine: str = "a1b2c3d4",
    status: str = "ok",
    seed: int = 0,
    rounds: int = 40,
    **changes: Any,
) -> Record:
    """One record; `changes` replace whole fields of Record."""
    facts = MODELS[model]
    choices = {"model": model, "dataset": facts["dataset"], "workload": workload, "policy": policy}
    choices |= {"hardware": hardware, "scenario": "single_stream"}
    fields: dict[str, Any] = {
        "record_id": record_id({**choices, "machine": machine, "seed": seed, "status": status}),
        "status": status,
        "reasons": [] if status == "ok" else ["canary 1.08 [1.02, 1.14] misses 1"],
        "created": "2026-01-02T03:04:05+00:00",
        "choices": choices,
        "config": {"model": {"name": model}, "policy": {"threshold": facts["threshold"]}, "limit": None},
        "seeds": {"run": seed} | ({"attack": 7} if workload != "clean" else {}),
        "provenance": {"weights_sha256": f"{model}-weights", "dataset_fingerprint": "f00d", "git_commit": "0" * 40},
        "machine": {"id": machine, "cpu": "Example CPU", "cores": 2},
        "attack": {} if workload == "clean" else attack(model, workload),
        "audit": {"predictions_equal": True, "exits_equal": True, "ties": 0},
        "latency": latency(model, workload, hardware, seed, rounds),
    }
    fields |= outcome(model, workload)
    if workload == "clean" and facts["dataset"] == "fashion_mnist":  # of images, as real runs of them do
        fields["results"]["protocol"] = protocol(facts)
        fields["examples"] = pictures(len(facts["exits"]))
    return Record(**fields | changes)


def outcome(model: str, workload: str) -> dict[str, Any]:
    """What replaying the trace gives: data, operating point, exits, results, curve."""
    facts = MODELS[model]
    histogram = facts["clean" if workload == "clean" else "same"]
    n, harm = sum(histogram), 0.0 if workload == "clean" else 0.06
    depth = sum((i + 1) * count for i, count in enumerate(histogram)) / n
    gmacs = sum(count * cost for count, cost in zip(histogram, facts["gmacs"], strict=True)) / n
    full = facts["gmacs"][-1]
    exits = [
        {
            "exit_depth": i + 1,
            "accuracy": a - harm,
            "accuracy_stderr": share(a - harm, n)["stderr"],
            "gmacs": cost,
            "reliability": reliability(a - harm, n),
        }
        for i, (a, cost) in enumerate(zip(facts["exits"], facts["gmacs"], strict=True))
    ]
    return {
        "data": {"n": n, "split": "test", "limit": None, "truncated": 0},
        "operating_point": {"threshold": facts["threshold"], "chosen_by": "max_drop", "max_drop": 0.01},
        "exits": exits,
        "results": {
            "accuracy": share(facts["exits"][-1] - 0.006 - harm, n),
            "accuracy_full": share(facts["exits"][-1] - harm, n),
            "exit_histogram": list(histogram),
            "mean_exit_depth": depth,
            "gmacs_mean": gmacs,
            "gmacs_full": full,
            "mac_speedup": full / gmacs,
        },
        "curve": curve(facts, harm),
    }


def reliability(accuracy: float, n: int) -> dict[str, Any]:
    """Two bins around an accuracy, the surer one a little too sure."""
    high, low = min(0.98, accuracy + 0.05), accuracy - 0.1
    counts = [n // 3, n - n // 3]
    right = [accuracy - 0.1 * counts[1] / counts[0] / 4, accuracy + 0.1 / 4]
    ece = sum(count / n * abs(a - c) for count, a, c in zip(counts, right, (low, high), strict=True))
    return {"bins": 15, "count": counts, "confidence": [low, high], "accuracy": right, "ece": ece}


def share(value: float, n: int) -> dict[str, Any]:
    """A fraction as records hold it."""
    return {"value": value, "stderr": math.sqrt(value * (1 - value) / n), "n": n}


def attack(model: str, workload: str) -> dict[str, Any]:
    """What an attack reports: what it took, against queries, and two examples of the model's kind."""
    facts = MODELS[model]
    taken, num_exits = 0.9 if workload == "same" else 0.4, len(facts["exits"])
    text = facts["dataset"] == "movie_snippets"
    search = {"least": 3, "share": 0.1} if text else {"epsilon": 8 / 255, "norm": "linf"}
    curve = [{"queries": q, "gain_lost": taken * min(1, q / 100), "gain_lost_layers": None} for q in (1, 10, 100)]
    exits = {"index": 0, "label": 1, "exit_before": 1, "exit_after": num_exits, "answer_before": 1, "answer_after": 0}
    words = {"texts_before": ["a truly great film"], "texts_after": ["a truly dim film"],
             "changed": [{"text": 0, "start": 8, "end": 11, "old": "great"}]}  # fmt: skip
    shown = words if text else {"png_before": grey(128), "png_after": grey(135)}
    return {
        "settings": {"search": search}, "queries_mean": 238.5, "changed_mean": 2.4, "gain_lost": taken,
        "accuracy_before": 0.9, "accuracy_after": 0.5, "right": {"gain_lost": taken}, "wrong": {"n": 0},
        "against_queries": curve, "examples": [exits | shown] * 2,
    }  # fmt: skip


def grey(level: int) -> str:
    """A square of one grey as PNG in base64."""
    stream = io.BytesIO()
    Image.new("L", (8, 8), level).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def curve(facts: dict[str, Any], harm: float) -> list[dict[str, Any]]:
    """Twenty thresholds from the first exit to the last, above the line between single exits."""
    low, high, num_exits = facts["gmacs"][0], facts["gmacs"][-1], len(facts["gmacs"])
    first, last = facts["exits"][0] - harm, facts["exits"][-1] - harm
    points = []
    for step in range(20):
        t = step / 19
        accuracy = first + (last - first) * (1 - (1 - t) ** 3) + 0.004 * t * (1 - t)
        points.append(
            {
                "threshold": None if step == 19 else 0.5 + t / 2,
                "accuracy": accuracy,
                "gmacs_mean": low + (high - low) * t**1.3,
                "mean_exit_depth": 1 + (num_exits - 1) * t,
            }
        )
    return points


def protocol(facts: dict[str, Any]) -> dict[str, Any]:
    """Fifty-nine points for each way to spend a budget, the controls below the others."""
    points = curve(facts, 0.0)[:1] + [point for point in curve(facts, 0.0) for _ in range(3)][:58]
    gmacs = [point["gmacs_mean"] for point in points]
    ways = {
        name: {"gmacs_mean": gmacs, "accuracy": [point["accuracy"] - loss for point in points]}
        for name, loss in (("budget", 0.0), ("geometric", 0.002), ("entropy", 0.004), ("random", 0.01))
    }
    return {"p": list(range(1, 60)), "budget_gmacs": gmacs, **ways}


def pictures(exits: int) -> list[dict[str, Any]]:
    """A grey square for each of two classes and every exit, but one."""
    stream = io.BytesIO()
    Image.new("L", (8, 8), 128).save(stream, format="PNG")
    png = base64.b64encode(stream.getvalue()).decode()
    return [
        {"exit_depth": depth, "class_name": name, "index": depth, "confidence": 0.9, "png": png}
        for name in ("t-shirt/top", "ankle boot")
        for depth in range(1, exits + 1)
        if (name, depth) != ("ankle boot", exits)
    ]


def latency(model: str, workload: str, hardware: str, seed: int, rounds: int) -> dict[str, Any]:
    """A stopwatch's report with raw values; two threads are a little faster and noisier than one."""
    facts, chance = MODELS[model], random.Random(f"{model}{workload}{hardware}{seed}")
    histogram = facts["clean" if workload == "clean" else "same"]
    factor = {"cpu_1t": 1.0, "cpu_2t": 0.62}.get(hardware, 0.1)
    mean = sum(count * ms for count, ms in zip(histogram, facts["ms"], strict=True)) / sum(histogram) * factor
    full = facts["ms"][-1] * factor
    raw = {
        f"{name}_{clock}_ms": [ms * chance.uniform(0.97, 1.1) for _ in range(rounds)]
        for name, ms in (("full", full), ("early", mean), ("canary", full))
        for clock in ("wall", "cpu")
    }
    # As the stopwatch does on one round of each sample: total over total, percentiles of the wall clock.
    ratio = {kind: sum(raw["full_cpu_ms"]) / sum(raw[f"{kind}_cpu_ms"]) for kind in ("early", "canary")}
    middle = {kind: statistics.median(raw[f"{kind}_wall_ms"]) for kind in ("early", "full")}
    tenth = {kind: statistics.quantiles(raw[f"{kind}_wall_ms"], n=10, method="inclusive")[-1] for kind in middle}
    speedup, canary = ratio["early"], ratio["canary"]
    report: dict[str, Any] = {"scenario": "single_stream", "clock": "cpu", "n": rounds, "rounds": rounds}
    report |= {"speedup": speedup, "speedup_lo": speedup * 0.985, "speedup_hi": speedup * 1.017}
    report |= {"canary": canary, "canary_lo": 0.995, "canary_hi": 1.006, "unreliable": [], "outliers": 1}
    report |= {"latency_ms_p50": middle["early"], "latency_ms_p90": tenth["early"], "latency_ms_p99": None}
    report |= {"full_ms_p50": middle["full"], "full_ms_p90": tenth["full"], "full_ms_p99": None}
    return report | raw | {"sample_of": list(range(rounds)), "exit_depths": [1] * rounds}


def make_failed(**changes: Any) -> Record:
    """What a combination that crashed leaves behind."""
    whole = make_record(status="failed", **changes)
    kept = ("record_id", "status", "created", "choices", "machine", "config")
    return Record(**{name: getattr(whole, name) for name in kept}, reasons=["RuntimeError: out of memory"])


def make_sweep(hardware: tuple[str, ...] = ("cpu_1t", "cpu_2t")) -> list[Record]:
    """The demo's sweep: two models, clean and attacked, on each hardware profile."""
    return [make_record(m, w, h) for m in MODELS for w in ("clean", "same") for h in hardware]
