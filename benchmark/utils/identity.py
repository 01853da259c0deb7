"""Hashes of models, tokenizers and samples: the cache keys of traces and attacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from benchmark.types import EarlyExitModel, ExitbenchError, ImageSample, Sample, TextSample
from benchmark.utils import user_code

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNTRAINED = "untrained"


def model_identity(model: EarlyExitModel) -> dict[str, object]:
    """Everything that decides a model's logits: weights, exits, tokenizer, longest input and settings.

    settings: the model's own attribute, for what no weight shows (where the exits are, how tokens are pooled).
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
    """The model's own `weights_hash`, else sha256 over its state dict.

    "untrained" identifies no particular weights, so such a model's state dict is hashed as well.

    Raises:
        ExitbenchError: the model has no `weights_hash` and is no `torch.nn.Module`.
    """
    declared = getattr(model, "weights_hash", None)
    if isinstance(declared, str) and declared != UNTRAINED:
        return declared
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


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase | None) -> str | None:
    """sha256 of a tokenizer's definition, without the padding and truncation settings that each call changes."""
    if tokenizer is None:
        return None
    if tokenizer not in _tokenizer_hashes:
        _tokenizer_hashes[tokenizer] = _definition_hash(tokenizer)
    return _tokenizer_hashes[tokenizer]


# Every trace look-up needs the hash, and a tokenizer's definition does not change while it is in use.
_tokenizer_hashes: WeakKeyDictionary[PreTrainedTokenizerBase, str] = WeakKeyDictionary()


def _definition_hash(tokenizer: PreTrainedTokenizerBase) -> str:
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


def content_hash(content: object) -> str:
    """sha256 of plain data as JSON, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
