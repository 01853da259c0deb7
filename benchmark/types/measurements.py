"""What a measurement is made on and what it saw: a hardware profile, and the stopwatch's observations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Hardware:
    """A profile made concrete on this machine: where and how a model runs."""

    name: str
    device: str  # torch device string
    dtype: str  # "float32", …
    threads: int
    compiler: str = "eager"  # "eager"; "inductor" (torch.compile) or "onnxruntime", stage by stage
    quantise: str = "none"  # "none", or "int8_dynamic": linear layers in int8, activations scaled as they come


@dataclass(frozen=True)
class Latency:
    """Result of the stopwatch: paired, interleaved observations, ratios and intervals. Milliseconds, wall and CPU.

    Not included: collating the batch, and its copy to the device. Percentiles are None where there are too few samples.
    """

    scenario: str
    clock: str  # which clock `speedup` was taken from: "cpu" or "wall"
    n: int  # distinct samples timed
    rounds: int
    warmup_rounds: int
    warmup_capped: bool
    full_wall_ms: list[float]
    early_wall_ms: list[float]
    canary_wall_ms: list[float]
    full_cpu_ms: list[float]
    early_cpu_ms: list[float]
    canary_cpu_ms: list[float]
    sample_of: list[int]  # position of the timed sample, one per round
    speedup: float
    speedup_lo: float
    speedup_hi: float
    speedup_wall: float
    speedup_wall_lo: float
    speedup_wall_hi: float
    canary: float
    canary_lo: float
    canary_hi: float
    latency_ms_p50: float | None
    latency_ms_p90: float | None
    latency_ms_p99: float | None
    full_ms_p50: float | None
    full_ms_p90: float | None
    full_ms_p99: float | None
    outliers: int  # Tukey outliers of early_wall_ms over its own sample's median, counted and not removed
    stopped_by: str  # "interval" or "time_limit" or "rounds"
    unreliable: list[str]  # reasons; empty when the canary held
    predictions: list[int]  # live answers, one per distinct sample, for the audit
    exit_depths: list[int]  # live exit depths (1 … E), likewise
    median_ratio: float | None = None  # median over rounds of full / early: the typical sample, not the total
    # Relative: 95% of repeats differ by less. From several processes: repeats of the whole measurement on the same
    # samples at another time. From one, and in older records: more rounds in that same process.
    repeat_half_width: float | None = None
    batch: int = 1  # samples put together at exit 1
    units: int | None = None  # what a round times: samples, or in `offline` windows of batches; None means n
    # What the intervals allow for: another draw of "samples" or more "rounds" in one process; "processes and samples"
    # or "processes" where several were timed.
    interval_over: str = "samples"
    samples_per_s: float | None = None  # early exit, by the wall clock
    full_samples_per_s: float | None = None
    refilled: bool = False  # `offline`: whether samples of several batches went on together
    gmacs_executed: float | None = None  # mean per sample, counted as run on the eager float32 model, padding included
    gmacs_executed_full: float | None = None
    padding_share: float | None = None  # share of gmacs_executed spent on padding
    compile_s: float | None = None  # of compilation and quantisation, not timed; None without either
    compiled: dict[str, Any] = field(default_factory=dict)  # how many stages and graphs, as `engine.compilation` counts
    worker: bool = False  # whether worker processes were timed; only then are their bytes known
    weight_bytes: int | None = None  # parameters and buffers as the profile holds them
    peak_rss_bytes: int | None = None  # of the worker, the interpreter and its libraries included …
    base_rss_bytes: int | None = None  # … which took this much before the model was there
    peak_device_bytes: int | None = None  # allocated on a GPU at most
    energy_source: str | None = None  # the meter; None where there is none, and then no joule is claimed
    energy_j: float | None = None  # per sample with early exit, measured over whole passes after the clock
    energy_full_j: float | None = None
    noise: dict[str, Any] = field(default_factory=dict)  # `machine.noise` inside the lock, before the warm-up
    processes: int = 1  # fresh interpreters that were timed; with 1 the intervals describe one process only
    process_of: list[int] = field(default_factory=list)  # the process of each round; empty for one process
    between_process_sd: float | None = None  # of the log of speedup, noise of rounds included
    between_measurements_sd: float | None = None  # likewise, between times of measuring; assumed, not measured
    predictions_by_process: list[list[int]] = field(default_factory=list)  # for the audit; empty for one process
    exit_depths_by_process: list[list[int]] = field(default_factory=list)
    timed_s: float | None = None  # warm-up and rounds of all processes
