"""Images: two sources decode to one fingerprint, splits are disjoint, errors name what is wrong."""

from __future__ import annotations

import gzip
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from benchmark.data import images
from benchmark.data.sources import assets
from benchmark.data.sources.assets import Asset
from benchmark.types import ExitbenchError

GENERATOR = np.random.default_rng(0)
SPLITS = {  # (pixels, labels)
    "train": (GENERATOR.integers(0, 256, (40, 6, 5), dtype=np.uint8), np.arange(40, dtype=np.uint8) % 3),
    "test": (GENERATOR.integers(0, 256, (7, 6, 5), dtype=np.uint8), np.arange(7, dtype=np.uint8) % 3),
}
NAMES = ["a", "b", "c"]


def encode(array: np.ndarray) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write_parquet(folder: Path, splits: dict[str, Any] = SPLITS) -> Path:
    folder.mkdir()
    for name, (pixels, labels) in splits.items():
        table = pa.table({"image": [encode(p) for p in pixels], "label": [int(v) for v in labels]})
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def write_idx(folder: Path) -> Path:
    folder.mkdir()
    for name, arrays in SPLITS.items():
        for kind, array in zip(("images", "labels"), arrays, strict=True):
            shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
            raw = bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()
            (folder / f"{name}-{kind}.gz").write_bytes(gzip.compress(raw))
    return folder


@dataclass(frozen=True)
class Folder:
    """A source that copies a folder."""

    label: str
    folder: Path

    def fetch(self, folder: Path) -> None:
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """serve(folder): from now on the asset "tiny" is served from it, by a machine with an empty cache."""

    def served(folder: Path) -> None:
        monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / f"cache-{folder.name}"))
        monkeypatch.setitem(assets.ASSETS, "tiny", Asset("tiny", (Folder(folder.name, folder),)))

    return served


def load(**overrides: Any) -> Any:
    return images.load(
        **{"name": "tiny", "version": 1, "asset": "tiny", "class_names": NAMES, "calibration": 10, **overrides}
    )


def test_both_sources_decode_to_one_fingerprint(tmp_path: Path, serve: Any) -> None:
    serve(write_idx(tmp_path / "idx"))
    from_idx = load()
    serve(write_parquet(tmp_path / "parquet"))
    from_parquet = load(fingerprint=from_idx.fingerprint)  # pinned: a difference would raise
    for ours, theirs in zip(from_idx.train, from_parquet.train, strict=True):
        assert torch.equal(ours.pixels, theirs.pixels)
        assert ours.label == theirs.label


def test_one_changed_pixel_or_label_is_noticed(tmp_path: Path, serve: Any) -> None:
    serve(write_idx(tmp_path / "idx"))
    pinned = load().fingerprint
    for position in (0, 1):
        arrays = [array.copy() for array in SPLITS["test"]]
        arrays[position].flat[3] = (int(arrays[position].flat[3]) + 1) % 3
        serve(write_parquet(tmp_path / f"changed{position}", {**SPLITS, "test": arrays}))
        with pytest.raises(ExitbenchError, match=f"tiny: expected content with fingerprint {pinned}"):
            load(fingerprint=pinned)


def test_splits_are_disjoint_typed_and_in_order(tmp_path: Path, serve: Any) -> None:
    serve(write_idx(tmp_path / "idx"))
    data = load()
    train, calibration, test = data.train, data.calibration, data.test
    assert isinstance(train, images.Images)
    assert (len(train), len(calibration), len(test)) == (30, 10, 7)
    assert {s.index for s in train} | {s.index for s in calibration} == set(range(40))
    assert [s.index for s in test] == list(range(7))
    sample = train[0]
    assert (sample.pixels.shape, sample.pixels.dtype) == ((1, 6, 5), torch.float32)
    assert torch.equal((sample.pixels * 255).round().byte(), train.pixels[0])
    assert torch.equal(train.pixels[0, 0], torch.from_numpy(SPLITS["train"][0][sample.index]))
    assert train.pixels.dtype == torch.uint8
    assert train.labels.dtype == torch.int64
    assert [s.index for s in train[3:5]] == train.indices[3:5].tolist()


def test_cut_follows_its_seed_only(tmp_path: Path, serve: Any) -> None:
    serve(write_idx(tmp_path / "idx"))
    taken = [[s.index for s in load(seed=seed).calibration] for seed in (0, 0, 1)]
    assert taken[0] == taken[1] != taken[2]
    assert load(seed=1).fingerprint == load(seed=0).fingerprint


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"class_names": ["a", "b"]}, r"expected labels in 0 … 1, got 0 … 2"),
        ({"calibration": 40}, r"calibration: expected a whole number in 0 … 39, got 40"),
        ({"calibration": "many"}, r"calibration: expected a whole number in 0 … 39, got 'many'"),
        ({"asset": "nothing"}, "asset: expected one of"),
        ({"image": "img"}, "column: expected one of image, label, got 'img'"),
        ({"image": "label"}, "expected an encoded picture, got int"),
        ({"label": "image"}, "image: expected integer labels"),
    ],
)
def test_errors_name_the_field(overrides: dict[str, Any], message: str, tmp_path: Path, serve: Any) -> None:
    serve(write_parquet(tmp_path / "parquet"))
    with pytest.raises(ExitbenchError, match=message):
        load(**overrides)


def test_images_of_two_sizes_are_refused(tmp_path: Path, serve: Any) -> None:
    odd = [*SPLITS["test"][0], np.zeros((5, 6), dtype=np.uint8)]
    serve(write_parquet(tmp_path / "odd", {**SPLITS, "test": (odd, np.zeros(8, dtype=np.uint8))}))
    with pytest.raises(ExitbenchError, match=r"row 7: .* \(1, 6, 5\) as in image, row 0, got \(1, 5, 6\)"):
        load()


def test_truncated_idx_is_refused(tmp_path: Path, serve: Any) -> None:
    folder = write_idx(tmp_path / "idx")
    raw = gzip.decompress((folder / "test-images.gz").read_bytes())
    (folder / "test-images.gz").write_bytes(gzip.compress(raw[:-1]))
    serve(folder)
    with pytest.raises(ExitbenchError, match=r"test-images.gz: expected an IDX file"):
        load()


def test_real_fashion_mnist_keeps_its_fingerprint() -> None:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    if not list((assets.cache_dir() / "assets").glob("fashion_mnist-*")):
        pytest.skip("Fashion-MNIST is not in the cache")
    data = instantiate(OmegaConf.load(Path(__file__).parents[2] / "conf/dataset/fashion_mnist.yaml"))
    assert (len(data.train), len(data.calibration), len(data.test)) == (55_000, 5_000, 10_000)
    assert tuple(data.train.pixels.shape[1:]) == (1, 28, 28)
    assert data.test.labels.bincount().tolist() == [1000] * 10
