"""The leaderboard's columns, computed from one record and, if there is one, its clean twin.

Gains lost compare an attacked record with its clean twin: the record of the same model, weights, dataset,
samples, policy, threshold, hardware, machine, scenario and seeds, under the workload `clean`.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.records import metrics
from benchmark.records.schema import Record, Section

# name -> kind of column, in the order of the CSV. "lists" are counts, "object" columns are not in the CSV.
COLUMNS: dict[str, str] = {
    **dict.fromkeys(("model", "dataset", "workload", "policy"), "text"),
    "threshold": "number",
    **dict.fromkeys(("hardware", "scenario"), "text"),
    "n": "count",
    **dict.fromkeys(("accuracy", "accuracy_full", "gmacs_mean", "gmacs_full"), "number"),
    **dict.fromkeys(("mac_speedup", "mean_exit_depth"), "number"),
    "exit_histogram": "lists",
    **dict.fromkeys(("latency_ms_p50", "latency_ms_p90", "speedup", "speedup_lo", "speedup_hi"), "number"),
    **dict.fromkeys(("realized", "gain_lost", "queries_mean"), "number"),
    **dict.fromkeys(("status", "fingerprint", "record_id"), "text"),
    "rank": "count",
    "num_exits": "count",
    **dict.fromkeys(("accuracy_stderr", "accuracy_full_stderr", "mac_saving", "layer_speedup"), "number"),
    **dict.fromkeys(("efficacy", "latency_ms_p99", "full_ms_p50", "canary"), "number"),
    **dict.fromkeys(("gain_lost_layers", "gain_lost_macs", "gain_lost_latency"), "number"),
    **dict.fromkeys(("accuracy_diff", "score_diff", "gmacs_diff", "mac_speedup_diff"), "number"),
    **dict.fromkeys(("mean_exit_depth_diff", "speedup_diff", "latency_ms_p50_diff"), "number"),
    **dict.fromkeys(("changed_mean", "seconds_mean", "share_full_depth"), "number"),
    **dict.fromkeys(("score", "score_full"), "number"),
    "batch": "count",
    **dict.fromkeys(("samples_per_s", "full_samples_per_s", "padding_share", "gmacs_executed"), "number"),
    **dict.fromkeys(("exits_changed", "accuracy_shift", "depth_shift", "compile_s"), "number"),
    **dict.fromkeys(("weight_bytes", "peak_rss_bytes", "peak_device_bytes"), "count"),
    **dict.fromkeys(("energy_j", "energy_full_j"), "number"),
    "energy_source": "text",
    **dict.fromkeys(("metric", "split", "twin_id", "created", "reasons"), "text"),
    **dict.fromkeys(("gain_lost_lo", "gain_lost_hi", "gain_lost_layers_lo", "gain_lost_layers_hi"), "number"),
    **dict.fromkeys(("gain_lost_macs_lo", "gain_lost_macs_hi", "queries_mean_lo", "queries_mean_hi"), "number"),
    **dict.fromkeys(("overthinking", "underthinking", "oracle_gap"), "number"),
    **dict.fromkeys(("nonmonotone_25", "nonmonotone_50", "exit_leak", "exit_leak_chance"), "number"),
    **dict.fromkeys(("exits", "curve", "results", "config", "examples", "attack"), "object"),
    **dict.fromkeys(("machine", "provenance"), "object"),
}
GAIN_INTERVALS = [f"gain_lost{kind}_{end}" for kind in ("", "_layers", "_macs") for end in ("lo", "hi")]
EXIT_BEHAVIOUR = (
    *("overthinking", "underthinking", "oracle_gap"),
    *("nonmonotone_25", "nonmonotone_50", "exit_leak", "exit_leak_chance"),
)
# Later columns: a CSV written before them is read as if they were empty.
ADDED_COLUMNS = {*GAIN_INTERVALS, "queries_mean_lo", "queries_mean_hi", *EXIT_BEHAVIOUR}
OBJECTS = [name for name, kind in COLUMNS.items() if kind == "object"]  # whole sections of the record
CSV_COLUMNS = [name for name, kind in COLUMNS.items() if kind != "object"]
# Numbers differ across these for reasons that are not the model's or the policy's: rows are ranked within one.
COMPARABLE = ["dataset", "split", "n", "workload", "hardware", "scenario", "batch", "fingerprint"]
_CLOCKED = ("batch", "samples_per_s", "full_samples_per_s", "padding_share", "gmacs_executed", "compile_s")
_METERED = ("weight_bytes", "peak_rss_bytes", "peak_device_bytes", "energy_j", "energy_full_j", "energy_source")

Row = Section


def row(record: Record) -> Row:
    """All columns of one record, except the rank and those that need a twin."""
    results, latency, attack = record.results, record.latency, record.attack
    accuracy, accuracy_full = results.get("accuracy", {}), results.get("accuracy_full", {})
    # Records from before scores are of tasks whose metric is accuracy; failed ones have no score.
    score = results.get("score", {"metric": "accuracy" if results else None, "value": accuracy.get("value")})
    cells = {
        **{name: record.choices[name] for name in ("model", "dataset", "workload", "policy", "hardware", "scenario")},
        **{name: record.data.get(name) for name in ("n", "split")},
        **{name: results.get(name) for name in ("gmacs_mean", "gmacs_full", "mac_speedup", "mean_exit_depth")},
        **{name: latency.get(name) for name in ("latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "full_ms_p50")},
        **{name: latency.get(name) for name in ("speedup", "speedup_lo", "speedup_hi", "canary")},
        **{name: attack.get(name) for name in ("queries_mean", "changed_mean", "seconds_mean", "share_full_depth")},
        **{name: attack.get(name) for name in ("queries_mean_lo", "queries_mean_hi")},
        **{name: getattr(record, name) for name in ("status", "record_id", "created", *OBJECTS)},
        **{name: latency.get(name) for name in (*_CLOCKED, *_METERED)},
        **{name: results.get("exit_behaviour", {}).get(name) for name in EXIT_BEHAVIOUR},
        **_shift(results.get("precision_shift", {})),
        "threshold": record.operating_point.get("threshold"),
        "accuracy": accuracy.get("value"),
        "accuracy_stderr": accuracy.get("stderr"),
        "accuracy_full": accuracy_full.get("value"),
        "accuracy_full_stderr": accuracy_full.get("stderr"),
        "metric": score["metric"],
        "score": score["value"],
        "score_full": results.get("score_full", accuracy_full.get("value")),
        "exit_histogram": results.get("exit_histogram"),
        "mac_speedup_timed": results.get("mac_speedup_timed", results.get("mac_speedup")),
        "fingerprint": record.machine["id"],
        "reasons": "; ".join(record.reasons),
    }
    return cells | (_derived(cells) if results else {})


def _shift(shift: Section) -> Row:
    """Change of answers and exits by a profile's arithmetic, against float32."""
    names = {"exits_changed": "exits_changed", "accuracy_shift": "accuracy_diff", "depth_shift": "mean_exit_depth_diff"}
    return {column: shift.get(name) for column, name in names.items()}


