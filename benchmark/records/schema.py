"""What a record holds: its sections, what each must have, and the history of that.

Schema history (bump SCHEMA_VERSION when a field changes its meaning or a required one is added):
    1  exitbench 0.1.0, the first. Added since, and absent from older records: examples (0.2.0); in each of exits
       `reliability`, as `metrics.reliability` makes it (0.3.0); in each of exits `auroc`, in results `warnings`, in
       attack `per_sample` and intervals, in operating_point `metric` and `calibration_score`, without which a
       threshold was chosen on accuracy (all 0.4.0); in results `exit_behaviour`, as
       `exit_behaviour.exit_behaviour` makes it (0.5.0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmark.types import ExitbenchError

SCHEMA_VERSION = 1
STATUSES = ("ok", "unreliable", "failed")
Section = dict[str, Any]  # a JSON object
Shape = Any  # a type, {name: shape}, or [shape of every item]

# What each section must hold; more is welcome. A type, {name: shape}, or [shape of every item].
_NUMBER = (int, float)
_OPTIONAL = (int, float, type(None))
_SHARE = {"value": _NUMBER, "stderr": _NUMBER, "n": int}
_ALWAYS: Section = {
    **dict.fromkeys(("record_id", "status", "created"), str),
    "choices": dict.fromkeys(("model", "dataset", "workload", "policy", "hardware", "scenario"), str),
    "machine": {"id": str},
    "reasons": [str],
    **dict.fromkeys(("config", "seeds", "provenance", "data", "operating_point"), dict),
    **dict.fromkeys(("results", "attack", "audit", "latency"), dict),
    **dict.fromkeys(("exits", "curve", "examples"), list),
}
_MEASURED: Section = {
    "data": {"n": int, "split": str},
    "operating_point": {"threshold": _OPTIONAL, "chosen_by": str},
    "exits": [{"exit_depth": int, "accuracy": _NUMBER, "accuracy_stderr": _NUMBER, "gmacs": _NUMBER}],
    "results": {
        "accuracy": _SHARE,
        "accuracy_full": _SHARE,
        "exit_histogram": [int],
        **dict.fromkeys(("mean_exit_depth", "gmacs_mean", "gmacs_full", "mac_speedup"), _NUMBER),
    },
    "curve": [{"threshold": _OPTIONAL, "accuracy": _NUMBER, "gmacs_mean": _NUMBER, "mean_exit_depth": _NUMBER}],
}
_TIMED: Section = {"latency": dict.fromkeys(("speedup", "speedup_lo", "speedup_hi", "canary"), _NUMBER)}


@dataclass(frozen=True, kw_only=True)
class Record:
    """One combination's outcome. Sections are plain JSON values: dicts with string keys, lists, finite numbers.

    A failed record needs record_id, status, reasons, created, choices and machine, and may leave out the rest;
    an untimed one leaves `latency` empty, a clean one `attack`.

    choices: the six names model, dataset, workload, policy, hardware, scenario.
    machine: the fingerprint, its hash under "id". seeds: by purpose; a clean twin needs no "attack".
    data: n, split, limit (None for all), truncated.
    operating_point: threshold (None where the rule has none), chosen_by, max_drop, calibration_n, ….
    exits: one dict per exit with exit_depth (1 … E), accuracy, accuracy_stderr, gmacs (mean, cumulative); newer ones
    with reliability: over all samples, each exit's largest softmax probability against how often it is right.
    results: accuracy and accuracy_full ({value, stderr, n}), exit_histogram (E counts that sum to n),
    mean_exit_depth, gmacs_mean, gmacs_full, mac_speedup; newer ones with exit_behaviour.
    curve: one dict per threshold with threshold, accuracy, gmacs_mean, mean_exit_depth.
    examples: one dict per picture shown in figures, as `examples.chosen` makes them; older records have none.
    latency: `asdict` of types.Latency. attack: settings and per-sample means. audit: live against replayed.

    Raises ExitbenchError at the first field that is missing or of the wrong kind.
    """

    record_id: str
    status: str
    created: str
    choices: dict[str, str]
    machine: Section
    reasons: list[str] = field(default_factory=list)
    config: Section = field(default_factory=dict)
    seeds: Section = field(default_factory=dict)
    provenance: Section = field(default_factory=dict)
    data: Section = field(default_factory=dict)
    operating_point: Section = field(default_factory=dict)
    exits: list[Section] = field(default_factory=list)
    results: Section = field(default_factory=dict)
    curve: list[Section] = field(default_factory=list)
    examples: list[Section] = field(default_factory=list)
    attack: Section = field(default_factory=dict)
    audit: Section = field(default_factory=dict)
    latency: Section = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_always(vars(self))
        if self.status not in STATUSES:
            raise ExitbenchError(f"status: expected one of {', '.join(STATUSES)}, got {self.status!r}")
        if self.status != "ok" and not self.reasons:
            raise ExitbenchError(f"reasons: expected why the record is {self.status}, got none")
        if self.latency:
            _require_timed(vars(self))
        if self.status != "failed":
            _require_measured(vars(self))
            self._check_histogram()

    def _check_histogram(self) -> None:
        histogram, n = self.results["exit_histogram"], self.data["n"]
        if not histogram or len(histogram) != len(self.exits) or sum(histogram) != n:
            wanted = f"{len(self.exits)} counts, one per exit, that sum to data.n = {n}"
            raise ExitbenchError(f"results.exit_histogram: expected {wanted}, got {histogram}")


def _required(shape: Section) -> Callable[[Section], None]:
    """What raises at the first place that lacks what `shape` asks for; quick where all is well, as it often is."""
    fits = _fitting(shape)

    def require(sections: Section) -> None:
        if not fits(sections):
            _check("", sections, shape)

    return require


def _fitting(shape: Shape) -> Callable[[object], bool]:
    """A check that a value has exactly the shape; the shape is parsed once."""
    if isinstance(shape, list):
        return lambda value: type(value) is list and _plainly_fit(value, shape[0])
    if not isinstance(shape, dict):
        kinds = _kinds(shape)
        return lambda value: type(value) in kinds
    plain = [(key, _kinds(inner)) for key, inner in shape.items() if not isinstance(inner, dict | list)]
    deep = [(key, _fitting(inner)) for key, inner in shape.items() if isinstance(inner, dict | list)]

    def fits(value: object) -> bool:
        if type(value) is not dict:
            return False
        try:
            for key, kinds in plain:
                if type(value[key]) not in kinds:
                    return False
            return all(inner(value[key]) for key, inner in deep)
        except KeyError:
            return False

    return fits


def _kinds(shape: Shape) -> frozenset[type]:
    return frozenset(shape if isinstance(shape, tuple) else (shape,))


def _check(name: str, value: Any, shape: Shape) -> None:
    """Raise at the first place where `value` lacks what `shape` asks for; `name` is the way there."""
    kind = type(shape) if isinstance(shape, dict | list) else shape
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ExitbenchError(f"{name}: expected {_spell(kind)}, got {value!r:.60}")
    if isinstance(shape, dict):
        for key, inner in shape.items():
            if key not in value:
                raise ExitbenchError(f"{name}.{key}: expected {_spell(inner)}, got nothing".lstrip("."))
            _check(f"{name}.{key}".lstrip("."), value[key], inner)
    elif isinstance(shape, list) and not _plainly_fit(value, shape[0]):
        for position, item in enumerate(value):
            _check(f"{name}.{position}", item, shape[0])


def _plainly_fit(items: list[Any], shape: Shape) -> bool:
    """Whether all items fit, without saying which does not: leaderboards read millions of curve points."""
    columns = shape.items() if isinstance(shape, dict) else [(None, shape)]
    try:
        return all(
            {type(item if key is None else item[key]) for item in items}
            <= set(kind if isinstance(kind, tuple) else (kind,))
            for key, kind in columns
        )
    except (KeyError, TypeError):
        return False


def _spell(shape: Shape) -> str:
    kind = type(shape) if isinstance(shape, dict | list) else shape
    spelled = {dict: "a section", list: "a list", str: "a text", int: "a whole number", _NUMBER: "a number"}
    return spelled.get(kind, "a number or null")


_require_always, _require_measured, _require_timed = map(_required, (_ALWAYS, _MEASURED, _TIMED))
