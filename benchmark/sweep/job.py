"""One combination of a sweep: skipped where its record exists, left to a process that measures it, or measured."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.sweep import claims, core_slots, failures, isolation, record_identity
from benchmark.sweep.hydra_job import HydraJob, running_job
from benchmark.sweep.measure import measure
from benchmark.sweep.outcome import Outcome, record_summary
from benchmark.types import ExitbenchError, NotApplicable, Unwritable
from benchmark.utils.cache_usage import CacheUse, line

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.records.record import Record
    from benchmark.run.settings import Identity

ISOLATE = ("auto", True, False)
stopped: list[Unwritable] = []  # why this process begins no further combination


def run_combination(cfg: DictConfig) -> Outcome:
    """The task that Hydra calls for each combination, in whichever process its launcher chose.

    Raises:
        Unwritable: nothing can be written, so nothing more is measured; every further call raises the same.
        ExitbenchError: the error of a single combination. In a sweep it becomes a failed record instead.
    """
    if stopped:
        raise stopped[0]
    if cfg.isolate not in ISOLATE:
        raise ExitbenchError(f"isolate: expected auto, true or false, got {cfg.isolate!r}")
    if cfg.cache:
        os.environ["EXITBENCH_CACHE"] = str(Path(cfg.cache).expanduser().resolve())
    try:
        with core_slots.reserved_cores():
            return _Job(cfg).outcome()
    except Exception as error:
        if isinstance(error := failures.classified(error), Unwritable):
            stopped.append(error)
        raise error from error.__cause__


@dataclass(frozen=True)
class _Job:
    cfg: DictConfig

    @cached_property
    def hydra(self) -> HydraJob:
        return running_job()

    @cached_property
    def identity(self) -> Identity:
        return record_identity.identity(self.cfg, self.hydra)

    @cached_property
    def label(self) -> str:
        return record_identity.label(self.identity["choices"])

    @cached_property
    def path(self) -> Path:
        return Path(self.cfg.records) / f"{self.identity['record_id']}.json"

    def outcome(self) -> Outcome:
        _check_writable(self.path.parent)
        if existing := self._existing():
            return existing
        if (lock := claims.claim(self.path)) is None:
            print(f"busy {self.label}: another process measures it", flush=True)
            return Outcome("busy", self.label, claim=str(self.path.resolve()))
        with lock:
            # Look again under the lock: another process may have finished it in the meantime.
            return self._existing(report=True) or self._run()

    def _existing(self, report: bool = False) -> Outcome | None:
        """The outcome of an earlier run; None where there is none or it is to be repeated.

        report: print a line about a damaged file, which is set aside when its combination is measured again.
        """
        from benchmark.records import record

        if not self.path.exists():
            return None
        try:
            known = record.read(self.path, raw=False)
        except ExitbenchError as error:
            if report:
                print(f"mend {self.label}: {error}; kept as {self.path.name}.unsound and measured again", flush=True)
            return None
        failed = known.status == "failed"
        if self.cfg.force or (failed and self.cfg.retry == "failed"):
            return None
        hint = f" (it failed: {'; '.join(known.reasons)}; retry=failed runs it again)" if failed else ""
        message = f"skip {self.label}: record {known.record_id} exists{hint}"
        print(message, flush=True)
        return Outcome("known", self.label, message, failed)

    def _run(self) -> Outcome:
        from benchmark.records import record

        print(f"run  {self.label}", flush=True)
        try:
            measured, cache_uses = self._measure()
        except NotApplicable as error:
            if not self.hydra.in_sweep:
                raise
            print(f"pass {self.label}: {error}", flush=True)
            return Outcome("passed", self.label, str(error))
        if measured.status == "failed":
            print(f"exitbench: {self.label}: {'; '.join(measured.reasons)}", file=sys.stderr, flush=True)
        path = record.write(measured, self.path.parent, force=True)
        message = f"{record_summary(measured)} -> {path}"
        print(f"     {message}" + (f"\n     {line(cache_uses)}" if cache_uses else ""), flush=True)
        return Outcome(measured.status, self.label, message, measured.status == "failed", cache_uses=cache_uses)

    def _measure(self) -> tuple[Record, tuple[CacheUse, ...]]:
        """The record; a failed one where a combination of a sweep raised."""
        isolate = self.hydra.in_sweep if self.cfg.isolate == "auto" else self.cfg.isolate
        call = isolation.measure_in_subprocess if isolate else measure
        try:
            return call(self.cfg, self.identity, self.hydra.config_dir)
        except Exception as error:
            error = failures.classified(error)
            if not self.hydra.in_sweep or isinstance(error, NotApplicable | Unwritable):
                raise error from error.__cause__
            return _failed_record(self.identity, error), ()


def _failed_record(identity: Identity, error: Exception) -> Record:
    """A record of the error, so that the sweep continues and the leaderboard shows the gap."""
    from benchmark.hardware.machine import fingerprint
    from benchmark.records.record import Record, utc_now

    reasons = [failures.message(error)]
    return Record(status="failed", reasons=reasons, created=utc_now(), machine=fingerprint(), **identity)


def _check_writable(folder: Path) -> None:
    """Create the folder if need be; refuse before the measurement what could not be written after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"records: cannot make {folder} ({error.strerror}); choose a writable folder") from error
    if not os.access(folder, os.W_OK):
        raise Unwritable(f"records: cannot write in {folder}; choose a writable folder")
