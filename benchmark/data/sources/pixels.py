"""Encoded pictures to 8-bit arrays, for all of Pillow's modes: scaled by the range of the mode, or refused by name."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from benchmark.types import ExitbenchError

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def decode(content: object, name: str) -> np.ndarray:
    """PNG, JPEG … bytes, or a struct with them, to uint8 (H, W) where grey, else RGB (H, W, 3).

    16-bit grey is scaled over 65,535 and floating point over [0, 1]. Transparency is dropped, palettes are resolved.
    name: the file, or the table's row, for the message.

    Raises:
        ExitbenchError: no picture, a damaged one, or pixel values whose range is not known.
    """
    encoded = content.get("bytes") if isinstance(content, dict) else content
    if not isinstance(encoded, bytes):
        raise ExitbenchError(f"{name}: expected an encoded picture, got {type(encoded).__name__}")
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.load()
            return to_array(picture, name)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ExitbenchError(f"{name}: expected a whole picture, got {' '.join(str(error).split())}") from error


def to_array(picture: Image.Image, name: str) -> np.ndarray:
    """A decoded picture as `decode` gives it."""
    mode = picture.mode
    if mode in ("L", "RGB"):
        return np.array(picture)
    if mode == "1":
        return np.array(picture.convert("L"))
    if mode in SIXTEEN_BITS or (mode == "I" and picture.format == "PNG"):  # older Pillow reads 16-bit grey PNG as I
        return np.round(np.array(picture).astype(np.float64) / 257).astype(np.uint8)  # 65,535 / 257 = 255
    if mode in ("I", "F"):
        return _unit_range(np.array(picture).astype(np.float64), mode, name)
    if mode == "LA" or (mode == "P" and _is_grey(picture)):
        return np.array(picture.convert("L"))
    return np.array(picture.convert("RGB"))


def _unit_range(values: np.ndarray, mode: str, name: str) -> np.ndarray:
    """Floating point in [0, 1] as 8 bits; anything else says nothing of its white."""
    low, high = float(values.min()), float(values.max())
    if mode == "I" or not (low >= 0 and high <= 1):
        kind = "32-bit whole numbers" if mode == "I" else "floating point"
        raise ExitbenchError(
            f"{name}: expected 8-bit or 16-bit pixels, or floating point in [0, 1], got {kind} "
            f"from {low:g} to {high:g}; save it anew with the range you mean"
        )
    return np.round(values * 255).astype(np.uint8)


def _is_grey(picture: Image.Image) -> bool:
    palette = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())
