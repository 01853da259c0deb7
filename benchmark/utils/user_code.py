"""Hashes of users' own code, so that records and caches made with it are redone when it changes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmark.utils.files import sha256_file

# Packages whose version identifies their code well enough.
VERSIONED_PACKAGES = ("benchmark", "torch", "transformers", "timm", "torchvision", "hydra", "builtins")


def module_hash(module: str) -> str | None:
    """sha256 of an imported module's file; None for versioned packages and for code without a file (a notebook's)."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return _file_hash(module, file)


def config_code_hashes(config: object) -> dict[str, str]:
    """Module -> sha256 of its file, for each `_target_` in a plain configuration that is users' own code.

    Only the module's own file is hashed, not what it imports.
    """
    hashes: dict[str, str] = {}
    for target in _targets(config):
        module = target.rpartition(".")[0]
        if not module or module.partition(".")[0] in VERSIONED_PACKAGES:
            continue
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):  # reported later, when the target is instantiated
            continue
        if code := _file_hash(module, spec.origin if spec else None):
            hashes[module] = code
    return hashes


def _file_hash(module: str, file: str | None) -> str | None:
    if module.partition(".")[0] in VERSIONED_PACKAGES or not file or not Path(file).is_file():
        return None
    return sha256_file(Path(file))


def _targets(node: object) -> Iterator[str]:
    """All `_target_` values of a nested configuration."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for inner in node.values():
            yield from _targets(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _targets(inner)
