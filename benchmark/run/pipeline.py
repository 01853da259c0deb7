"""Run one combination of model, dataset, workload, policy and hardware, from samples to a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Required, TypedDict, TypeVar, Unpack

import torch
from torch import Tensor

from benchmark.attacks import report as attack_report
from benchmark.attacks.report import Side
from benchmark.cost.macs import cost, table
from benchmark.data.photos import verify
from benchmark.hardware.machine import fingerprint, noise
from benchmark.hardware.profiles import applied
from benchmark.policies.base import ThresholdPolicy, live_columns
from benchmark.policies.calibration import accuracy_drop, budgeted_batch, operating_point
from benchmark.policies.calibration.per_exit import PerExit
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.policies.replay import trace_depths, trace_signals
from benchmark.records import metrics
from benchmark.records.exit_behaviour import exit_behaviour
from benchmark.records.provenance import provenance
from benchmark.records.record import Record, utc_now
from benchmark.records.schema import Section
from benchmark.run import collapse, examples, precision
from benchmark.run.model import LoadedModel
from benchmark.run.precision import Tracer
from benchmark.run.settings import Identity, Settings
from benchmark.timing.audit import audit_processes
from benchmark.timing.executed_macs import executed_macs
from benchmark.timing.processes import time_in_processes
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask, check_scenario, time_task
from benchmark.types import Dataset, Hardware, Latency, Metric, Sample, TextSample, Trace, Workload
from benchmark.utils import cache_usage

Item = TypeVar("Item")
GLANCE_S = 0.02  # seconds of watching the machine's noise in an untimed run, which takes little longer itself


class Judgement(TypedDict, total=False):
    """The sections of a record that depend on a live run; an untimed record has the status alone."""

    status: Required[str]
    reasons: list[str]
    latency: Section
    audit: Section


def run(
    model: LoadedModel,
    dataset: Dataset,
    workload: Workload,
    policy: ThresholdPolicy,
    hardware: Hardware,
    settings: Settings,
    limits: Limits,
    model_config: Section | None = None,
    **identity: Unpack[Identity],
) -> Record:
    """Measure one combination. identity: copied into the record.

    model_config: the configuration of `model`, which a worker process builds and times; without it, this process times.
    """
    samples = take(dataset.test, settings.limit, settings.seed)
    check_scenario(settings.scenario, settings.batch, min(settings.timed, len(samples)) or settings.batch)
    tracer = Tracer(model, hardware, settings.batch_size, settings.batch if settings.scenario == "offline" else 1)
    if settings.timed or policy.reads == "extra":  # refused before anything is traced
        live_columns(policy, model)
    verify(dataset.calibration, samples)
    with applied(hardware):
        clean = tracer.exact(dataset.calibration, "trace calibration")
        clean_macs = table(cost(model, clean.lengths.tolist()), clean.lengths)
        policy, point = operating_point.find_operating_point(
            policy, model, clean, clean_macs, settings.choose, settings.max_drop, dataset.metric, settings.guarantee
        )
        perturbed = workload.apply(model, policy, samples)
        if perturbed.facts:
            cache_usage.report("attack", f"attack {workload.name}", len(samples), perturbed.from_cache)
        exact = tracer.exact(perturbed.samples, f"trace {workload.name}")
        test = tracer.as_run(perturbed.samples, f"trace {workload.name}")
        # The same samples unattacked: a look-up where their clean twin was run.
        untouched = tracer.as_run(samples, "trace clean") if perturbed.facts else test
    macs = table(cost(model, test.lengths.tolist()), test.lengths)
    depth = trace_depths(policy, test)
    chosen = perturbed.samples[: settings.timed]
    watched = {} if chosen else {"seconds": GLANCE_S}
    before = noise(**watched)
    task = TimedTask(
        policy, chosen, hardware, limits, settings.seed, settings.scenario, settings.batch, settings.refill
    )
    latency = _time(model, task, macs, model_config) if chosen else None
    return Record(
        **(_judged(policy, test, latency, precision.tie(hardware)) if latency else Judgement(status="ok")),
        created=utc_now(),
        machine={**fingerprint(), "noise_before": before, "noise_after": noise(**watched)},
        seeds={"slice": settings.seed, "timing": settings.seed, "attack": getattr(workload, "seed", None)},
        provenance=provenance(weights_sha256=model.weights_hash, dataset_fingerprint=dataset.fingerprint),
        data={
            "n": len(samples),
            "split": "test",
            "limit": settings.limit or None,
            "timed": len(chosen),
            "truncated": test.truncated,
            **({"empty": _empty(samples)} if dataset.kind == "text" else {}),
        },
        operating_point=point.section(),
        exits=_exits(test, macs, dataset.metric, policy),
        results=replayed(test, macs, depth, dataset.metric)
        | {"warnings": [*point.warnings(), *collapse.warnings(policy, test, depth)]}
        | {"rule_ops": _rule_ops(policy, depth, model)}
        | {"precision_shift": precision.shift(policy, exact, test, latency, hardware)}
        | ({"mac_speedup_timed": _timed_mac_speedup(macs, latency)} if latency else {})
        | ({} if perturbed.facts else _protocol(model, dataset, clean, clean_macs, test, macs))
        | ({} if perturbed.facts else accuracy_drop.section(policy, clean, clean_macs, test, macs, dataset.metric)),
        curve=_curve(policy, clean, clean_macs, test, macs).rows(),
        examples=[] if perturbed.facts else examples.chosen(perturbed.samples, test, depth, dataset.class_names),
        attack=attack_report.section(perturbed, samples, _side(model, policy, untouched), _side(model, policy, test))
        if perturbed.facts
        else {},
        **identity,
    )


def take(samples: Sequence[Item], limit: int, seed: int) -> Sequence[Item]:
    """The first `limit` of a seeded permutation; a larger limit contains the samples of a smaller one."""
    if not limit or limit >= len(samples):
        return samples
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    chosen = order[:limit].tolist()
    at = getattr(samples, "at", None)  # of a dataset that decodes on access, a view that does so too
    return at(chosen) if at else [samples[position] for position in chosen]


def _empty(samples: Sequence[Sample]) -> int:
    """How many texts are empty, or are a pair with an empty half."""
    return sum(isinstance(sample, TextSample) and "" in sample.texts for sample in samples)


def _curve(
    policy: ThresholdPolicy, clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor
) -> operating_point.Curve:
    """The rule over its range, at thresholds from the calibration split: clean and attacked curves share them."""
    if isinstance(policy, PerExit):
        return operating_point.protocol_curve(policy, clean, clean_macs, test, macs)
    grid = candidates(policy, clean, 200)
    return operating_point.curve(policy, test, macs, grid)


def _protocol(
    model: LoadedModel, dataset: Dataset, clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor
) -> dict[str, Section]:
    """The budgeted-batch protocol, for models of images with several exits."""
    if dataset.kind != "image" or model.num_exits < 2:
        return {}
    return {"protocol": budgeted_batch.section(clean, clean_macs, test, macs)}


def _time(model: LoadedModel, task: TimedTask, macs: Tensor, model_config: Section | None) -> Latency:
    """Time the task in worker processes, or in this one if there is no model_config; adds the MACs of its batches."""
    if model_config is None:
        found = time_task(model, replace(task, limits=replace(task.limits, processes=1)))
    else:
        found = time_in_processes(model_config, task)
    if task.scenario != "offline":
        return replace(found, padding_share=0.0)
    counted = executed_macs(model, task)
    depth = torch.tensor(found.exit_depths)
    useful = float(macs[torch.arange(found.n), depth - 1].mean()) / 1e9
    return replace(found, **counted, padding_share=max(0.0, 1 - useful / counted["gmacs_executed"]))


def _judged(policy: ThresholdPolicy, test: Trace, latency: Latency, tie: float) -> Judgement:
    """The sections of a live run and the record's status: failed where the live run differs from the replay."""
    extra = None if test.extra is None else test.extra[: latency.n]
    audited = audit_processes(policy, test.logits[: latency.n], latency, extra, tie)
    runs = audited.n * audited.processes
    failed = []
    if not audited.passed:
        failed = [
            f"audit: of {runs} live samples {audited.exits_differ} left at another exit and "
            f"{audited.predictions_differ} answered otherwise than replayed"
        ]
    return {
        "status": "failed" if failed else "unreliable" if latency.unreliable else "ok",
        "reasons": [*failed, *latency.unreliable],
        "latency": asdict(latency),
        "audit": audited.section() | {"tolerance": tie},
    }


