"""Cache of attacked samples on disk: an attack runs once and is then measured under every hardware profile.

An entry is a JSON (texts, per-sample columns, trails) and, for images, a safetensors file; the JSON holds the sha256
of both. An entry that does not match its hash is reported and the attack is run again.
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
from benchmark.utils.files import atomic_write, sha256_file
from benchmark.utils.identity import content_hash, model_identity, samples_hash
from benchmark.utils.user_code import module_hash

# Files that an attack's outcome depends on. A change of their code is a new attack, one of comments or docstrings not.
CODE_FILES = (
    *("attacks/words/batched_search", "attacks/words/released_search", "attacks/words/candidates"),
    *("attacks/words/misspellings", "attacks/words/search_state", "attacks/words/edits", "attacks/words/vocabulary"),
    *("attacks/words/semantic_similarity", "attacks/words/search", "attacks/pixels/projected_gradient"),
    *("attacks/pixels/norm_balls", "attacks/pixels/search", "attacks/forward", "attacks/objectives"),
    *("attacks/adversarial", "policies/base", "policies/replay"),
)
log = logging.getLogger(__name__)


def key_of(model: EarlyExitModel, policy: Policy, samples: Sequence[Sample], settings: dict[str, Any]) -> str:
    """sha256 of everything that an attack's outcome depends on; settings as `describe` returns them."""
    identity = {
        "code": code_hash(),
        **model_identity(model),
        "samples": samples_hash(samples),
        "settings": settings,
        "policy": describe(policy) | {"name": policy.name, "threshold": policy.threshold},
    }
    return content_hash(identity)


@functools.cache
def code_hash() -> str:
    """sha256 over the attack code and the stop words, without comments and docstrings."""
    package = Path(__file__).parents[1]
    trees = {name: _normalised_syntax((package / f"{name}.py").read_text(encoding="utf-8")) for name in CODE_FILES}
    return content_hash({**trees, "stop words": sha256_file(package / "attacks" / "words" / "stopwords.txt")})


def _normalised_syntax(code: str) -> str:
    """The syntax tree of code, which has no comments and no layout, without docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def describe(thing: object) -> dict[str, Any]:
    """An objective, search or policy as plain data: its import path and its arguments."""
    if isinstance(thing, functools.partial):
        return describe(thing.func) | {"args": list(thing.args)} | thing.keywords
    qualified_name: str | None = getattr(thing, "__qualname__", None)  # of functions, methods and classes
    if qualified_name:
        code = module_hash(thing.__module__)
        return {"is": f"{thing.__module__}.{qualified_name}"} | ({"code": code} if code else {})
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    names = [field.name for field in fields] or list(vars(thing))
    return describe(type(thing)) | {name: getattr(thing, name) for name in names}


def save(path: Path, attacked: Perturbed) -> None:
    """Write an entry atomically: the pixels first, then the JSON with their hash."""
    body: dict[str, Any] = {"indices": [sample.index for sample in attacked.samples], "facts": attacked.facts}
    body["trails"] = attacked.trails
    body["texts"] = [sample.texts for sample in attacked.samples if isinstance(sample, TextSample)]
    images = [sample.pixels.detach().cpu() for sample in attacked.samples if isinstance(sample, ImageSample)]
    if images:
        with atomic_write(path.with_suffix(".safetensors")) as temporary:
            save_file({"pixels": torch.stack(images)}, temporary)
        body["pixels_sha256"] = sha256_file(path.with_suffix(".safetensors"))
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"sha256": content_hash(body), "body": body}), encoding="utf-8")


def load(path: Path, clean: Sequence[Sample], warn: bool = True) -> Perturbed | None:
    """The entry of `clean` samples; None if there is none or it is damaged (one warning line)."""
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        body = entry["body"]
        if entry["sha256"] != content_hash(body) or body["indices"] != [sample.index for sample in clean]:
            raise ValueError("its content does not match its hash")
        return Perturbed(_with_inputs(path, body, clean), body["facts"], from_cache=True, trails=body["trails"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if warn:
            log.warning("attack cache %s is damaged (%s); the attack is run again", path.name, error)
        return None


def remove(path: Path) -> None:
    """Remove an entry."""
    path.unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def _with_inputs(path: Path, body: dict[str, Any], clean: Sequence[Sample]) -> list[Sample]:
    """The clean samples with the stored texts or pixels in place of their own."""
    if body["texts"]:
        return [TextSample(s.index, s.label, tuple(t)) for s, t in zip(clean, body["texts"], strict=True)]
    stored = path.with_suffix(".safetensors")
    if sha256_file(stored) != body["pixels_sha256"]:
        raise ValueError("its pixels do not match their hash")
    return [ImageSample(s.index, s.label, p) for s, p in zip(clean, load_file(stored)["pixels"], strict=True)]
