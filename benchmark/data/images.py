"""Image datasets in memory: one uint8 array for all images, which must have one size; samples are made on indexing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from benchmark.data.sources import hub as hub_client
from benchmark.data.sources.assets import decoded_asset_entry, fetch
from benchmark.data.sources.decoding import Split, decode_split, decode_table
from benchmark.data.splits import UNPINNED, check_classes, check_fingerprint, cut, fingerprint
from benchmark.types import Dataset, ExitbenchError, ImageSample
from benchmark.utils.cache import cached_folder


class Images(Sequence[ImageSample]):
    """Labelled images as a sequence of samples; the arrays are attributes, for code that reads whole batches.

    pixels (N, C, H, W) uint8; labels (N,) int64; indices (N,) int64, the row of each image in its source's split.
    Indexing gives an `ImageSample` with float32 pixels in [0, 1]; a slice gives `Images`.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, indices: Tensor) -> None:
        self.pixels, self.labels, self.indices = pixels, labels, indices

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> ImageSample: ...
    @overload
    def __getitem__(self, index: slice) -> Images: ...
    def __getitem__(self, index: int | slice) -> ImageSample | Images:
        if isinstance(index, slice):
            return Images(self.pixels[index], self.labels[index], self.indices[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return ImageSample(int(self.indices[index]), int(self.labels[index]), self.pixels[index].float() / 255)

    def at(self, positions: Sequence[int]) -> Images:
        """The images at these positions, in this order."""
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        return Images(self.pixels[chosen], self.labels[chosen], self.indices[chosen])


def load(
    name: str,
    version: int,
    asset: str,
    class_names: Sequence[str],
    calibration: int,
    seed: int = 0,
    fingerprint: str = UNPINNED,
    image: str = "image",
    label: str = "label",
) -> Dataset:
    """A dataset from an asset, whose source serves train and test as IDX files or as parquet.

    calibration: how many images are split off train, selected by `seed`. image, label: column names, for parquet.
    """

    def decode() -> dict[str, Split]:
        folder = fetch(asset)
        return {split: decode_split(folder, split, image, label) for split in ("train", "test")}

    cache_entry = decoded_asset_entry(asset, fingerprint)
    return _dataset(name, version, class_names, calibration, seed, fingerprint, cache_entry, decode)


def hub(
    name: str,
    version: int,
    path: str,
    class_names: Sequence[str],
    calibration: int,
    subset: str = "",
    image: str = "image",
    label: str = "label",
    train: str = "train",
    test: str = "test",
    seed: int = 0,
    fingerprint: str = UNPINNED,
    revision: str = "main",
) -> Dataset:
    """A dataset on the hub or in a local folder: columns `image` and `label` of two splits."""

    def decode() -> dict[str, Split]:
        tables = {key: hub_client.table(path, subset, split, [image, label], revision) for key, split in splits.items()}
        return {key: decode_table(table, image, label) for key, table in tables.items()}

    splits = {"train": train, "test": test}
    if Path(path).expanduser().is_dir():  # may change at any time, so it is not cached
        return _dataset(name, version, class_names, calibration, seed, fingerprint, "", decode)
    cache_entry = hub_client.decoded_images_entry(path, subset, image, label, train, test, revision, fingerprint)
    return _dataset(name, version, class_names, calibration, seed, fingerprint, cache_entry, decode)


def _dataset(
    name: str,
    version: int,
    class_names: Sequence[str],
    calibration: int,
    seed: int,
    pinned: str,
    cache_entry: str,
    decode: Callable[[], dict[str, Split]],
) -> Dataset:
    """Decode or read from the cache (unless `cache_entry` is empty), check, and split off calibration."""
    check_classes(class_names)

    def checked() -> dict[str, Split]:  # runs before caching: content from a wrong source is not cached
        splits = decode()
        check_fingerprint(name, pinned, _fingerprint(splits))
        return splits

    splits = _cached(cache_entry, checked) if cache_entry else checked()
    content = _fingerprint(splits)
    check_fingerprint(name, pinned, content)
    for split, (_, labels) in splits.items():
        _check_labels(name, split, labels, len(class_names))
    train, test = (Images(*splits[key], torch.arange(len(splits[key][1]))) for key in ("train", "test"))
    rest, calibrating = cut(range(len(train)), calibration, seed, "calibration")
    return Dataset(
        name,
        version,
        "image",
        len(class_names),
        tuple(class_names),
        train.at(rest),
        train.at(calibrating),
        test,
        content,
    )


def _cached(name: str, decode: Callable[[], dict[str, Split]]) -> dict[str, Split]:
    from safetensors.torch import load_file, save_file

    def build(folder: Path) -> None:
        for split, (pixels, labels) in decode().items():
            save_file({"pixels": pixels, "labels": labels}, folder / f"{split}.safetensors")

    folder = cached_folder(name, build)
    tensors = {split: load_file(folder / f"{split}.safetensors") for split in ("train", "test")}
    return {split: (t["pixels"], t["labels"]) for split, t in tensors.items()}


def _fingerprint(splits: dict[str, Split]) -> str:
    def chunks(pixels: Tensor, labels: Tensor) -> list[bytes | memoryview]:
        little_endian = labels.numpy().astype("<i8")
        return [repr(tuple(pixels.shape)).encode(), pixels.numpy().data, little_endian.data]

    return fingerprint({split: chunks(*arrays) for split, arrays in splits.items()})


def _check_labels(name: str, split: str, labels: Tensor, num_classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ExitbenchError(f"{name}, {split}: expected labels in 0 … {num_classes - 1}, got {low} … {high}")
