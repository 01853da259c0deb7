"""What is left of a text's meaning: the cosine of a sentence encoder's vectors before and after.

Source: Sentence-BERT (Reimers and Gurevych, EMNLP 2019), mean-pooled; by default MiniLM-L6, as its authors trained
it, without any exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmark.data.sources.assets import backbone
from benchmark.types import Sample, TextSample

NONE = "none"


@lru_cache(maxsize=1)
def encoder(name: str) -> tuple[Any, Any]:
    """The tokenizer and the model of an asset name, hub id or local folder; see `assets.backbone` for its errors."""
    from transformers import AutoModel, AutoTokenizer

    folder = backbone(name)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()


def cosines(name: str, before: Sequence[Sample], after: Sequence[Sample]) -> list[float]:
    """For each sample the cosine in −1 … 1 of its texts before and after, of a pair their mean; 1 where they are equal.

    Only the texts that changed are encoded, on the CPU.
    """
    pairs = [
        (old, new)
        for clean, found in zip(before, after, strict=True)
        if isinstance(clean, TextSample) and isinstance(found, TextSample)
        for old, new in zip(clean.texts, found.texts, strict=True)
    ]
    changed = sorted(
        {text for old, new in pairs if old != new for text in (old, new)}, key=lambda text: (len(text), text)
    )
    vectors = dict(zip(changed, _encode(name, changed), strict=True))
    alike = iter(1.0 if old == new else float(vectors[old] @ vectors[new]) for old, new in pairs)
    return [sum(next(alike) for _ in sample.texts) / len(sample.texts) for sample in before]  # type: ignore[union-attr]


@torch.inference_mode()
def _encode(name: str, texts: Sequence[str], batch_size: int = 64) -> list[Tensor]:
    """Vectors (d,) of length 1; texts beyond 256 tokens, what the encoder was trained on, are cut."""
    vectors: list[Tensor] = []
    for start in range(0, len(texts), batch_size):
        tokenizer, model = encoder(name)
        part = list(texts[start : start + batch_size])
        inputs = tokenizer(part, padding=True, truncation=True, max_length=256, return_tensors="pt")
        hidden = model(**inputs).last_hidden_state  # (b, T, d)
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors += list(torch.nn.functional.normalize(pooled, dim=-1))
    return vectors
