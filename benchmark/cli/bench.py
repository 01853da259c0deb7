"""`exitbench bench`: the comparison measurements behind the claims in the documentation."""

from __future__ import annotations

import argparse
import ast
import importlib
from pathlib import Path

from benchmark import benches
from benchmark.types import ExitbenchError


def run(arguments: argparse.Namespace) -> int:
    """Run one bench by name, or list them.

    Raises:
        ExitbenchError: no bench of that name.
    """
    found = described()
    if not arguments.name:
        for name, line in found.items():
            print(f"{name:20} {line}")
        return 0
    if arguments.name not in found:
        raise ExitbenchError(f"bench: expected one of {', '.join(found)}, got {arguments.name!r}")
    from benchmark.utils.library_logging import silence_libraries

    silence_libraries()
    return importlib.import_module(f"benchmark.benches.{arguments.name}").main(arguments.overrides)


def described() -> dict[str, str]:
    """Name -> first line of each bench, read without importing it."""
    files = sorted(Path(benches.__path__[0]).glob("[!_]*.py"))
    docs = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files}
    return {name: doc.split("\n")[0] for name, doc in docs.items()}
