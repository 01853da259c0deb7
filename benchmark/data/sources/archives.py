"""Safe reading of single files from zip, tar and Debian archives, without extracting or executing the rest."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from benchmark.types import ExitbenchError
from benchmark.utils.files import sha256_file

NESTED = "!"  # "inner.tar.gz!member": a member of an archive inside the archive


def check_sha256(path: Path, expected: str) -> None:
    """Raise ExitbenchError unless the file's sha256 is `expected`."""
    if (got := sha256_file(path)) != expected:
        raise ExitbenchError(f"{path.name}: expected sha256 {expected}, got {got}")


def extract(archive: Path, members: Mapping[str, str], into: Path) -> None:
    """Write members (target file name -> name inside the archive) of a .zip, .whl, .tar.* or .deb into a folder.

    Content is only ever written to the target names, never to a path from the archive. Still, the whole archive is
    refused if any member has an absolute path, a `..` in its path, or is a link or device: it is not a plain data file.
    """
    for target, member in members.items():
        with archive.open("rb") as stream, (into / target).open("wb") as out:
            inner: IO[bytes] = stream
            name = archive.name
            for part in member.split(NESTED):
                inner = _open(inner, name, part)
                name = part
            shutil.copyfileobj(inner, out)


def _open(stream: IO[bytes], archive: str, member: str) -> IO[bytes]:
    """One member of one archive as a readable, seekable stream."""
    try:
        if archive.endswith((".zip", ".whl")):
            return _from_zip(stream, archive, member)
        if archive.endswith(".deb"):
            stream = _data_of_deb(stream, archive)
        return _from_tar(stream, archive, member)
    except KeyError as error:
        raise ExitbenchError(f"{archive}: expected a member {member}, got none") from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ExitbenchError(f"{archive}: expected a readable archive, got {error}") from error


def _from_zip(stream: IO[bytes], archive: str, member: str) -> IO[bytes]:
    opened = zipfile.ZipFile(stream)
    for info in opened.infolist():
        is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
        _check_member(archive, info.filename, plain=not is_link)
    return opened.open(member)


def _from_tar(stream: IO[bytes], archive: str, member: str) -> IO[bytes]:
    opened = tarfile.open(fileobj=stream, mode="r:*")  # noqa: SIM115 – the member's stream outlives this function
    by_name = {}
    for info in opened.getmembers():
        _check_member(archive, info.name, plain=info.isfile() or info.isdir())
        by_name[info.name.removeprefix("./")] = info
    content = opened.extractfile(by_name[member])
    if content is None:
        raise KeyError(member)
    return content


def _check_member(archive: str, name: str, plain: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0:1]:
        raise ExitbenchError(f"{archive}: refused, its member {name!r} points outside the archive")
    if not plain:
        raise ExitbenchError(f"{archive}: refused, its member {name!r} is a link or a device")


def _data_of_deb(stream: IO[bytes], archive: str) -> IO[bytes]:
    """The data.tar.* inside a Debian package, which is an `ar` archive: 60-byte headers, even offsets."""
    if stream.read(8) != b"!<arch>\n":
        raise ExitbenchError(f"{archive}: expected a Debian package, got other content")
    while len(header := stream.read(60)) == 60:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            return io.BytesIO(stream.read(size))
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise ExitbenchError(f"{archive}: expected a data.tar inside, got none")
