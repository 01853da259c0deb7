"""Attacked samples on disk, so that attacking happens once and is then measured under every hardware profile.

An entry is a JSON (texts, facts, trails) and, for images, a safetensors file; the JSON carries the sha256 of both.
An entry that does not match its hash is reported, forgotten and attacked again; it is never believed.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from benchmark.types import EarlyExitModel, ImageSample, Perturbed, Policy, Sample, TextSample
from benchmark.utils.files import sha256_file, whole_file
from benchmark.utils.identity import content_hash, model_facts, samples_hash
from benchmark.utils.user_code import code_of

# What an attack's outcome is made by; a change of their code, comments and docstrings aside, is another attack.
MADE_BY = (
    *("attacks/words/batched_search", "attacks/words/released_search", "attacks/words/candidates"),
    *("attacks/words/misspellings", "attacks/words/beam", "attacks/words/edits", "attacks/words/vocabulary"),
    *("attacks/words/semantic_similarity", "attacks/words/search", "attacks/pixels/projected_gradient"),
    *("attacks/pixels/norm_balls", "attacks/pixels/search", "attacks/forward", "attacks/objectives"),
    *("attacks/adversarial", "policies/base"),
)
log = logging.getLogger(__name__)


def key_of(model: EarlyExitModel, policy: Policy, samples: Sequence[Sample], settings: dict[str, Any]) -> str:
    """sha256 of everything that decides what an attack gives; settings as `describe` makes them."""
    parts = {
        "code": code_hash(),
        **model_facts(model),
        "samples": samples_hash(samples),
        "settings": settings,
        "policy": describe(policy) | {"name": policy.name, "threshold": policy.threshold},
    }
    return content_hash(parts)


@functools.cache
def code_hash() -> str:
    """sha256 over the code that makes attacks and the stop words, without what only people read."""
    package = Path(__file__).parents[1]
    trees = {name: _bare((package / f"{name}.py").read_text(encoding="utf-8")) for name in MADE_BY}
    return content_hash({**trees, "stop words": sha256_file(package / "attacks" / "words" / "stopwords.txt")})


def _bare(code: str) -> str:
    """Code as its syntax tree, which has no comments and no layout, with the docstrings cut out."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def describe(thing: Any) -> dict[str, Any]:
    """An objective, search or policy as plain data: where it is defined and its arguments."""
    if isinstance(thing, functools.partial):
        return describe(thing.func) | {"args": list(thing.args)} | thing.keywords
    if hasattr(thing, "__qualname__"):
        code = code_of(thing.__module__)
        return {"is": f"{thing.__module__}.{thing.__qualname__}"} | ({"code": code} if code else {})
    names = (
        [field.name for field in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else list(vars(thing))
    )
    return describe(type(thing)) | {name: getattr(thing, name) for name in names}


def save(path: Path, made: Perturbed) -> None:
    """Write an entry whole: the pixels first, the JSON that vouches for them last."""
    body: dict[str, Any] = {"indices": [sample.index for sample in made.samples], "facts": made.facts}
    body["trails"] = made.trails
    body["texts"] = [sample.texts for sample in made.samples if isinstance(sample, TextSample)]
    images = [sample.pixels.detach().cpu() for sample in made.samples if isinstance(sample, ImageSample)]
    if images:
        with whole_file(path.with_suffix(".safetensors")) as temporary:
            save_file({"pixels": torch.stack(images)}, temporary)
        body["pixels_sha256"] = sha256_file(path.with_suffix(".safetensors"))
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"sha256": content_hash(body), "body": body}), encoding="utf-8")


def load(path: Path, clean: Sequence[Sample], warn: bool = True) -> Perturbed | None:
    """The entry made from `clean` samples, None where there is none or where it is damaged (one warning line)."""
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        body = entry["body"]
        if entry["sha256"] != content_hash(body) or body["indices"] != [sample.index for sample in clean]:
            raise ValueError("its content does not match its hash")
        return Perturbed(_rebuilt(path, body, clean), body["facts"], from_cache=True, trails=body["trails"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if warn:
            log.warning("attack cache %s is damaged (%s) and is built again", path.name, error)
        return None


def forget(path: Path) -> None:
    """Remove an entry."""
    path.unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def _rebuilt(path: Path, body: dict[str, Any], clean: Sequence[Sample]) -> list[Sample]:
    """The clean samples with the stored texts or pixels put in."""
    if body["texts"]:
        return [TextSample(s.index, s.label, tuple(t)) for s, t in zip(clean, body["texts"], strict=True)]
    stored = path.with_suffix(".safetensors")
    if sha256_file(stored) != body["pixels_sha256"]:
        raise ValueError("its pixels do not match their hash")
    return [ImageSample(s.index, s.label, p) for s, p in zip(clean, load_file(stored)["pixels"], strict=True)]
