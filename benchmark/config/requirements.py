"""What a choice must have from elsewhere before it can run: read off its yaml, without building anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MISSING = "???"  # Hydra's spelling of a value that its user must give


@dataclass(frozen=True)
class Need:
    """One thing that a choice needs.

    kind: "weights", "backbone" or "data". name: as the yaml has it: a packaged name, an asset, a path or a hub id.
    node: the whole choice, for what else says which copy of it would do.
    """

    kind: str
    name: str
    node: Mapping[str, Any]


def needs(group: str, name: str, files: Mapping[str, Path]) -> list[Need]:
    """What the choice `name` of a group needs; nothing for groups that need nothing, and for yamls that don't say.

    files: all choices of that group, to follow what it inherits.
    """
    node = merged(name, files)
    ours = str(node.get("_target_", "")).startswith("benchmark.")
    if group == "model":
        found = [Need("weights", str(node["checkpoint"]), node)] if "checkpoint" in node and not _timm(node) else []
        # Of timm's names, which are architectures, only those with weights on the hub hold a slash.
        return [*found, *(Need("backbone", str(node["backbone"]), node) for _ in [0] if _encoder(node))]
    if group == "dataset" and ours and (named := node.get("asset") or node.get("path")):
        return [Need("data", str(named), node)]
    if group == "workload" and ours and node.get("meaning", "none") != "none":
        return [Need("backbone", str(node["meaning"]), node)]
    return []


def merged(name: str, files: Mapping[str, Path], depth: int = 0) -> dict[str, Any]:
    """The top-level keys of a choice with those it inherits from others of its group; empty for a yaml that is none."""
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
    inherited: dict[str, Any] = {}
    for base in bases:
        inherited |= merged(base, files, depth + 1) if base not in ("_self_", name) else {}
    return inherited | own


def _timm(node: Mapping[str, Any]) -> bool:
    """A timm model that takes timm's own pretrained weights."""
    return node.get("pretrained") is True


def _encoder(node: Mapping[str, Any]) -> bool:
    return isinstance(node.get("backbone"), str) and "timm" not in str(node.get("_target_", ""))
