"""Card of a sweep: number of records, machines, time, and the limits of the records.

Every line is read from the records; `exitbench leaderboard --records FOLDER --table card --out FOLDER/../card.csv`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.records.schema import Section


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Two columns, fact and value; an empty table without records."""
    if frame.empty:
        return pd.DataFrame()
    rows = frame.to_dict("records")
    facts = {**_what(frame), **_where(rows), **_when(frame, rows), **_not_shown(frame, rows)}
    return pd.DataFrame(list(facts.items()), columns=["fact", "value"])


def _what(frame: Any) -> dict[str, str]:
    counts = frame["status"].value_counts().to_dict()
    return {
        "records": f"{len(frame)}: " + ", ".join(f"{counts[name]} {name}" for name in sorted(counts)),
        **{f"{name}s": _listed(frame[name]) for name in ("model", "dataset", "workload")},
        "rules": _listed(frame["policy"]),
        "hardware profiles": _listed(frame["hardware"]),
        "scenarios": _listed(frame["scenario"]),
    }


def _where(rows: list[Section]) -> dict[str, str]:
    """Each machine once, then all versions."""
    facts = {}
    machines = {row["fingerprint"]: row["machine"] for row in rows if row["machine"]}
    for name, machine in sorted(machines.items()):
        gpus = ", ".join(map(str, machine.get("gpus") or [])) or "no GPU"
        memory, cores = machine.get("memory_gib", "?"), machine.get("cores_usable", machine.get("cores", "?"))
        summary = f"{machine.get('cpu_model', '?')}, {cores} cores, {memory} GiB, {gpus}, {machine.get('os', '?')}"
        facts[f"machine {name}"] = f"{summary}, Python {machine.get('python', '?')}, torch {machine.get('torch', '?')}"
    provenance = [row["provenance"] for row in rows if row["provenance"]]
    facts["exitbench"] = _listed(one.get("exitbench") for one in provenance)
    commits = sorted({str(one.get("git_commit"))[:10] for one in provenance})
    dirty = sum(bool(one.get("git_dirty")) for one in provenance)
    facts["commits"] = ", ".join(commits) + (f"; {dirty} records of a changed clone" if dirty else "")
    return facts


def _when(frame: Any, rows: list[Section]) -> dict[str, str]:
    attacks = [
        (row["seconds_mean"], row["n"]) for row in rows if not pd.isna(row["seconds_mean"]) and not pd.isna(row["n"])
    ]
    seconds = sum(mean * n for mean, n in attacks)
    facts = {"made": f"{frame['created'].min()} to {frame['created'].max()}"}
    return facts | ({"time of the attacks": f"{seconds / 60:.0f} min, those taken from the cache included"}
                    if attacks else {})  # fmt: skip


def _not_shown(frame: Any, rows: list[Section]) -> dict[str, str]:
    """Limits that follow from the records."""
    held = frame[frame["status"] != "failed"]
    limits: dict[str, str] = {}
    if len(held):
        least, most = held["n"].min(), held["n"].max()
        samples = f"{least}" if least == most else f"{least} to {most}"
        error = 100 * held["accuracy_stderr"].max()
        limits["samples of each test set"] = f"{samples}; an accuracy's standard error is up to {error:.1f} points"
    machines = frame["fingerprint"].nunique()
    if machines == 1:
        limits["one machine"] = "nothing here says how fast another is; realized holds for this one alone"
    else:
        limits["several machines"] = f"{machines}; milliseconds of two of them do not compare"
    if not any((row["machine"] or {}).get("gpus") for row in rows):
        limits["no GPU"] = "nothing here says what early exit gives on one"
    if set(frame["scenario"]) == {"single_stream"}:
        limits["one sample at a time"] = "batches that shrink are another scenario"
    untimed = int(held["speedup"].isna().sum())
    if untimed:
        limits["untimed records"] = f"{untimed}: their gains are in layers and MACs"
    for status, word in (("unreliable", "shown, not ranked"), ("failed", "shown, without figures")):
        found = frame[frame["status"] == status]
        if len(found):
            limits[status] = f"{len(found)}, {word}: {_listed(found['record_id'])}"
    missing = frame[(frame["workload"] != "clean") & (frame["twin_id"] == "") & (frame["status"] != "failed")]
    if len(missing):
        limits["attacked without a clean twin"] = _listed(missing["record_id"])
    lone = sorted(set(frame["model"]) - set(frame.loc[frame["workload"] != "clean", "model"]))
    if lone:
        limits["never attacked"] = ", ".join(lone)
    return limits


def _listed(values: Any) -> str:
    return ", ".join(sorted({str(value) for value in values if value}))
