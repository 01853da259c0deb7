"""Cache of traces on disk: one per weights and inputs, shared by all rules, thresholds, sweeps and processes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from benchmark.run.trace import trace
from benchmark.types import EarlyExitModel, Sample, Trace, Unwritable
from benchmark.utils import cache_usage
from benchmark.utils.cache import cache_dir
from benchmark.utils.files import atomic_write, remove_temporary_files
from benchmark.utils.identity import content_hash, model_identity, samples_hash

TRACE_VERSION = 1  # raised whenever the same model and inputs would give another trace
log = logging.getLogger(__name__)


def traced(
    model: EarlyExitModel,
    samples: Sequence[Sample],
    batch_size: int,
    device: str,
    dtype: str,
    description: str,
    weights_of: EarlyExitModel | None = None,
) -> Trace:
    """The trace of `samples`, from the cache if the same weights were traced on the same inputs before.

    dtype: what the model computes in, and whatever else changes its answers. weights_of: the model that `model` was
    converted from, where the converted weights cannot be hashed.
    """
    parts = {
        "version": TRACE_VERSION,
        **model_identity(weights_of or model),
        "samples": samples_hash(samples),
        "device": device.partition(":")[0],
        "dtype": dtype,
    }
    if extra := getattr(model, "extra_columns", 0):
        parts["extra"] = extra
    key = content_hash(parts)
    path = cache_dir() / "traces" / f"{key}.safetensors"
    columns = extra > 0
    if (stored := _load(path, columns)) is None:
        with _lock(path):
            stored = _load(path, columns, warn=False)  # another process may have traced it while this one waited
            if stored is None:
                remove_temporary_files(path)
                fresh = trace(model, samples, batch_size, device, description)
                _store(fresh, path)
                cache_usage.report("trace", description, len(samples), reused=False)
                return fresh
    cache_usage.report("trace", description, len(samples), reused=True)
    return stored


def _load(path: Path, extra: bool, warn: bool = True) -> Trace | None:
    """The stored trace; None where there is none, or where it is damaged (with one warning line)."""
    if not path.exists():
        return None
    try:
        stored = load_file(path)
        columns = (stored["logits"], stored["labels"], stored["lengths"])
        return Trace(*columns, int(stored["truncated"]), stored["extra"] if extra else None)
    except (SafetensorError, OSError, KeyError) as error:
        if warn:
            log.warning("trace cache %s is damaged (%s) and is built again", path.name, error)
        return None


def _lock(path: Path) -> AcquireReturnProxy:
    """Lock an entry, so that of several processes one traces and the others wait for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_suffix(".lock")).acquire()
    except OSError as error:
        raise Unwritable(
            f"cannot write the cache {path.parent}: {error.strerror}; set EXITBENCH_CACHE to a writable folder"
        ) from error


def _store(trace: Trace, path: Path) -> None:
    import torch

    tensors = {"logits": trace.logits, "labels": trace.labels, "lengths": trace.lengths}
    if trace.extra is not None:
        tensors["extra"] = trace.extra
    with atomic_write(path) as temporary:
        save_file({**tensors, "truncated": torch.tensor(trace.truncated)}, temporary)
