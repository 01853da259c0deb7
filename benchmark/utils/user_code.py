"""Code that is not the suite's: hashed, so that what it made is made again when it changes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.utils.files import sha256_file

# Whose code a version names well enough.
TRUSTED = ("benchmark", "torch", "transformers", "timm", "torchvision", "hydra", "builtins")


def module_hash(module: str) -> str | None:
    """sha256 of the file of an imported module; None for the suite's own, and for code in no file (a notebook's)."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return _hashed(module, file)


def config_code_hashes(config: Any) -> dict[str, str]:
    """Module -> sha256 of its file, for all that the targets of a plain configuration name beyond the suite.

    Of each module its own file alone: what it imports is not followed.
    """
    found = {}
    for target in _targets(config):
        module = target.rpartition(".")[0]
        if not module or module.partition(".")[0] in TRUSTED:
            continue
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):  # whoever builds it says so
            continue
        if code := _hashed(module, spec.origin if spec else None):
            found[module] = code
    return found


def _hashed(module: str, file: str | None) -> str | None:
    if module.partition(".")[0] in TRUSTED or not file or not Path(file).is_file():
        return None
    return sha256_file(Path(file))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for inner in node.values():
            yield from _targets(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _targets(inner)
