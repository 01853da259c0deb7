"""A few attacked samples as a record carries them: texts with the words changed, small pictures as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from benchmark.attacks.words import edits
from benchmark.types import ImageSample, Perturbed, Sample, TextSample

COUNT = 4
LARGEST = 64  # pixels a side: larger pictures would make records heavy, and are left out


def examples(
    perturbed: Perturbed,
    clean: Sequence[Sample],
    depth_before: Tensor,
    depth_after: Tensor,
    answer_before: np.ndarray,
    answer_after: np.ndarray,
) -> list[dict[str, Any]]:
    """The samples slowed most, those changed least first, with their exits and answers; at most four.

    Samples left as they were show nothing and are none of them.
    """
    gained, changed = depth_after - depth_before, perturbed.facts["changed"]
    order = sorted(range(len(clean)), key=lambda n: (-int(gained[n]), changed[n], clean[n].index))
    chosen = []
    for n in [n for n in order if changed[n]][:COUNT]:
        shown = _shown(clean[n], perturbed.samples[n])
        if shown is None:
            return []
        about = {"index": clean[n].index, "label": clean[n].label}
        exits = {"exit_before": int(depth_before[n]), "exit_after": int(depth_after[n])}
        answers = {"answer_before": int(answer_before[n]), "answer_after": int(answer_after[n])}
        chosen.append(about | exits | answers | shown)
    return chosen


def _shown(before: Sample, after: Sample) -> dict[str, Any] | None:
    if isinstance(before, TextSample) and isinstance(after, TextSample):
        return {"texts_before": list(before.texts), "texts_after": list(after.texts), "changed": _spans(before, after)}
    assert isinstance(before, ImageSample)
    assert isinstance(after, ImageSample)
    if max(before.pixels.shape[1:]) > LARGEST:
        return None
    return {"png_before": png(before.pixels), "png_after": png(after.pixels)}


def _spans(before: TextSample, after: TextSample) -> list[dict[str, Any]]:
    """The changed words: which text, the new word's characters [start, end) there, the old word."""
    pairs = zip(edits.words_of(before.texts), edits.words_of(after.texts), strict=True)
    return [
        {"text": new.text, "start": new.start, "end": new.end, "old": old.form}
        for old, new in pairs
        if old.form != new.form
    ]


def png(pixels: Tensor) -> str:
    """Pixels (1 or 3, H, W) in [0, 1] as a PNG of 8 bits a channel, in base64."""
    from PIL import Image

    values = (pixels.detach().cpu().clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    image = Image.fromarray(values[0] if len(values) == 1 else np.moveaxis(values, 0, -1))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
