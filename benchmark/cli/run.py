"""`exitbench run`: measure one combination, or with -m all combinations of a sweep, with a Hydra launcher."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from benchmark.sweep.launch import Finished, Launch, Task
    from benchmark.sweep.outcome import Outcome


def run(arguments: argparse.Namespace) -> int:
    """Pass the overrides to Hydra; 0 when all went well, 1 when a combination of a sweep failed.

    Raises:
        ExitbenchError: a mistake in the command; in a sweep only one that concerns all of it.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.config.compose import one_line
    from benchmark.sweep.job import stopped
    from benchmark.sweep.outcome import sweep_summary
    from benchmark.types import Unwritable
    from benchmark.utils.files import is_disk_full

    stopped.clear()
    try:
        is_sweep, outcomes = _outcomes(arguments)
    except (HydraException, OmegaConfBaseException) as error:
        raise ExitbenchError(one_line(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        hint = "is the disk full?" if is_disk_full(error) else "choose a writable folder to start in"
        raise Unwritable(f"cannot write {error.filename or 'a file'}: {error.strerror}; {hint}") from error
    if is_sweep:
        print(f"exitbench: {sweep_summary(outcomes)}", flush=True)
    failures = [outcome.label for outcome in outcomes if outcome.failed]
    if failures:
        print(f"exitbench: {len(failures)} combination(s) failed: {'; '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


def _outcomes(arguments: argparse.Namespace) -> tuple[bool, list[Outcome]]:
    """Whether the command is a sweep, and the outcomes of all its combinations, part by part."""
    from benchmark.config.experiments import expand_parts
    from benchmark.sweep.launch import Launch
    from benchmark.utils.project_root import project_root

    roots = [project_root() / "conf"]
    if arguments.config_dir:
        roots.insert(0, Path(arguments.config_dir))
    launch = Launch(roots[-1], arguments.config_dir)
    parts = expand_parts(arguments.overrides, roots)
    is_sweep = arguments.multirun or bool(parts[0][0]) or launch.is_sweep(arguments.overrides)
    outcomes = []
    for number, (part, overrides) in enumerate(parts, start=1):
        if part:
            print(f"part {part} ({number} of {len(parts)})", flush=True)
        outcomes += _sweep(launch, overrides) if is_sweep else _finish(launch.single, overrides)
    return is_sweep, outcomes


def _sweep(launch: Launch, overrides: list[str]) -> list[Outcome]:
    """Every combination's outcome; those of other processes are printed here, on the user's terminal."""
    launcher = launch.launcher(overrides)
    if launcher.in_other_processes:
        print(f"exitbench: launcher {launcher.name}, its logs in {launcher.folder}", flush=True)
    try:
        outcomes = _finish(launch.multirun, overrides)
    except ExitbenchError:
        raise
    except Exception as error:
        if not launcher.in_other_processes or os.environ.get("EXITBENCH_DEBUG"):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExitbenchError(
            f"hydra/launcher={launcher.name}: a job was lost ({reason[:300]}); finished records are kept, "
            "jobs in the queue continue, and the same command runs the rest"
        ) from error
    for outcome in outcomes if launcher.in_other_processes else ():
        print(f"{outcome.label}\n     {outcome.line}", flush=True)
    return outcomes


def _finish(start: Callable[[Task, list[str]], list[Finished]], overrides: list[str]) -> list[Outcome]:
    """The outcomes once no combination is busy: wait for other processes that measure one, then run it again."""
    from benchmark.sweep.claims import claim
    from benchmark.sweep.job import run_combination

    outcomes = []
    for outcome, own_overrides in start(run_combination, overrides):
        final = outcome
        while final.status == "busy":
            print(f"wait {final.label}", flush=True)
            lock = claim(Path(final.claim), wait=True)
            if lock is not None:
                lock.release()
            ((final, _),) = start(run_combination, own_overrides)
        outcomes.append(final)
    return outcomes
