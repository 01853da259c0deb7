"""What a model's answers depend on, as hashes: the keys that traces and attacks are cached by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

from benchmark.types import EarlyExitModel, ExitbenchError, ImageSample, Sample, TextSample
from benchmark.utils import user_code

UNTRAINED = "untrained"


def model_identity(model: EarlyExitModel) -> dict[str, Any]:
    """Weights, exits, tokenizer and longest input: all that decides what a model answers.

    What else decides it and is in no weight (where the exits are, how tokens are pooled) a model says as `settings`.
    """
    settings = getattr(model, "settings", {})
    code = user_code.module_hash(type(model).__module__)
    return {
        **({"settings": settings} if settings else {}),
        **({"model_code": code} if code else {}),
        "weights": weights_hash(model),
        "exits": (model.num_exits, model.num_classes),
        "tokenizer": tokenizer_hash(getattr(model, "tokenizer", None)),
        "max_length": getattr(model, "max_length", None),
    }


def weights_hash(model: EarlyExitModel) -> str:
    """The model's own `weights_hash`, else sha256 over its state dict; raises ExitbenchError for a model with neither.

    "untrained" names no weights in particular, so such a model is hashed as well.
    """
    named = getattr(model, "weights_hash", None)
    if isinstance(named, str) and named != UNTRAINED:
        return named
    if not isinstance(model, torch.nn.Module):
        raise ExitbenchError(
            "model.weights_hash: expected a hash of its weights, to cache attacks by, "
            f"got none from {type(model).__name__}"
        )
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def tokenizer_hash(tokenizer: Any) -> str | None:
    """sha256 of a fast tokenizer's definition without the padding and truncation that calls leave in it."""
    if tokenizer is None:
        return None
    if tokenizer not in _tokenizers:
        _tokenizers[tokenizer] = _definition_hash(tokenizer)
    return _tokenizers[tokenizer]


# Of tokenizers that still live: every look-up of a trace asks, and nobody changes their definition.
_tokenizers: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _definition_hash(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    definition = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    return content_hash({name: value for name, value in definition.items() if name not in ("padding", "truncation")})


def samples_hash(samples: Sequence[Sample]) -> str:
    """sha256 over indices, labels and texts or pixels, in order."""
    digest = hashlib.sha256()
    for sample in samples:
        content = sample.texts if isinstance(sample, TextSample) else (str(tuple(sample.pixels.shape)),)
        digest.update(json.dumps([sample.kind, sample.index, sample.label, content]).encode())
        if isinstance(sample, ImageSample):
            digest.update(sample.pixels.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def content_hash(content: Any) -> str:
    """sha256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
