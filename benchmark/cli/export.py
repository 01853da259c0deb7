"""`exitbench export`: a model and its exit rule as a folder of ONNX graphs that runs without torch."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from benchmark.types import ExitbenchError

DEFAULTS = {"out": "", "check": "100"}
DEFAULT_MODEL = "dvt_fashion"  # of conf/config.yaml


def run(arguments: argparse.Namespace) -> int:
    """Write the folder `out=…` and say what it holds.

    Raises:
        ExitbenchError: no `out`, or a combination that cannot be exported.
    """
    options, overrides = dict(DEFAULTS), []
    for word in arguments.overrides:
        key, _, value = word.partition("=")
        if key in options:
            options[key] = value
        else:
            overrides.append(word)
    if not options["out"]:
        raise ExitbenchError("export: expected out=FOLDER, got none")
    if not options["check"].isdecimal() or int(options["check"]) < 2:
        raise ExitbenchError(f"export: expected check=2 or more test samples, got {options['check']!r}")
    from benchmark.config.compose import compose
    from benchmark.run.combination import Combination
    from benchmark.run.export import Subject, export
    from benchmark.utils.library_logging import silence_libraries

    cfg = compose("config", overrides, arguments.config_dir)
    named = [word.removeprefix("model=") for word in overrides if word.startswith("model=")]
    name = named[-1] if named else DEFAULT_MODEL
    chosen = Combination(cfg, arguments.config_dir)
    silence_libraries()
    subject = Subject(chosen.model, chosen.dataset, chosen.rule, chosen.hardware, chosen.settings)
    out = Path(options["out"])
    command = shlex.join(["exitbench", "export", *arguments.overrides])
    manifest = export(subject, out, name, command, int(options["check"]))
    checked = manifest["check"]
    print(
        f"wrote {out}: {len(manifest['stages'])} stage(s), {manifest['bytes'] / 1e6:.1f} MB; its check.py holds "
        f"{checked['n']} samples; {checked['differ_from_torch']} differ from torch, {checked['ties']} of them ties"
    )
    return 0
