"""Encoded pictures of any size, listed without decoding: a folder of class folders, or a hub dataset's table.

ImageNet's 1.3 million images do not fit in memory, so each is read on access.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from benchmark.data.sources import hub
from benchmark.types import ExitbenchError


class Pictures(Protocol):
    """One split: labels and encoded sizes of all, the bytes of one at a time."""

    class_names: list[str]
    labels: list[int]
    sizes: list[int]  # bytes, encoded

    def encoded(self, row: int) -> bytes:
        """The picture's PNG or JPEG bytes."""
        ...

    def name(self, row: int) -> str:
        """What a person finds the picture by: its file, or its table and row."""
        ...


class FolderPictures:
    """`<folder>/<class>/<picture>`; classes and pictures sorted by name, as torchvision's ImageFolder lists them."""

    def __init__(self, folder: Path) -> None:
        from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

        try:
            self.class_names, index = find_classes(folder)
            found = make_dataset(folder, index, IMG_EXTENSIONS)
        except (FileNotFoundError, OSError) as error:
            raise ExitbenchError(f"dataset.path: expected class folders with pictures in {folder}: {error}") from error
        self._files = [Path(file) for file, _ in found]
        self.labels = [label for _, label in found]
        self.sizes = [file.stat().st_size for file in self._files]

    def encoded(self, row: int) -> bytes:
        """See `Pictures`."""
        return self._files[row].read_bytes()

    def name(self, row: int) -> str:
        """The file."""
        return str(self._files[row])


class TablePictures:
    """A split of a hub dataset or of a local folder of parquet files, memory-mapped by the datasets library."""

    def __init__(self, path: str, subset: str, split: str, image: str, label: str, revision: str) -> None:
        from pyarrow import compute

        table: Any = hub.rows(path, subset, split, [image, label], revision)
        names = getattr(table.features[label], "names", None)
        self.labels = [int(value) for value in table.with_format("arrow")[label]]  # type: ignore[arg-type]
        self.class_names = list(names) if names else [str(value) for value in range(max(self.labels) + 1)]
        self._table, self._image, self._source = table.with_format("arrow"), image, f"{path}, {split}"
        column = table.data.column(image)
        stored = compute.struct_field(column, "bytes")  # type: ignore[attr-defined]
        if stored.null_count:
            raise ExitbenchError(f"{path}, {split}: expected pictures inside column {image}, got paths of some")
        self.sizes = compute.binary_length(stored).to_pylist()  # type: ignore[attr-defined]

    def encoded(self, row: int) -> bytes:
        """See `Pictures`."""
        return self._table[row][self._image][0]["bytes"].as_py()

    def name(self, row: int) -> str:
        """The table and row, and the file that the table says it was."""
        struct = self._table[row][self._image][0].as_py()
        file = f" ({struct['path']})" if struct.get("path") else ""
        return f"{self._source}, row {row}{file}"


def pictures(path: str, subset: str, split: str, image: str, label: str, revision: str) -> Pictures:
    """A split by its source: class folders below `<path>/<split>`, else parquet files in `path`, else the hub."""
    folder = Path(path).expanduser() / split
    if folder.is_dir() and any(entry.is_dir() for entry in folder.iterdir()):
        return FolderPictures(folder)
    return TablePictures(path, subset, split, image, label, revision)
