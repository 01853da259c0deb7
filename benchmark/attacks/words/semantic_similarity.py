"""Semantic similarity of texts before and after an attack: the cosine of a sentence encoder's vectors.

Source: Sentence-BERT (Reimers and Gurevych, EMNLP 2019), mean-pooled; by default MiniLM-L6 with its authors' weights
and without exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.data.sources.assets import backbone
from benchmark.types import Sample, TextSample

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NONE = "none"


@lru_cache(maxsize=1)
def encoder(name: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """The tokenizer and the model of an asset name, hub id or local folder; see `assets.backbone` for its errors."""
    from transformers import AutoModel, AutoTokenizer

    folder = backbone(name)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()


def cosines(name: str, before: Sequence[Sample], after: Sequence[Sample]) -> list[float]:
    """Cosine in −1 … 1 of each sample's text before and after; the mean of both for a pair; 1 if nothing changed.

    Only changed texts are encoded, on the CPU.
    """
    pairs = [
        (old, new)
        for clean, attacked in zip(before, after, strict=True)
        if isinstance(clean, TextSample) and isinstance(attacked, TextSample)
        for old, new in zip(clean.texts, attacked.texts, strict=True)
    ]
    changed = sorted(
        {text for old, new in pairs if old != new for text in (old, new)}, key=lambda text: (len(text), text)
    )
    vectors = dict(zip(changed, _encode(name, changed), strict=True))
    values = iter(1.0 if old == new else float(vectors[old] @ vectors[new]) for old, new in pairs)
    counts = [len(sample.texts) for sample in before if isinstance(sample, TextSample)]
    return [sum(next(values) for _ in range(count)) / count for count in counts]


@torch.inference_mode()
def _encode(name: str, texts: Sequence[str], batch_size: int = 64) -> list[Tensor]:
    """Vectors (d,) of length 1; texts are cut to 256 tokens, the encoder's training length."""
    vectors: list[Tensor] = []
    for start in range(0, len(texts), batch_size):
        tokenizer, model = encoder(name)
        chunk = list(texts[start : start + batch_size])
        inputs = tokenizer(chunk, padding=True, truncation=True, max_length=256, return_tensors="pt")
        hidden = model(**inputs).last_hidden_state  # (b, T, d)
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors += list(torch.nn.functional.normalize(pooled, dim=-1))
    return vectors
