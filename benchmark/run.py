"""The corridor: one combination of model, dataset, workload, policy and hardware, from samples to a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark import attack_report, drops, metrics, operating_point
from benchmark.attack_report import Side
from benchmark.audit import audit
from benchmark.decide import ThresholdPolicy, read_live, trace_depths, trace_signals
from benchmark.hardware import applied, fingerprint, noise
from benchmark.macs import cost, table
from benchmark.provenance import provenance
from benchmark.record import Record, utc_now
from benchmark.timing import Limits, stopwatch
from benchmark.trace_cache import traced
from benchmark.types import Dataset, ExitbenchError, Hardware, Latency, Trace, Workload


@dataclass(frozen=True)
class Settings:
    """What a run is asked for beside its five choices.

    limit: test samples measured, a seeded choice; 0 for all. timed: at most so many of them on the stopwatch; 0 leaves
    an untimed record, whose latency and audit are empty.
    choose: pick the threshold on the calibration split instead of taking the policy's.
    """

    choose: bool
    max_drop: float
    limit: int = 0
    seed: int = 0
    batch_size: int = 64
    timed: int = 256
    scenario: str = "single_stream"

    def __post_init__(self) -> None:
        for name, least in (("limit", 0), ("seed", 0), ("batch_size", 1), ("timed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ExitbenchError(f"{name}: expected a whole number from {least}, got {value!r}")
        if self.scenario != "single_stream":
            raise ExitbenchError(f"scenario: expected single_stream, got {self.scenario!r}")


def run(
    model: Any,
    dataset: Dataset,
    workload: Workload,
    policy: ThresholdPolicy,
    hardware: Hardware,
    settings: Settings,
    limits: Limits,
    **identity: Any,
) -> Record:
    """Measure one combination. identity: record_id, choices and config, which the record carries as they are."""
    dtype = getattr(torch, hardware.dtype)
    model = model.to(hardware.device, dtype).eval()
    samples = take(dataset.test, settings.limit, settings.seed)
    if settings.timed or policy.reads == "extra":  # refused before anything is traced
        read_live(policy, model)
    with applied(hardware):
        clean = _trace(model, dataset.calibration, settings, hardware, "trace calibration")
        clean_macs = table(cost(model, clean.lengths.tolist()), clean.lengths)
        pick = operating_point.choose if settings.choose else operating_point.given
        point = pick(policy, clean, clean_macs, settings.max_drop)
        policy = policy.at(point.threshold)
        perturbed = workload.apply(model, policy, samples)
        test = _trace(model, perturbed.samples, settings, hardware, f"trace {workload.name}")
        # The same samples unattacked: a look-up where their clean twin was run.
        untouched = _trace(model, samples, settings, hardware, "trace clean") if perturbed.facts else test
    macs = table(cost(model, test.lengths.tolist()), test.lengths)
    depth = trace_depths(policy, test)
    before = noise()
    timed = perturbed.samples[: settings.timed]
    latency = _time(model, policy, timed, hardware, limits, settings.seed) if timed else None
    return Record(
        **(_judged(policy, test, latency) if latency else {"status": "ok"}),
        created=utc_now(),
        machine={**fingerprint(), "noise_before": before, "noise_after": noise()},
        seeds={"slice": settings.seed, "timing": settings.seed, "attack": getattr(workload, "seed", None)},
        provenance=provenance(weights_sha256=model.weights_hash, dataset_fingerprint=dataset.fingerprint),
        data={
            "n": len(samples),
            "split": "test",
            "limit": settings.limit or None,
            "timed": len(timed),
            "truncated": test.truncated,
            **({"empty": sum("" in sample.texts for sample in samples)} if dataset.kind == "text" else {}),
        },
        operating_point=point.section(),
        exits=_exits(test, macs, dataset.metric),
        results=_results(test, macs, depth, dataset.metric)
        | {"rule_ops": _rule_ops(policy, depth, model)}
        | ({"mac_speedup_timed": _promise(macs, latency)} if latency else {})
        | ({} if perturbed.facts else drops.section(policy, clean, clean_macs, test, macs, _score(dataset))),
        curve=operating_point.curve(policy, test, macs, _grid(policy, clean)).rows(),
        attack=attack_report.section(perturbed, samples, _side(model, policy, untouched), _side(model, policy, test))
        if perturbed.facts
        else {},
        **identity,
    )


def take(samples: Sequence[Any], limit: int, seed: int) -> Sequence[Any]:
    """The first `limit` of a seeded permutation, so that a larger limit holds the smaller one's samples."""
    if not limit or limit >= len(samples):
        return samples
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    chosen = order[:limit].tolist()
    at = getattr(samples, "at", None)  # a dataset that decodes on access keeps doing so
    return at(chosen) if at else [samples[position] for position in chosen]


