"""What goes into a bundle's first graph: how texts and pictures become arrays, and the samples to check it with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.types import ExitbenchError, ImageSample, TextSample

MODES = {1: "L", 3: "RGB"}  # channels -> Pillow's name
ENCODINGS = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}


def describe(model: Any, samples: Sequence[Any], resize: int | None, folder: Path) -> dict[str, Any]:
    """The manifest's `input`; for texts also writes tokenizer.json, which pads and truncates as `collate` does.

    resize: pixels that a photograph's short side is resized to before the centre is cut out; None: nothing is resized.

    Raises:
        ExitbenchError: a tokenizer that the tokenizers library does not know.
    """
    if model.kind == "text":
        return {"kind": "text", "max_length": model.max_length, "encodings": _tokenizer(model, samples[:2], folder)}
    channels, height, width = samples[0].pixels.shape
    return {
        "kind": "image",
        "channels": channels,
        "mode": MODES.get(channels),
        "size": [width, height],
        "resize": resize,
    }


def _tokenizer(model: Any, samples: Sequence[Any], folder: Path) -> dict[str, str]:
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExitbenchError(
            f"export: expected a fast tokenizer, got {type(model.tokenizer).__name__}, which runs in transformers alone"
        )
    alone = Tokenizer.from_str(backend.to_str())
    own = model.tokenizer
    alone.enable_truncation(max_length=model.max_length)
    alone.enable_padding(
        direction=own.padding_side, pad_id=own.pad_token_id, pad_type_id=own.pad_token_type_id, pad_token=own.pad_token
    )
    alone.save(str(folder / "tokenizer.json"))
    return {name: ENCODINGS[name] for name in model.collate(list(samples)).inputs}


def write_check(model: Any, samples: Sequence[Any], answers: list[int], exits: list[int], folder: Path) -> None:
    """check.json, and check.npz with the pixels of pictures: samples, and the answers and exits to be found again."""
    wanted: dict[str, Any] = {"answers": answers, "exits": exits}
    if isinstance(samples[0], TextSample):
        wanted["texts"] = [one.texts[0] if len(one.texts) == 1 else list(one.texts) for one in samples]
    else:
        np.savez_compressed(folder / "check.npz", pixels=_pixels(samples))
    (folder / "check.json").write_text(json.dumps(wanted, ensure_ascii=False), encoding="utf-8")


def _pixels(samples: Sequence[ImageSample]) -> Any:
    """(n, c, h, w) in bytes where the pixels are whole 255ths, else float32."""
    pixels = torch.stack([one.pixels for one in samples])
    grey = (pixels * 255).round()
    return (grey.byte() if torch.equal(grey / 255, pixels) else pixels).numpy()


def read_check(model: Any, samples: Sequence[Any], folder: Path) -> dict[str, Any]:
    """The arrays that check.py makes of its samples: texts through the folder's own tokenizer.json."""
    if not isinstance(samples[0], TextSample):
        return {"pixels": torch.stack([one.pixels for one in samples]).numpy()}
    from benchmark.engine.bundle.runner import EarlyExit

    texts = [one.texts[0] if len(one.texts) == 1 else one.texts for one in samples]
    return EarlyExit(folder).encode(texts)
