"""Trained weights in and out: safetensors only, keys and shapes checked, hashes returned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.models.pretrained.wrappers import split_choice, unwrapped
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write, sha256_file
from benchmark.utils.project_root import WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor, nn


def weights_path(checkpoint: str) -> Path:
    """The file that a name in `benchmark/weights` or a path stands for, whatever set of weights is named after a #.

    Raises:
        ExitbenchError: neither exists.
    """
    checkpoint, _ = split_choice(checkpoint)
    packaged = WEIGHTS / f"{checkpoint}.safetensors"
    if packaged.is_file():
        return packaged
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return path
    known = sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))
    raise ExitbenchError(f"model.checkpoint: expected a file or one of {known}, got {checkpoint!r}")


def weights_in(folder: Path, field: str) -> Path:
    """The one weights file of a model's folder: safetensors before torch's own format.

    Raises:
        ExitbenchError: there is none, or the weights are in several parts.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    parts = sorted(file.name for file in folder.glob("*.index.json"))
    what = f"weights in parts ({parts[0]})" if parts else "neither"
    raise ExitbenchError(f"{field}: expected model.safetensors or pytorch_model.bin in {folder}, got {what}")


def read_weights(path: Path, choice: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors file, without wrappers; see `wrappers.unwrapped`.

    Raises:
        ExitbenchError: the file is damaged or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ExitbenchError(f"model.checkpoint: {path} is not a whole safetensors file ({error})") from error
    return unwrapped(tensors, path.name, choice) if tensors else {}


def read_tensors(path: Path, choice: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a torch file, without wrappers; no code is run.

    Raises:
        ExitbenchError: the file is damaged, of another format, or holds more than tensors by name.
    """
    if path.suffix == ".safetensors":
        return read_weights(path, choice)
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ExitbenchError(f"model.checkpoint: {path} is not a whole file of tensors alone ({reason})") from error
    return unwrapped(state, path.name, choice)


def check_state(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], source: str) -> None:
    """Raise with the first few and the counts of missing, unknown and misshapen keys.

    Raises:
        ExitbenchError: any key is missing, unknown or of another shape.
    """
    missing = [key for key in expected if key not in got]
    unknown = [key for key in got if key not in expected]
    shapes = [
        f"{key} {tuple(got[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in got and got[key].shape != expected[key].shape
    ]
    found = [("missing", missing), ("unknown", unknown), ("of another shape", shapes)]
    faults = [
        f"{len(keys)} {what} ({'; '.join(keys[:3])}{' …' if len(keys) > 3 else ''})" for what, keys in found if keys
    ]
    if faults:
        raise ExitbenchError(f"model.checkpoint: {source} does not fit the model: {', '.join(faults)}")


def load_weights(model: nn.Module, checkpoint: str) -> str:
    """Load a whole state dict; returns the file's sha256."""
    path = weights_path(checkpoint)
    state = read_tensors(path, split_choice(checkpoint)[1])
    check_state(model.state_dict(), state, path.name)
    model.load_state_dict(state)
    return weights_id(path, checkpoint)


def weights_id(path: Path, checkpoint: str) -> str:
    """sha256 of the file, and of which set of its weights `checkpoint` names, where it names one."""
    import hashlib

    choice = split_choice(checkpoint)[1]
    digest = sha256_file(path)
    return hashlib.sha256(f"{digest}#{choice}".encode()).hexdigest() if choice else digest


def save_weights(state: Mapping[str, Tensor], path: Path) -> str:
    """Write tensors whole or not at all; returns the file's sha256."""
    from safetensors.torch import save_file

    with atomic_write(path) as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary)
    return sha256_file(path)