def _side(model: LoadedModel, policy: ThresholdPolicy, trace: Trace) -> Side:
    return Side(trace, table(cost(model, trace.lengths.tolist()), trace.lengths), trace_depths(policy, trace))


def _exits(test: Trace, macs: Tensor, metric: Metric, policy: ThresholdPolicy) -> list[Section]:
    """The figures of every exit as if all samples left there."""
    surest = trace_signals(policy, test).float() * (1 if policy.rising else -1)  # (N, E)
    rows = []
    for i, gmacs in enumerate((macs.mean(0) / 1e9).tolist()):
        answers, labels = test.logits[:, i].argmax(-1).numpy(), test.labels.numpy()
        confidence = test.logits[:, i].softmax(-1).amax(-1).numpy()  # (N,)
        share = metrics.accuracy(answers, labels)
        rows.append(
            {
                "exit_depth": i + 1,
                "accuracy": share["value"],
                "accuracy_stderr": share["stderr"],
                "score": metrics.score(metric, answers, labels),
                "gmacs": gmacs,
                "reliability": metrics.reliability(confidence, answers == labels),
                "auroc": metrics.auroc(surest[:, i].numpy(), answers == labels) if _predicts(policy) else None,
            }
        )
    return rows


def _predicts(policy: ThresholdPolicy) -> bool:
    """Whether the rule's signal is a claim that an exit is right: not of a bound, and not of what never looks."""
    return policy.reads != "hindsight" and policy.name not in ("never", "always_first", "fixed_exit", "random")


