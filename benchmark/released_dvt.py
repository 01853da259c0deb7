"""The DVT authors' released checkpoints: their names and architectures, and their keys in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from torch import Tensor

_T2T: dict[str, Any] = {
    "tokenizer": "tokens_to_token", "qkv_bias": False, "eps": 1e-5, "learned_position": False,
}  # fmt: skip
_COMMON: dict[str, Any] = {
    "grids": (7, 10, 14), "image_size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
}  # fmt: skip
# DVT (NeurIPS 2021), appendix A, and the released code.
ARCHITECTURES: dict[str, dict[str, Any]] = {
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