def _trace(model: Any, samples: Sequence[Any], settings: Settings, hardware: Hardware, description: str) -> Trace:
    return traced(model, samples, settings.batch_size, hardware.device, hardware.dtype, description)


def _grid(policy: ThresholdPolicy, clean: Trace) -> Tensor:
    """Thresholds of the curve: those of the calibration split, so that clean and attacked curves share them."""
    return operating_point.thresholds(trace_signals(policy, clean), policy.rising, 200)


def _time(
    model: Any, policy: ThresholdPolicy, samples: Sequence[Any], hardware: Hardware, limits: Limits, seed: int
) -> Latency:
    dtype = getattr(torch, hardware.dtype)
    batches = [model.collate([sample]).to(hardware.device, dtype) for sample in samples]
    return stopwatch(model, policy, batches, hardware, limits=limits, seed=seed)


def _judged(policy: ThresholdPolicy, test: Trace, latency: Latency) -> dict[str, Any]:
    """A live run's sections and what they make of the record: failed where it is not what the replay says."""
    extra = None if test.extra is None else test.extra[: latency.n]
    seen = audit(policy, test.logits[: latency.n], latency.exit_depths, latency.predictions, extra)
    failed = [] if seen.passed else [f"audit: of {seen.n} live samples {seen.exits_differ} left at another exit and "
                                     f"{seen.predictions_differ} answered otherwise than replayed"]  # fmt: skip
    return {
        "status": "failed" if failed else "unreliable" if latency.unreliable else "ok",
        "reasons": [*failed, *latency.unreliable],
        "latency": asdict(latency),
        "audit": seen.section(),
    }


def _side(model: Any, policy: ThresholdPolicy, seen: Trace) -> Side:
    return Side(seen, table(cost(model, seen.lengths.tolist()), seen.lengths), trace_depths(policy, seen))


def _exits(test: Trace, macs: Tensor, metric: str) -> list[dict[str, Any]]:
    """Every exit as if all samples left there."""
    rows = []
    for i, gmacs in enumerate((macs.mean(0) / 1e9).tolist()):
        answers, labels = test.logits[:, i].argmax(-1).numpy(), test.labels.numpy()
        share = metrics.accuracy(answers, labels)
        rows.append(
            {
                "exit_depth": i + 1,
                "accuracy": share["value"],
                "accuracy_stderr": share["stderr"],
                "score": metrics.score(metric, answers, labels),
                "gmacs": gmacs,
            }
        )
    return rows


def _results(test: Trace, macs: Tensor, depth: Tensor, metric: str) -> dict[str, Any]:
    rows, labels = torch.arange(len(depth)), test.labels.numpy()
    answers, full_answers = test.logits[rows, depth - 1].argmax(-1).numpy(), test.logits[:, -1].argmax(-1).numpy()
    spent, full = macs[rows, depth - 1].numpy(), macs[:, -1].numpy()
    return {
        "accuracy": metrics.accuracy(answers, labels),
        "accuracy_full": metrics.accuracy(full_answers, labels),
        "score": {"metric": metric, "value": metrics.score(metric, answers, labels)},
        "score_full": metrics.score(metric, full_answers, labels),
        "exit_histogram": metrics.exit_histogram(depth.numpy(), test.logits.shape[1]),
        "mean_exit_depth": metrics.mean_exit_depth(depth.numpy()),
        "gmacs_mean": float(spent.mean() / 1e9),
        "gmacs_full": float(full.mean() / 1e9),
        "mac_speedup": metrics.mac_speedup(spent, full),
    }


def _score(dataset: Dataset) -> drops.Score:
    """The task's own metric as a function of answers and labels."""
    return lambda answers, labels: metrics.score(dataset.metric, answers, labels)


def _rule_ops(policy: ThresholdPolicy, depth: Tensor, model: Any) -> dict[str, float] | None:
    """Scalar operations of the rule itself, in no MACs: at each exit, and a sample's mean; the last exit asks none."""
    each = policy.ops(model.num_classes)
    if each is None:
        return None
    return {"per_exit": each, "mean": each * float(depth.clamp(max=model.num_exits - 1).double().mean())}


def _promise(macs: Tensor, latency: Latency) -> float:
    """MAC speed-up of the samples on the stopwatch as they left there: what `realized` compares their time with."""
    depth = torch.tensor(latency.exit_depths)
    timed = macs[: latency.n]
    return metrics.mac_speedup(timed[torch.arange(latency.n), depth - 1].numpy(), timed[:, -1].numpy())
