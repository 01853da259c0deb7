"""One point of a sweep: skipped where its record exists, left to whoever is at it, else measured and written."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.sweep import claims, core_slots, failures, isolation, record_identity
from benchmark.sweep.measure import measured
from benchmark.sweep.outcome import Outcome, summary
from benchmark.types import ExitbenchError, NotApplicable, Unwritable
from benchmark.utils.cache_usage import Piece, line

ISOLATE = ("auto", True, False)
stopped: list[Unwritable] = []  # why no further combination is begun in this process


def combination(cfg: Any) -> Outcome:
    """What Hydra calls for each combination, in whichever process its launcher chose.

    Raises:
        Unwritable: nothing can be written, so nothing more is measured; every further call raises the same.
        ExitbenchError: where one combination was asked for, its own error. In a sweep that is a failed record.
    """
    if stopped:
        raise stopped[0]
    if cfg.isolate not in ISOLATE:
        raise ExitbenchError(f"isolate: expected auto, true or false, got {cfg.isolate!r}")
    if cfg.cache:
        os.environ["EXITBENCH_CACHE"] = str(Path(cfg.cache).expanduser().resolve())
    try:
        with core_slots.seated():
            return _Point(cfg).settled()
    except Exception as error:
        if isinstance(error := failures.sorted_out(error), Unwritable):
            stopped.append(error)
        raise error from error.__cause__


@dataclass(frozen=True)
class _Point:
    cfg: Any

    @cached_property
    def identity(self) -> dict[str, Any]:
        return record_identity.identity(self.cfg)

    @cached_property
    def label(self) -> str:
        return record_identity.label(self.identity["choices"])

    @cached_property
    def path(self) -> Path:
        return Path(self.cfg.records) / f"{self.identity['record_id']}.json"

    @cached_property
    def in_sweep(self) -> bool:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        return HydraConfig.get().mode == RunMode.MULTIRUN

    def settled(self) -> Outcome:
        _writable(self.path.parent)
        if known := self._known():
            return known
        if (held := claims.claim(self.path)) is None:
            print(f"busy {self.label}: another process is at it", flush=True)
            return Outcome("busy", self.label, claim=str(self.path.resolve()))
        with held:
            # Now that nobody else is at it, look again: it may have been finished meanwhile.
            return self._known(say=True) or self._run()

    def _known(self, say: bool = False) -> Outcome | None:
        """The outcome of an earlier run, unless it is to be repeated; say: of an unsound file what is done with it."""
        from benchmark.records import record

        if not self.path.exists():
            return None
        try:
            known = record.read(self.path, raw=False)
        except ExitbenchError as error:
            if say:
                print(f"mend {self.label}: {error}; kept as {self.path.name}.unsound and measured again", flush=True)
            return None
        failed = known.status == "failed"
        if self.cfg.force or (failed and self.cfg.retry == "failed"):
            return None
        hint = f" (it failed: {'; '.join(known.reasons)}; retry=failed runs it again)" if failed else ""
        said = f"skip {self.label}: record {known.record_id} exists{hint}"
        print(said, flush=True)
        return Outcome("known", self.label, said, failed)

    def _run(self) -> Outcome:
        from benchmark.records import record

        print(f"run  {self.label}", flush=True)
        try:
            made, pieces = self._measured()
        except NotApplicable as error:
            if not self.in_sweep:
                raise
            print(f"pass {self.label}: {error}", flush=True)
            return Outcome("passed", self.label, str(error))
        if made.status == "failed":
            print(f"exitbench: {self.label}: {'; '.join(made.reasons)}", file=sys.stderr, flush=True)
        path = record.write(made, self.path.parent, force=True)
        said = f"{summary(made)} -> {path}"
        print(f"     {said}" + (f"\n     {line(pieces)}" if pieces else ""), flush=True)
        return Outcome(made.status, self.label, said, made.status == "failed", pieces=pieces)

    def _measured(self) -> tuple[Any, tuple[Piece, ...]]:
        """The record, a failed one where a combination of a sweep raised."""
        alone = self.in_sweep if self.cfg.isolate == "auto" else self.cfg.isolate
        try:
            return (isolation.measured_alone if alone else measured)(self.cfg, self.identity)
        except Exception as error:
            error = failures.sorted_out(error)
            if not self.in_sweep or isinstance(error, NotApplicable | Unwritable):
                raise error from error.__cause__
            return _failed(self.identity, error), ()


def _failed(identity: dict[str, Any], error: Exception) -> Any:
    """A record of what went wrong, so that a sweep goes on and the leaderboard shows the gap."""
    from benchmark.hardware.machine import fingerprint
    from benchmark.records.record import Record, utc_now

    said = failures.said(error)
    return Record(status="failed", reasons=[said], created=utc_now(), machine=fingerprint(), **identity)


def _writable(folder: Path) -> None:
    """Makes the folder if need be: a result that could not be written is refused before it is measured."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"records: cannot make {folder} ({error.strerror}); choose a writable folder") from error
    if not os.access(folder, os.W_OK):
        raise Unwritable(f"records: cannot write in {folder}; choose a writable folder")
