"""The DVT authors' released checkpoints: names, architectures, their keys in our words, and files read safely."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.models.pretrained.wrappers import unwrapped
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from torch import Tensor

_T2T: dict[str, object] = {
    "tokenizer": "tokens_to_token", "qkv_bias": False, "eps": 1e-5, "learned_position": False,
}  # fmt: skip
_COMMON: dict[str, object] = {
    "grids": (7, 10, 14), "image_size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
}  # fmt: skip
# DVT (NeurIPS 2021), appendix A, and the released code.
ARCHITECTURES: dict[str, dict[str, object]] = {
    "DVT_Deit_small": {**_COMMON, "width": 384, "depth": 12, "heads": 6, "mlp_ratio": 4},
    "DVT_T2t_vit_12": {**_COMMON, **_T2T, "width": 256, "depth": 12, "heads": 4, "mlp_ratio": 2},
    "DVT_T2t_vit_14": {**_COMMON, **_T2T, "width": 384, "depth": 14, "heads": 6, "mlp_ratio": 3},
}

_PREFIXES = {
    "less_less_token.": "transformers.0.",
    "less_token.": "transformers.1.",
    "normal_token.": "transformers.2.",
}
_RENAMED = (
    (r"\.patch_embed\.proj\.", ".tokens.proj."),
    (r"\.tokens_to_token\.", ".tokens."),
    (r"(attention\d)\.mlp\.0\.", r"\1.fc1."),
    (r"(attention\d)\.mlp\.2\.", r"\1.fc2."),
    (r"\.mlp\.(fc\d)\.", r".\1."),
    (r"\.feature_resuse_mlp\.0\.", ".feature_reuse.norm."),  # the released spelling
    (r"\.feature_resuse_mlp\.1\.", ".feature_reuse."),
    (r"\.relation_reuse_conv\.0\.", ".relation_reuse.conv1."),
    (r"\.relation_reuse_conv\.2\.", ".relation_reuse.conv2."),
)


def architecture(name: str) -> dict[str, Any]:
    """The arguments of our `DVT` for a released model, the number of classes left out.

    Raises:
        ExitbenchError: a name that was not released.
    """
    if name not in ARCHITECTURES:
        raise ExitbenchError(f"from_official: expected one of {', '.join(ARCHITECTURES)}, got {name!r}")
    return dict(ARCHITECTURES[name])


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict under our keys; keys of no known transformer keep their names, and so are reported."""
    ours = {}
    for key, value in state.items():
        prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), "")
        new = _PREFIXES.get(prefix, "") + key.removeprefix(prefix)
        for pattern, replacement in _RENAMED:
            new = re.sub(pattern, replacement, new)
        ours[new] = value
    return ours


# What a released file says beside its weights (DVT release, README): confidence thresholds of 59 budgets × 3 exits,
# GMACs to each exit, top-1 of each exit in percent, and the budgeted curve as (mean GMACs, top-1 in percent).
FACTS = ("dynamic_threshold", "flops", "anytime_classification", "budgeted_batch_classification")


def read_released(path: Path, choice: str = "") -> tuple[dict[str, Tensor], dict[str, object]]:
    """The weights of an authors' file, without wrappers, and those of `FACTS` that it holds.

    Only tensors, plain Python data and numpy's numbers are read; anything else in the pickle is refused, not run.
    dynamic_threshold comes as a float32 tensor (budgets, exits), all other facts as lists of floats.

    Raises:
        ExitbenchError: code or other objects in the file, a damaged file, no state dict in it.
    """
    content = _read_plain(path)
    state = unwrapped(content, path.name, choice)
    fields = content if isinstance(content, Mapping) else {}
    facts = {name: _numbers(fields[name], f"{path.name}, {name}") for name in FACTS if name in fields}
    return state, facts


def _read_plain(path: Path) -> object:
    import torch

    try:
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = named[1] if named else "objects of unknown kind"
        raise ExitbenchError(
            f"model.checkpoint: expected tensors and numbers alone in {path}, got {what}; nothing of it was run. "
            "Save the tensors anew, as safetensors or with torch.save"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ExitbenchError(f"model.checkpoint: {path} is not a whole torch file ({reason})") from error


def _numpy_numbers() -> list[Any]:
    """What pickles of numpy's float, double and integer scalars name, under numpy 1's and numpy 2's paths."""
    import numpy as np
    from numpy._core import multiarray

    kinds = [type(np.dtype(name)) for name in ("float32", "float64", "int32", "int64")]
    scalar = [(multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*scalar, np.dtype, *kinds]


def _numbers(value: object, name: str) -> object:
    """Tensors and numbers, in lists or not, as floats in lists; thresholds as one tensor."""
    import torch

    def plain(one: Any) -> object:
        if isinstance(one, torch.Tensor):
            return one.tolist()
        return [plain(part) for part in one] if isinstance(one, list | tuple) else float(one)

    try:
        numbers = plain(value)
        return torch.tensor(numbers, dtype=torch.float32) if name.endswith("dynamic_threshold") else numbers
    except (TypeError, ValueError) as error:
        raise ExitbenchError(f"model.checkpoint: expected numbers in {name}, got {type(value).__name__}") from error
