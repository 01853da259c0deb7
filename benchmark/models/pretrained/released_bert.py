"""Multi-exit encoders as their authors released them: which layout a state dict has, and its keys in our words.

deebert     DeeBERT (ACL 2020) and BERxiT (EACL 2021): `bert.encoder.highway.N.{pooler.dense,classifier}` after each
            layer; the last exit is `bert.pooler.dense` and `classifier`, and its own highway is left out. BERxiT adds
            `bert.encoder.lte_classifier`, the uncertainty: our certainty is its negative.
pabee       PABEE (NeurIPS 2020): `classifiers.N`, one pooler for all: `bert.pooler.dense`, or `albert.pooler`.
elasticbert ElasticBERT (NAACL 2022): `elasticbert.encoder.pooler.N.dense` and, fine-tuned, `classifiers.N`.
Source: the released code: transformers' research projects deebert and bert-loses-patience, castorini/berxit, and
fastnlp/ElasticBERT. N counts from 0. `roberta.` stands for `bert.` where that is the backbone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

OWN_PREFIXES = ("backbone.", "heads.")
_BACKBONE = re.compile(r"(?:(bert|roberta|albert|elasticbert)\.)?(embeddings|encoder)\.")
# Buffers that older versions of the library saved, and heads of the pre-training.
_IGNORED_KEYS = re.compile(r"(^|\.)(position_ids|token_type_ids)$|^(cls|lm_head|predictions|sop_classifier)\.")


def layout(keys: Iterable[str]) -> str:
    """ "deebert", "pabee" or "elasticbert"; "ours" for what `exitbench train` wrote; "" for none of these."""
    keys = list(keys)
    if keys and all(key.startswith(OWN_PREFIXES) for key in keys):
        return "ours"
    if any(".highway." in key for key in keys):
        return "deebert"
    if any(re.search(r"(^|\.)encoder\.pooler\.\d+\.", key) for key in keys):
        return "elasticbert"
    return "pabee" if any(key.startswith("classifiers.") for key in keys) else ""


def backbone_of(keys: Iterable[str]) -> str:
    """The library's name of the backbone's architecture: "bert" (ElasticBERT, too), "roberta" or "albert"."""
    prefixes = {match[1] for match in map(_BACKBONE.match, keys) if match and match[1]}
    return "bert" if prefixes <= {"bert", "elasticbert"} else min(prefixes)


def renamed(
    state: Mapping[str, Tensor], layers: Sequence[int], depth: int, certainty: bool = False
) -> dict[str, Tensor]:
    """A released state dict under our keys, for exits after `layers` (1-based) of `depth`.

    certainty: whether the exits learn to exit; a released uncertainty is left out where they do not.
    Heads of other layers are left out; keys of no known part keep their names, and so are reported.
    """
    kind = layout(state)
    heads = {layer - 1: position for position, layer in enumerate(layers)}
    ours = {}
    for key, value in state.items():
        uncertain = ".lte_classifier." in key
        new = _renamed(key, kind, heads, depth)
        if new and (certainty or not uncertain):
            ours[new] = -value if uncertain else value
    return ours


def _renamed(key: str, kind: str, heads: Mapping[int, int], depth: int) -> str:
    """Our name for a key; empty where it is left out on purpose."""
    if _IGNORED_KEYS.search(key):
        return ""
    if match := re.search(r"(?:^|\.)encoder\.highway\.(\d+)\.(pooler\.dense|pooler|classifier)\.(\w+)$", key):
        layer, part = int(match[1]), "classifier" if match[2] == "classifier" else "dense"
        return _head(heads, layer, part, match[3]) if layer < depth - 1 else ""
    if match := re.search(r"(?:^|\.)encoder\.lte_classifier\.(\w+)$", key):
        return f"heads.0.certainty.{match[1]}"
    if match := re.search(r"(?:^|\.)encoder\.pooler\.(\d+)\.dense\.(\w+)$", key):
        return _head(heads, int(match[1]), "dense", match[2])
    if match := re.search(r"(?:^|\.)pooler\.(?:dense\.)?(weight|bias)$", key):
        if kind == "deebert":
            return _head(heads, depth - 1, "dense", match[1])
        return f"heads.0.dense.{match[1]}" if kind == "pabee" else ""  # ElasticBERT has none
    if match := re.match(r"classifiers\.(\d+)\.(\w+)$", key):
        return _head(heads, int(match[1]), "classifier", match[2])
    if match := re.match(r"classifier\.(\w+)$", key):
        return _head(heads, depth - 1, "classifier", match[1])
    if _BACKBONE.match(key):
        return _BACKBONE.sub(r"backbone.\2.", key, count=1)
    return key


def _head(heads: Mapping[int, int], layer: int, part: str, tensor: str) -> str:
    return f"heads.{heads[layer]}.{part}.{tensor}" if layer in heads else ""