def _derived(cells: Row) -> Row:
    """Columns computed from other columns of the record."""
    histogram, costs = cells["exit_histogram"], [place["gmacs"] for place in cells["exits"]]
    return {
        "num_exits": len(histogram),
        "mac_saving": 1 - cells["gmacs_mean"] / cells["gmacs_full"],
        "layer_speedup": metrics.layer_speedup(cells["mean_exit_depth"], len(histogram)),
        "efficacy": metrics.efficacy(histogram, costs) if cells["n"] else None,
        "realized": cells["speedup"] / cells["mac_speedup_timed"] if cells["speedup"] is not None else None,
    }


def against(clean: Row, attacked: Row) -> Row:
    """Columns that compare an attacked row with its clean twin's.

    gain_lost_latency is given only where both clocks held and the clean gain is sure: its interval lies above 1.
    """
    compared: Row = {
        "twin_id": clean["record_id"],
        "gain_lost": metrics.gain_lost(clean["layer_speedup"], attacked["layer_speedup"]),
        "gain_lost_layers": metrics.gain_lost_layers(
            clean["mean_exit_depth"], attacked["mean_exit_depth"], clean["num_exits"]
        ),
        "gain_lost_macs": metrics.gain_lost(clean["mac_speedup"], attacked["mac_speedup"]),
        "accuracy_diff": attacked["accuracy"] - clean["accuracy"],
        "gmacs_diff": attacked["gmacs_mean"] - clean["gmacs_mean"],
        "mac_speedup_diff": attacked["mac_speedup"] - clean["mac_speedup"],
        "mean_exit_depth_diff": attacked["mean_exit_depth"] - clean["mean_exit_depth"],
    }
    if clean["score"] is not None and attacked["score"] is not None:
        compared["score_diff"] = attacked["score"] - clean["score"]
    # Computed when the record was made, from its per-sample depths; older records have none.
    compared |= {name: attacked["attack"].get(name) for name in GAIN_INTERVALS}
    before, after = clean["speedup"], attacked["speedup"]
    if before is not None and after is not None and clean["status"] == attacked["status"] == "ok":
        compared["speedup_diff"] = after - before
        if clean["latency_ms_p50"] is not None and attacked["latency_ms_p50"] is not None:
            compared["latency_ms_p50_diff"] = attacked["latency_ms_p50"] - clean["latency_ms_p50"]
        compared["gain_lost_latency"] = metrics.gain_lost(before, after) if clean["speedup_lo"] > 1 else None
    return compared


def _twin_key(record: Record) -> tuple[object, ...]:
    """Key that an attacked record shares with its clean twin."""
    seeds = {name: seed for name, seed in record.seeds.items() if name != "attack"}
    return (
        *(record.choices[name] for name in ("model", "dataset", "policy", "hardware", "scenario")),
        *(record.data.get(name) for name in ("n", "split", "limit")),
        *(record.provenance.get(name) for name in ("weights_sha256", "dataset_fingerprint")),
        record.operating_point.get("threshold"),
        record.latency.get("batch"),
        repr(record.operating_point.get("thresholds")),
        record.machine["id"],
        repr(sorted(seeds.items())),
    )


def rows(records: Iterable[Record]) -> list[Row]:
    """One row per record, sorted, machine by machine; gains lost are filled where a clean twin is among the records.

    Among several clean twins, an `ok` one is preferred to an `unreliable` one, then the latest.
    """
    pairs = [(record, row(record)) for record in records]
    twins: dict[tuple[object, ...], Row] = {}
    for record, cells in sorted(pairs, key=lambda pair: (pair[0].status == "ok", pair[0].created, pair[0].record_id)):
        if record.status != "failed" and record.choices["workload"] == "clean":
            twins[_twin_key(record)] = cells
    for record, cells in pairs:
        if record.status != "failed" and record.choices["workload"] != "clean":
            clean = twins.get(_twin_key(record))
            cells.update(against(clean, cells) if clean else {})
    return sorted((cells for _, cells in pairs), key=_place)


def _place(cells: Row) -> tuple[object, ...]:
    threshold = cells["threshold"]
    return (
        *(
            cells["fingerprint"],
            cells["model"],
            cells["dataset"],
            cells["workload"] != "clean",
            cells["workload"],
            cells["policy"],
        ),
        *(threshold is None, threshold or 0.0, cells["hardware"], cells["scenario"]),
        cells["record_id"],
    )
