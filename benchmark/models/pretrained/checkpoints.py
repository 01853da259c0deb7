"""What `model.checkpoint` may say: a packaged name, a file, a local folder, or a hub id."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.data.sources.assets import backbone
from benchmark.models.pretrained.weights import WEIGHTS, weights_in, weights_path
from benchmark.models.pretrained.wrappers import split_choice

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FILES = (".safetensors", ".bin", ".pth", ".pt", ".tar")


def checkpoint_file(checkpoint: str) -> Path:
    """The file that `checkpoint` stands for, fetched from the hub if need be.

    checkpoint: a name in `benchmark/weights`, a file, a folder with weights in it, or a hub id ("owner/name"); behind a
    # the set of weights to take, where the file holds several.

    Raises:
        ExitbenchError: none of these, or a folder or repository without weights.
    """
    checkpoint, _ = split_choice(checkpoint)
    path = Path(checkpoint).expanduser()
    if (WEIGHTS / f"{checkpoint}.safetensors").is_file() or path.is_file():
        return weights_path(checkpoint)
    if path.is_dir():
        return weights_in(path, "model.checkpoint")
    if _HUB_ID.fullmatch(checkpoint) and not checkpoint.endswith(_FILES):
        return weights_in(backbone(checkpoint, "model.checkpoint"), "model.checkpoint")
    return weights_path(checkpoint)  # says what was expected
