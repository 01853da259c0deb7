"""Export a combination as a folder that runs without torch: graphs, exit rule, manifest, runner and a check."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark import __version__
from benchmark.cost.macs import cost, table
from benchmark.engine import onnx_graphs
from benchmark.engine.bundle import graphs, inputs
from benchmark.hardware.profiles import applied
from benchmark.models.fixed_exit import FixedExit
from benchmark.policies.base import ThresholdPolicy, live_columns
from benchmark.policies.calibration import operating_point
from benchmark.policies.never import Never
from benchmark.policies.replay import trace_depths
from benchmark.records.provenance import provenance
from benchmark.records.record import utc_now
from benchmark.records.schema import Section
from benchmark.run.pipeline import take
from benchmark.run.settings import Settings
from benchmark.run.trace import trace
from benchmark.run.trace_cache import traced
from benchmark.timing.audit import Audit, audit
from benchmark.types import Dataset, ExitbenchError, Hardware, Sample
from benchmark.utils.files import new_folder, sha256_file

FORMAT = 1
MANIFEST = "manifest.json"
PROGRAMS = ("runner.py", "check.py")


class Subject(NamedTuple):
    """What is exported: a model, its data, the rule as configured, and where the graphs will run."""

    model: Any
    dataset: Dataset
    policy: ThresholdPolicy
    hardware: Hardware
    settings: Settings


def export(subject: Subject, out: Path, name: str, command: str, checked: int = 100) -> Section:
    """Write the folder `out`, whole or not at all; returns its manifest.

    The threshold is chosen on the calibration split, as in a run. A rule that takes one exit whatever it sees (`never`,
    `always_first`, `fixed_exit`) gives a single graph without the heads before. A profile that quantises gives int8
    graphs. checked: at most so many test samples go into the folder with their answers and exits, for its check.py.

    Raises:
        ExitbenchError: a folder that holds something else; a model or rule that cannot become graphs; graphs whose
            answers or exits are not torch's.
    """
    model, dataset, _, hardware, settings = subject
    versions = onnx_graphs.versions()
    live_columns(subject.policy, model)
    with new_folder(out, MANIFEST, "an earlier export") as folder, applied(hardware):
        policy, facts = _operating_point(subject)
        exported, rule = _without_other_heads(model, policy)
        samples = take(dataset.test, checked, settings.seed)
        manifest: Section = {
            "format": FORMAT, "made_by": f"exitbench {__version__}", "command": command, "created": utc_now(),
            "model": name, "classes": list(dataset.class_names), **_graphs(exported, rule, samples, hardware, folder),
            "input": inputs.describe(exported, samples, getattr(dataset.test, "resize", None), folder),
            "policy": {"name": policy.name, **facts}, "metric": facts["metric"],
            "quantise": hardware.quantise, "weights_sha256": model.weights_hash,
            "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            "provenance": provenance(), "versions": versions,
        }  # fmt: skip
        for name in PROGRAMS:
            (folder / name).write_text(_shipped(name), encoding="utf-8")
        _write(manifest, folder)
        manifest["check"] = _check(exported, rule, samples, hardware, folder)
        (folder / "README.md").write_text(_readme(manifest), encoding="utf-8")
        _write(manifest, folder)
    return manifest


def _operating_point(subject: Subject) -> tuple[ThresholdPolicy, Section]:
    model, dataset, policy, _, settings = subject
    clean = traced(model, dataset.calibration, settings.batch_size, "cpu", "float32", "trace calibration")
    macs = table(cost(model, clean.lengths.tolist()), clean.lengths)
    policy, point = operating_point.find_operating_point(
        policy, model, clean, macs, settings.choose, settings.max_drop, dataset.metric, settings.guarantee
    )
    return policy, {**point.section(), "gmacs_to_each_exit": (macs.mean(0) / 1e9).tolist()}


def _without_other_heads(model: Any, policy: ThresholdPolicy) -> tuple[Any, ThresholdPolicy]:
    """The model and rule to export: for a rule that always takes one exit, the network up to it, and no rule."""
    fixed = policy.fixed_exit(model.num_exits)
    return (model, policy) if fixed is None else (FixedExit(model, fixed).eval(), Never())


def _graphs(model: Any, policy: ThresholdPolicy, samples: Any, hardware: Hardware, folder: Path) -> Section:
    """Stages and rules, and what the runner needs to know of them."""
    reads = live_columns(policy, model)
    total = model.num_classes + getattr(model, "extra_columns", 0)
    first, last, _ = reads.indices(total)
    rules = graphs.export_rule(policy, last - first, model.num_exits, folder)
    example = _of_two_lengths(model, samples)
    stages = graphs.export_stages(model, example, folder, hardware.quantise != "none")
    row, dtype = graphs.start_row(policy)
    none: Section = {"rule": None, "threshold": None}
    return {
        "stages": [{**stage, **rule} for stage, rule in zip(stages, [*rules, none], strict=True)],
        "reads": [first, last],
        "rising": policy.rising,
        "state": row,
        "state_dtype": dtype,
    }


def _of_two_lengths(model: Any, samples: Any) -> Any:
    """An example batch: two pictures, or the shortest and the longest of the first texts, so that one is padded."""
    lengths = model.collate(list(samples)).lengths
    return model.collate([samples[int(lengths.argmin())], samples[int(lengths.argmax())]])


def _check(model: Any, policy: ThresholdPolicy, samples: Any, hardware: Hardware, folder: Path) -> Section:
    """Run the folder as its user will, compare with torch, and keep the samples on which both agree.

    Differences on a sample that lies on a threshold or between two classes are rounding, and it is left out. int8
    graphs are another arithmetic: their own answers are kept, and how many differ from torch's is said.
    """
    from benchmark.engine.bundle.runner import EarlyExit

    seen: list[Sample] = list(samples)
    exact = trace(model, seen, description="trace the check")
    depths = trace_depths(policy, exact)
    wanted = exact.logits[torch.arange(len(seen)), depths - 1].argmax(-1)
    inputs.write_check(model, seen, wanted.tolist(), depths.tolist(), folder)
    logits, exits = EarlyExit(folder, hardware.threads).run(inputs.read_check(model, seen, folder))
    answers = torch.from_numpy(logits).argmax(-1)
    live = torch.from_numpy(exits)
    differ = (answers != wanted) | (live != depths)
    found: Audit = audit(policy, exact.logits, exits.tolist(), answers.tolist(), exact.extra)
    if hardware.quantise == "none":
        if not found.passed:
            raise ExitbenchError(
                f"export: the graphs are not the model: {found.exits_differ} exits and {found.predictions_differ} "
                f"answers of {len(seen)} differ from torch's"
            )
        same = [row for row in range(len(seen)) if not differ[row]]
    else:
        same, wanted, depths = list(range(len(seen))), answers, live
    inputs.write_check(model, [seen[row] for row in same], wanted[same].tolist(), depths[same].tolist(), folder)
    return {"n": len(same), "differ_from_torch": int(differ.sum()), "ties": found.ties}


def _write(manifest: Section, folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    manifest["files"] = {path.name: sha256_file(path) for path in files}
    manifest["bytes"] = sum(path.stat().st_size for path in files)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _shipped(name: str) -> str:
    return (resources.files("benchmark.engine.bundle") / name).read_text(encoding="utf-8")


def _readme(manifest: Section) -> str:
    given, rule = manifest["input"], manifest["policy"]
    text = given["kind"] == "text"
    limits = dict.fromkeys(stage["threshold"] for stage in manifest["stages"][:-1])  # each once
    return _shipped("README.md").format(
        model=manifest["model"],
        dataset=manifest["dataset"]["name"],
        made_by=manifest["made_by"],
        packages="onnxruntime numpy tokenizers" if text else "onnxruntime numpy pillow",
        example='"a text" "another one"' if text else "picture.png",
        exits=len(manifest["stages"]),
        policy=rule["name"],
        thresholds=", ".join("null" if one is None else f"{one:.6g}" for one in limits) or "null",
        chosen_by=rule["chosen_by"],
        max_drop=rule["max_drop"],
        n=manifest["check"]["n"],
        command=manifest["command"],
    )
