"""Examples of attacked samples for a record: texts with their changed words, small images as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from torch import Tensor

from benchmark.attacks.words import edits
from benchmark.types import ImageSample, Perturbed, Sample, TextSample

COUNT = 4
LARGEST = 64  # pixels a side; larger images are left out, as they would make records large


class Span(TypedDict):
    """A changed word: the number of its text, its characters [start, end) there, and the word it replaced."""

    text: int
    start: int
    end: int
    old: str


JsonValue = int | str | list[str] | list[Span]


def examples(
    perturbed: Perturbed,
    clean: Sequence[Sample],
    depth_before: Tensor,
    depth_after: Tensor,
    answer_before: np.ndarray,
    answer_after: np.ndarray,
) -> list[dict[str, JsonValue]]:
    """At most four samples, those slowed most and then those changed least, with their exits and answers.

    Unchanged samples are left out.
    """
    slowdown, changed = depth_after - depth_before, perturbed.facts["changed"]
    order = sorted(range(len(clean)), key=lambda n: (-int(slowdown[n]), changed[n], clean[n].index))
    chosen = []
    for n in [n for n in order if changed[n]][:COUNT]:
        inputs = _inputs(clean[n], perturbed.samples[n])
        if inputs is None:
            return []
        about = {"index": clean[n].index, "label": clean[n].label}
        exits = {"exit_before": int(depth_before[n]), "exit_after": int(depth_after[n])}
        answers = {"answer_before": int(answer_before[n]), "answer_after": int(answer_after[n])}
        chosen.append(about | exits | answers | inputs)
    return chosen


def _inputs(before: Sample, after: Sample) -> dict[str, JsonValue] | None:
    if isinstance(before, TextSample) and isinstance(after, TextSample):
        return {"texts_before": list(before.texts), "texts_after": list(after.texts), "changed": _spans(before, after)}
    assert isinstance(before, ImageSample)
    assert isinstance(after, ImageSample)
    if max(before.pixels.shape[1:]) > LARGEST:
        return None
    return {"png_before": png(before.pixels), "png_after": png(after.pixels)}


def _spans(before: TextSample, after: TextSample) -> list[Span]:
    """The changed words, compared position by position, as words are replaced one for one."""
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
