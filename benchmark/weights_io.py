"""Trained weights in and out: safetensors only, keys and shapes checked, hashes returned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.files import sha256_file, whole_file
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = Path(__file__).parent / "weights"


def weights_path(checkpoint: str) -> Path:
    """The file that a name in `benchmark/weights` or a path stands for.

    Raises:
        ExitbenchError: neither exists.
    """
    packaged = WEIGHTS / f"{checkpoint}.safetensors"
    if packaged.is_file():
        return packaged
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return path
    known = sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))
    raise ExitbenchError(f"model.checkpoint: expected a file or one of {known}, got {checkpoint!r}")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ExitbenchError: the file is damaged or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ExitbenchError(f"model.checkpoint: {path} is not a whole safetensors file ({error})") from error


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
    state = read_weights(path)
    check_state(model.state_dict(), state, path.name)
    model.load_state_dict(state)
    return sha256_file(path)


def save_weights(state: Mapping[str, Tensor], path: Path) -> str:
    """Write tensors whole or not at all; returns the file's sha256."""
    from safetensors.torch import save_file

    with whole_file(path) as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary)
    return sha256_file(path)
