"""Pictures of every mode and depth become what they show or are refused; all damaged ones are named at once."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmark.data.photos import Photos, verify
from benchmark.data.sources.encoded_images import FolderPictures
from benchmark.data.sources.pixels import decode
from benchmark.types import ExitbenchError

RAMP = np.linspace(0, 1, 64).reshape(8, 8)  # what every picture here shows, from black to white


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def grey(mode: str) -> Image.Image:
    """The ramp in a mode of Pillow's."""
    eight = Image.fromarray(np.round(RAMP * 255).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray(np.round(RAMP * 65535).astype(np.uint16))
    if mode == "F":
        return Image.fromarray(RAMP.astype(np.float32))
    if mode == "P":
        return eight.convert("P")
    return eight.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind", "tolerance"),
    [("L", "PNG", 0), ("LA", "PNG", 0), ("P", "PNG", 0), ("RGB", "PNG", 0), ("RGBA", "PNG", 0), ("I;16", "PNG", 1),
     ("I;16", "TIFF", 1), ("F", "TIFF", 1), ("CMYK", "TIFF", 2), ("YCbCr", "JPEG", 6), ("L", "JPEG", 6),
     ("RGB", "WEBP", 12)],
)  # fmt: skip
def test_a_picture_shows_the_same_in_every_mode(mode, kind, tolerance):
    array = decode(encoded(grey(mode), kind), "ramp")
    assert array.dtype == np.uint8
    channels = array[..., None] if array.ndim == 2 else array
    shown = np.round(RAMP * 255)[..., None]
    assert np.abs(channels.astype(float) - shown).max() <= tolerance
    if mode in ("L", "LA", "P", "I;16", "F"):
        assert array.ndim == 2


def test_one_bit_is_black_and_white():
    array = decode(encoded(Image.fromarray((RAMP > 0.5).astype(np.uint8) * 255).convert("1")), "mask")
    assert set(np.unique(array)) == {0, 255}


def test_sixteen_bits_do_not_turn_white():
    """What happened before: every value above 255 became white."""
    array = decode(encoded(grey("I;16")), "grey16.png")
    assert len(np.unique(array)) == 64
    clipped = np.minimum(np.round(RAMP * 65535), 255)
    assert np.abs(array.astype(float) - clipped).max() > 100


@pytest.mark.parametrize(
    ("picture", "words"),
    [(Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8) * 10**6), "32-bit whole numbers from 0 to 6.3e"),
     (Image.fromarray((RAMP * 300).astype(np.float32)), "floating point from 0 to 300"),
     (Image.fromarray((RAMP - 0.5).astype(np.float32)), "floating point from -0.5")],
)  # fmt: skip
def test_a_range_that_nobody_knows_is_refused_by_name(picture, words):
    with pytest.raises(ExitbenchError, match=words) as refused:
        decode(encoded(picture, "TIFF"), "scan.tif")
    assert str(refused.value).startswith("scan.tif: ")
    assert "\n" not in str(refused.value)


@pytest.fixture
def folder(tmp_path):
    """Two classes of eight JPEGs; three of them are cut short, one is a text."""
    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for n in range(8):
            pixels = draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            (tmp_path / name / f"{n}.jpg").write_bytes(encoded(Image.fromarray(pixels), "JPEG"))
    for name in ("cats/1.jpg", "cats/5.jpg", "dogs/7.jpg"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:900])
    (tmp_path / "dogs" / "0.jpg").write_text("not a picture")
    return tmp_path


def test_all_damaged_pictures_are_named_at_once(folder):
    source = FolderPictures(folder)
    photos = Photos(source, range(16), 64, 48)
    with pytest.raises(ExitbenchError, match="4 of 16 pictures cannot be read") as refused:
        verify(photos[:8], photos[8:])
    for name in ("cats/1.jpg", "cats/5.jpg", "dogs/7.jpg", "dogs/0.jpg"):
        assert str(folder / name) in str(refused.value)
    assert "\n" not in str(refused.value)
    verify(photos.at([0, 2, 3]))


def test_one_damaged_picture_is_named_where_it_is_used(folder):
    photos = Photos(FolderPictures(folder), range(16), 64, 48)
    with pytest.raises(ExitbenchError, match=r"cats/1\.jpg: expected a whole picture"):
        photos[1]
    assert photos[0].pixels.shape == (3, 48, 48)
