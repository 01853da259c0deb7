"""Photographs of differing sizes, decoded on access: ImageNet, and any folder of class folders.

Every picture is shown as the authors' evaluation shows it: RGB, short side resized (bicubic), centre cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmark.data.sources.damaged import damaged_error
from benchmark.data.sources.encoded_images import Pictures, pictures
from benchmark.data.sources.pixels import decode
from benchmark.data.splits import UNPINNED, check_classes, check_fingerprint, cut, expect, fingerprint
from benchmark.types import Dataset, ExitbenchError, ImageSample, Sample
from benchmark.utils.progress import track


class Photos(Sequence[ImageSample]):
    """Rows of a split, each decoded, resized and cropped at every access: some 10 ms for a photograph.

    Indexing gives an `ImageSample` of (3, crop, crop) float32 pixels in [0, 1]; a slice gives `Photos`.
    """

    def __init__(self, source: Pictures, rows: Sequence[int], resize: int, crop: int) -> None:
        self._source, self._rows, self.resize, self._crop = source, list(rows), resize, crop

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> ImageSample: ...
    @overload
    def __getitem__(self, index: slice) -> Photos: ...
    def __getitem__(self, index: int | slice) -> ImageSample | Photos:
        if isinstance(index, slice):
            return Photos(self._source, self._rows[index], self.resize, self._crop)
        row = self._rows[index]
        pixels = centre(self._source.encoded(row), self.resize, self._crop, self._source.name(row))
        return ImageSample(row, self._source.labels[row], pixels)

    def faults(self) -> list[str]:
        """What is wrong with each picture that cannot be read. Decodes all, as many at once as there are cores."""

        def fault(row: int) -> str:
            try:
                decode(self._source.encoded(row), self._source.name(row))
            except (ExitbenchError, OSError) as error:
                return str(error)
            return ""

        with ThreadPoolExecutor() as pool:
            checked = track(pool.map(fault, self._rows), "check pictures", total=len(self._rows), unit="picture")
            return [said for said in checked if said]

    def at(self, positions: Sequence[int]) -> Photos:
        """The photographs at these positions, in this order, still encoded."""
        return Photos(self._source, [self._rows[position] for position in positions], self.resize, self._crop)


def verify(*splits: Sequence[Sample]) -> None:
    """Decode all photographs of some splits before anything is measured on them; other samples are in memory already.

    Raises:
        ExitbenchError: all that cannot be read, in one message.
    """
    photos = [split for split in splits if isinstance(split, Photos)]
    faults = [fault for split in photos for fault in split.faults()]
    if faults:
        raise damaged_error(faults, sum(map(len, photos)))


def centre(encoded: bytes, resize: int, crop: int, where: str) -> Tensor:
    """The centre of a picture: short side to `resize` pixels (bicubic, antialiased), then `crop` × `crop`.

    (3, crop, crop) float32 in [0, 1]. Source: evaluation of the DVT release, T2T-ViT and DeiT (256 and 224).
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    picture = Image.fromarray(decode(encoded, where)).convert("RGB")
    # PIL's own bicubic, as in the release: the tensor version differs by a few grey levels.
    picture = F.center_crop(F.resize(picture, [resize], InterpolationMode.BICUBIC), [crop])  # type: ignore[arg-type]
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def load(
    name: str,
    version: int,
    path: str,
    calibration: int,
    resize: int = 256,
    crop: int = 224,
    subset: str = "",
    image: str = "image",
    label: str = "label",
    train: str = "train",
    test: str = "validation",
    class_names: Sequence[str] = (),
    seed: int = 0,
    fingerprint: str = UNPINNED,
    revision: str = "main",
) -> Dataset:
    """A hub id, a local folder of parquet files, or a local folder with `<train>` and `<test>` folders of classes.

    Args:
        train: "" where there is none: calibration is then cut from test, and what is left of it is the test split.
        calibration: how many pictures `seed` cuts off.
        class_names: empty for the source's own: class folders, or the label column's names.
        fingerprint: over labels and encoded sizes, not pixels, which would take an hour to decode.

    Raises:
        ExitbenchError: a source that is not there; splits of other classes; a crop larger than what is resized.
    """
    expect("crop", 0 < crop <= resize, f"a whole number in 1 … {resize}, the resized side", crop)
    splits = {split: pictures(path, subset, split, image, label, revision) for split in (train, test) if split}
    names = tuple(class_names) or tuple(splits[test].class_names)
    check_classes(names)
    for split, source in splits.items():
        expect(f"{name}, {split}", len(source.class_names) == len(names), f"{len(names)} classes",
               len(source.class_names))  # fmt: skip
    found = _content(splits, resize, crop)
    check_fingerprint(name, fingerprint, found)
    cut_from = splits[train or test]
    rest, taken = cut(range(len(cut_from.labels)), calibration, seed, "calibration")
    held_out = Photos(cut_from, taken, resize, crop)
    others = Photos(cut_from, rest, resize, crop)
    tested = Photos(splits[test], range(len(splits[test].labels)), resize, crop) if train else others
    return Dataset(name, version, "image", len(names), names, others if train else others[:0], held_out, tested, found)


def _content(splits: dict[str, Pictures], resize: int, crop: int) -> str:
    def chunks(source: Pictures) -> list[bytes]:
        return [np.array(column, dtype="<i8").tobytes() for column in (source.labels, source.sizes)]

    shown = {"shown": [f"{resize} {crop} bicubic".encode()]}
    return fingerprint(shown | {split: chunks(source) for split, source in splits.items()})