def replayed(test: Trace, macs: Tensor, depth: Tensor, metric: Metric) -> Section:
    """The section `results` of a trace with cumulative macs (N, E) and exit depths (N,), without timings."""
    rows, labels = torch.arange(len(depth)), test.labels.numpy()
    answers, full_answers = test.logits[rows, depth - 1].argmax(-1).numpy(), test.logits[:, -1].argmax(-1).numpy()
    spent, full = macs[rows, depth - 1].numpy(), macs[:, -1].numpy()
    return {
        "accuracy": metrics.accuracy(answers, labels),
        "accuracy_full": metrics.accuracy(full_answers, labels),
        "score": {"metric": metrics.metric_name(metric), "value": metrics.score(metric, answers, labels)},
        "score_full": metrics.score(metric, full_answers, labels),
        "exit_histogram": metrics.exit_histogram(depth.numpy(), test.logits.shape[1]),
        "mean_exit_depth": metrics.mean_exit_depth(depth.numpy()),
        "gmacs_mean": float(spent.mean() / 1e9),
        "gmacs_full": float(full.mean() / 1e9),
        "mac_speedup": metrics.mac_speedup(spent, full),
        "exit_behaviour": exit_behaviour(test.logits.numpy(), labels, depth.numpy()),
    }


def _rule_ops(policy: ThresholdPolicy, depth: Tensor, model: LoadedModel) -> dict[str, float] | None:
    """Scalar operations of the rule, which no MACs count: per exit, and a sample's mean; the last exit needs none."""
    each = policy.ops(model.num_classes)
    if each is None:
        return None
    return {"per_exit": each, "mean": each * float(depth.clamp(max=model.num_exits - 1).double().mean())}


def _timed_mac_speedup(macs: Tensor, latency: Latency) -> float:
    """MAC speed-up of the timed samples at their timed exits, with which `realized` compares their time."""
    depth = torch.tensor(latency.exit_depths)
    timed = macs[: latency.n]
    return metrics.mac_speedup(timed[torch.arange(latency.n), depth - 1].numpy(), timed[:, -1].numpy())
