"""The external files that a choice requires (weights, encoders, data), read from its yaml; nothing is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MISSING = "???"  # how a yaml marks a value that the user must set


@dataclass(frozen=True)
class Requirement:
    """One thing that a choice requires.

    kind: "weights", "backbone" or "data". name: as in the yaml: a packaged name, an asset, a path or a hub id.
    node: the whole choice; its other keys (revision, fingerprint) say which copy is meant.
    """

    kind: str
    name: str
    node: Mapping[str, object]  # a parsed yaml


def requirements(group: str, name: str, files: Mapping[str, Path]) -> list[Requirement]:
    """What the choice `name` of a group requires; empty for groups without files and for yamls that name none.

    files: all choices of that group, to follow what it inherits.
    """
    node = merged(name, files)
    ours = str(node.get("_target_", "")).startswith("benchmark.")
    if group == "model":
        found = (
            [Requirement("weights", str(node["checkpoint"]), node)] if "checkpoint" in node and not _timm(node) else []
        )
        return found + ([Requirement("backbone", str(node["backbone"]), node)] if _encoder(node) else [])
    if group == "dataset" and ours and (source := node.get("asset") or node.get("path")):
        return [Requirement("data", str(source), node)]
    if group == "workload" and ours and node.get("meaning", "none") != "none":
        return [Requirement("backbone", str(node["meaning"]), node)]
    return []


def merged(name: str, files: Mapping[str, Path], depth: int = 0) -> dict[str, object]:
    """The top-level keys of a choice, inherited ones included; empty for a file that is no valid yaml."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if name not in files or depth > 9:
        return {}
    try:
        own = yaml.load(files[name].read_text(encoding="utf-8"), Loader=loader)
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return {}
    own = own if isinstance(own, dict) else {}
    defaults = own.pop("defaults", None)
    bases = [entry for entry in defaults if isinstance(entry, str)] if isinstance(defaults, list) else []
    inherited: dict[str, object] = {}
    for base in bases:
        inherited |= merged(base, files, depth + 1) if base not in ("_self_", name) else {}
    return inherited | own


def _timm(node: Mapping[str, object]) -> bool:
    """Whether a timm model uses timm's own pretrained weights."""
    return node.get("pretrained") is True


def _encoder(node: Mapping[str, object]) -> bool:
    return isinstance(node.get("backbone"), str) and "timm" not in str(node.get("_target_", ""))
