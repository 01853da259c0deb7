"""Encoded images to arrays: IDX files, and tables of PNG or JPEG pictures."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.data.sources.damaged import damaged_error
from benchmark.data.sources.pixels import decode
from benchmark.data.splits import expect
from benchmark.types import ExitbenchError
from benchmark.utils.progress import track

if TYPE_CHECKING:
    from pyarrow import Table

Split = tuple[Tensor, Tensor]  # pixels (N, C, H, W) uint8, labels (N,) int64


def decode_split(folder: Path, split: str, image: str, label: str) -> Split:
    """train or test of a folder that holds `<split>.parquet`, or `<split>-images.gz` and `<split>-labels.gz` (IDX)."""
    if (parquet := folder / f"{split}.parquet").exists():
        import pyarrow.parquet

        return decode_table(pyarrow.parquet.read_table(parquet), image, label)
    pixels = _read_idx(folder / f"{split}-images.gz", dimensions=3).unsqueeze(1)  # (N, 1, H, W)
    return pixels, _read_idx(folder / f"{split}-labels.gz", dimensions=1).long()


def _read_idx(path: Path, dimensions: int) -> Tensor:
    """An IDX file of unsigned bytes: 0, 0, 8, the number of dimensions; then each as a big-endian uint32."""
    raw = gzip.decompress(path.read_bytes())
    shape = [int.from_bytes(raw[4 + 4 * d : 8 + 4 * d], "big") for d in range(dimensions)]
    start, size = 4 + 4 * dimensions, int(torch.tensor(shape).prod())
    header = bytes([0, 0, 8, dimensions])
    expect(path.name, raw[:4] == header and len(raw) == start + size, "an IDX file of bytes", raw[:4])
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=start).reshape(shape)


def decode_table(table: Table, image: str, label: str) -> Split:
    """Encoded pictures (structs with `bytes`) and integer labels; all pictures must share size and channels.

    Raises:
        ExitbenchError: a column that is not there, labels that are no whole numbers, pictures of several sizes; and
            all damaged pictures at once.
    """
    for column in (image, label):
        expect("column", column in table.column_names, f"one of {', '.join(table.column_names)}", column)
    labels = _integers(table.column(label).to_pylist(), label)
    pixels, first = torch.empty(0, dtype=torch.uint8), ""
    faults: list[str] = []
    for row, encoded in enumerate(track(table.column(image).to_pylist(), "decoding images", unit="image")):
        name = _row_name(encoded, image, row)
        try:
            array = decode(encoded, name)
        except ExitbenchError as error:
            faults.append(str(error))
            continue
        channels_first = torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)
        if not len(pixels):
            pixels, first = torch.empty((len(labels), *channels_first.shape), dtype=torch.uint8), name
        if pixels.shape[1:] != channels_first.shape:
            wanted, got = tuple(pixels.shape[1:]), tuple(channels_first.shape)
            raise ExitbenchError(f"{name}: expected (C, H, W) {wanted} as in {first}, got {got}")
        pixels[row] = channels_first
    if faults:
        raise damaged_error(faults, len(labels))
    return pixels, labels


def _row_name(encoded: object, column: str, row: int) -> str:
    file = encoded.get("path") if isinstance(encoded, dict) else None
    return f"{column}, row {row}" + (f" ({file})" if file else "")


def _integers(labels: list[object], column: str) -> Tensor:
    if bad := [value for value in labels if not isinstance(value, int)][:1]:
        raise ExitbenchError(f"{column}: expected integer labels, got {bad[0]!r}; name the label column")
    return torch.tensor(labels, dtype=torch.int64)
