"""What training scripts wrap around weights: dicts such as {'state_dict': …} and prefixes such as `module.`.

Well-known wrappers are taken off and named on stderr. Where a file holds several sets of weights, such as a model and
its moving average, which one to load is the user's choice: `model.checkpoint=FILE#model_ema`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from torch import Tensor

# Names under which scripts of timm, DeiT, Lightning, mmcv and their like save weights.
WRAPPERS = (
    "state_dict", "model_state_dict", "model", "net", "network", "weights", "params",
    "model_ema", "state_dict_ema", "ema", "ema_state_dict", "model_ema_state_dict",
)  # fmt: skip
# What wrappers of modules put before each key: DataParallel and DDP, torch.compile, Lightning and others.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "state_dict.")
log = logging.getLogger(__name__)


def split_choice(checkpoint: str) -> tuple[str, str]:
    """`FILE#name` -> the file and which set of weights in it; the name is empty where none is given."""
    file, _, name = checkpoint.partition("#")
    return file, name


def unwrapped(content: object, source: str, choice: str = "") -> dict[str, Tensor]:
    """The one state dict in what a file held, without wrappers and without prefixes that all keys share.

    choice: the name of the set to take where there are several, as the error lists them.

    Raises:
        ExitbenchError: no tensors by name, several sets and no choice, or a choice that is not there.
    """
    found = dict(_state_dicts(content, ""))
    if choice:
        if choice not in found:
            raise ExitbenchError(
                f"model.checkpoint: expected one of {', '.join(filter(None, found)) or 'no names'} after # "
                f"for {source}, got {choice!r}"
            )
        found = {choice: found[choice]}
    if not found:
        got = ", ".join(sorted(map(str, content))[:6]) if isinstance(content, Mapping) else type(content).__name__
        raise ExitbenchError(f"model.checkpoint: expected tensors by name in {source}, got {got}")
    if len(found) > 1:
        names = ", ".join(found)
        raise ExitbenchError(
            f"model.checkpoint: {source} holds several sets of weights: {names}; "
            f"choose one, for example model.checkpoint={source}#{next(iter(found))}"
        )
    ((name, state),) = found.items()
    state, prefix = _without_prefix(state)
    taken = [f"the weights under {name!r}" if name else "", f"without the prefix {prefix!r}" if prefix else ""]
    if any(taken):
        log.warning("model.checkpoint: %s: took %s", source, ", ".join(filter(None, taken)))
    return state


def _state_dicts(content: object, name: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every set of tensors by name in nested wrappers, with the path of wrappers that leads to it."""
    import torch

    if not isinstance(content, Mapping) or not content:
        return
    if all(isinstance(value, torch.Tensor) for value in content.values()):
        yield from _flat_state_dicts({str(key): value for key, value in content.items()}, name)
        return
    for key in WRAPPERS:
        if key in content:
            yield from _state_dicts(content[key], f"{name}.{key}" if name else key)


def _flat_state_dicts(state: dict[str, Tensor], name: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Safetensors files are flat: the first part of a key names the set of weights."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        groups.setdefault(head if head in WRAPPERS and rest else "", {})[rest if head in WRAPPERS else key] = value
    if len(groups) > 1 and "" not in groups:
        for head, group in groups.items():
            yield (f"{name}.{head}" if name else head), group
    else:
        yield name, state


def _without_prefix(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    removed = ""
    while prefix := next((one for one in PREFIXES if all(key.startswith(one) for key in state)), ""):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        removed += prefix
    return state, removed
