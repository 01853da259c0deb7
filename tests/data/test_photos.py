"""Photographs of differing sizes: decoded on access, shown as the release shows them, whatever the source."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmark.data import photos
from benchmark.run.pipeline import take
from benchmark.run.trace import trace
from benchmark.types import ExitbenchError

SIZES = [(40, 60), (60, 40), (33, 33), (100, 35)]  # (width, height)


def jpeg(seed: int, mode: str = "RGB") -> bytes:
    """A photograph-like picture: smooth colours, one of several sizes."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize(SIZES[seed % len(SIZES)], Image.Resampling.BICUBIC).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


SPLITS = {"train": [(n, n % 3) for n in range(12)], "val": [(100 + n, n % 3) for n in range(7)]}


@pytest.fixture
def folder(tmp_path):
    for split, rows in SPLITS.items():
        for n, label in rows:
            path = tmp_path / "photos" / split / f"n0{label}"
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{n:03d}.JPEG").write_bytes(jpeg(n, "L" if n == 5 else "RGB"))
    return tmp_path / "photos"


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (tmp_path / "tables").mkdir()
    for split, rows in SPLITS.items():
        table = pa.table({
            "image": [{"bytes": jpeg(n, "L" if n == 5 else "RGB"), "path": None} for n, _ in rows],
            "label": [label for _, label in rows],
        })  # fmt: skip
        pq.write_table(table, tmp_path / "tables" / f"{'validation' if split == 'val' else split}.parquet")
    return tmp_path / "tables"


def load(path, **changed):
    given = {"name": "few", "version": 1, "path": str(path), "calibration": 4, "resize": 32, "crop": 28, "test": "val"}
    return photos.load(**{**given, **changed})


def by_index(split):
    return {sample.index: sample for sample in split}


def test_the_release_shows_pictures_so(folder):
    wanted = transforms.Compose([transforms.Resize(32, transforms.InterpolationMode.BICUBIC),
                                 transforms.CenterCrop(28), transforms.ToTensor()])  # fmt: skip
    data = load(folder)
    for position, (n, label) in enumerate(sorted(SPLITS["val"], key=lambda row: (row[1], row[0]))):
        sample = data.test[position]
        assert sample.label == label
        assert sample.pixels.shape == (3, 28, 28)
        assert torch.equal(sample.pixels, wanted(Image.open(io.BytesIO(jpeg(n))).convert("RGB")))


def test_splits_are_disjoint_and_calibration_is_cut_from_train(folder):
    data = load(folder)
    assert (len(data.train), len(data.calibration), len(data.test)) == (8, 4, 7)
    assert {s.index for s in data.train} | {s.index for s in data.calibration} == set(range(12))
    assert data.class_names == ("n00", "n01", "n02")
    assert [s.index for s in data.test[2:5]] == [2, 3, 4]
    assert [s.index for s in data.test.at([4, 0])] == [4, 0]


def test_without_training_data_calibration_is_cut_from_the_test_split(folder):
    data = load(folder, train="")
    assert (len(data.train), len(data.calibration), len(data.test)) == (0, 4, 3)
    assert not {s.index for s in data.calibration} & {s.index for s in data.test}
    order = torch.randperm(3, generator=torch.Generator().manual_seed(0))[:2].tolist()
    assert [s.index for s in take(data.test, 2, seed=0)] == [data.test[position].index for position in order]


def test_a_local_parquet_folder_serves_the_same_pictures(folder, parquet):
    stored = load(parquet, test="validation")
    listed = load(folder)
    assert len(stored.test) == len(listed.test)
    pairs = zip(sorted(SPLITS["val"], key=lambda row: (row[1], row[0])), listed.test, strict=True)
    rows = by_index(stored.test)
    for (n, label), sample in pairs:
        assert torch.equal(rows[n - 100].pixels, sample.pixels)
        assert rows[n - 100].label == label


def test_nothing_is_decoded_until_asked_for(folder):
    broken = folder / "val" / "n02" / "102.JPEG"
    broken.write_bytes(b"no picture")
    data = load(folder)
    assert data.test[0].pixels.shape == (3, 28, 28)
    assert isinstance(take(data.test, 6, seed=0), photos.Photos)  # the broken one is among them
    with pytest.raises(ExitbenchError, match=r"102\.JPEG: expected a whole picture"):
        data.test[5]


def test_the_fingerprint_sees_another_picture_label_or_crop(folder):
    first = load(folder)
    assert load(folder, fingerprint=first.fingerprint).fingerprint == first.fingerprint
    assert load(folder, crop=24).fingerprint != first.fingerprint
    (folder / "val" / "n00" / "100.JPEG").write_bytes(jpeg(101))
    with pytest.raises(ExitbenchError, match="few: expected content with fingerprint"):
        load(folder, fingerprint=first.fingerprint)


def test_they_run_through_a_model(folder):
    from small_models import small_dvt

    model = small_dvt(num_classes=3, mean=[0.5] * 3, std=[0.5] * 3, image_size=28, grids=(2, 7))
    traced = trace(model, load(folder).test, batch_size=4)
    assert traced.logits.shape == (7, 2, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"crop": 40}, "crop: expected a whole number in 1 … 32"),
        ({"calibration": 12}, "calibration: expected a whole number in 0 … 11"),
        ({"class_names": ["a", "b"]}, "expected 2 classes, got 3"),
        ({"test": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_one_line(folder, changed, message):
    with pytest.raises(ExitbenchError, match=message) as raised:
        load(folder, **changed)
    assert "\n" not in str(raised.value)


def test_a_hub_that_does_not_answer_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(ExitbenchError, match=r"ILSVRC/imagenet-1k: the hub .* does not answer .*local folder"):
        load("ILSVRC/imagenet-1k")
