"""`exitbench run`: one combination, or every one of a sweep, carried by Hydra's launcher."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.types import ExitbenchError


def run(arguments: argparse.Namespace) -> int:
    """Hand the overrides to Hydra; 0 when all is well, 1 when a combination of a sweep failed.

    Raises:
        ExitbenchError: a mistake in what was asked; in a sweep only one that concerns all of it.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.config.compose import one_line
    from benchmark.config.experiments import expanded
    from benchmark.sweep import outcome
    from benchmark.sweep.job import stopped
    from benchmark.sweep.launch import Launch
    from benchmark.types import Unwritable
    from benchmark.utils.files import no_space
    from benchmark.utils.project_root import project_root

    stopped.clear()
    try:
        launch = Launch(project_root() / "conf", arguments.config_dir)
        asked = expanded(arguments.overrides, [*filter(None, [arguments.config_dir and Path(arguments.config_dir)]),
                                               project_root() / "conf"])  # fmt: skip
        many = arguments.multirun or bool(asked[0][0]) or launch.many(arguments.overrides)
        outcomes = []
        for number, (part, overrides) in enumerate(asked, start=1):
            if part:
                print(f"part {part} ({number} of {len(asked)})", flush=True)
            outcomes += _sweep(launch, overrides) if many else _finished(launch.single, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ExitbenchError(one_line(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        hint = "is the disk full?" if no_space(error) else "choose a writable folder to start in"
        raise Unwritable(f"cannot write {error.filename or 'a file'}: {error.strerror}; {hint}") from error
    if many:
        print(f"exitbench: {outcome.told(outcomes)}", flush=True)
    failures = [one.label for one in outcomes if one.failed]
    if failures:
        print(f"exitbench: {len(failures)} combination(s) failed: {'; '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


def _sweep(launch: Any, overrides: list[str]) -> list[Any]:
    """Every combination's outcome; those of other processes are told here, where somebody reads them."""
    launcher = launch.launcher(overrides)
    if launcher.elsewhere:
        print(f"exitbench: launcher {launcher.name}, its logs in {launcher.folder}", flush=True)
    try:
        outcomes = _finished(launch.multirun, overrides)
    except ExitbenchError:
        raise
    except Exception as error:
        if not launcher.elsewhere or os.environ.get("EXITBENCH_DEBUG"):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExitbenchError(
            f"hydra/launcher={launcher.name}: a job was lost ({said[:300]}); what was finished is kept, "
            "jobs in the queue go on, and the same command runs the rest"
        ) from error
    for one in outcomes if launcher.elsewhere else ():
        print(f"{one.label}\n     {one.line}", flush=True)
    return outcomes


def _finished(begin: Callable[..., list[tuple[Any, list[str]]]], overrides: list[str]) -> list[Any]:
    """The outcomes once no combination is left to another process: those are waited for, and then asked for again."""
    from benchmark.sweep.claims import claim
    from benchmark.sweep.job import combination

    outcomes = []
    for outcome, asked in begin(combination, overrides):
        found = outcome
        while found.status == "busy":
            print(f"wait {found.label}", flush=True)
            held = claim(Path(found.claim), wait=True)
            if held is not None:
                held.release()
            ((found, _),) = begin(combination, asked)
        outcomes.append(found)
    return outcomes
