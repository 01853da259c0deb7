"""Archives that are not what they claim to be are refused before a byte of them is used."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.sources.archives import check_sha256, extract
from benchmark.types import ExitbenchError
from benchmark.utils.files import sha256_file


def make_tar(path: Path, *members: tuple[str, bytes], link: tuple[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            archive.addfile(info)
    return path


def make_deb(path: Path, data: Path) -> Path:
    def ar_member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    members = {"debian-binary": b"2.0\n", "control.tar.gz": b"odd", "data.tar.gz": data.read_bytes()}
    path.write_bytes(b"!<arch>\n" + b"".join(ar_member(*member) for member in members.items()))
    return path


def escaping(folder: Path) -> dict[str, Path]:
    good = ("pkg/good.txt", b"good")
    with zipfile.ZipFile(folder / "up.zip", "w") as archive:
        archive.writestr(*good)
        archive.writestr("pkg/../../up.txt", b"bad")
    with zipfile.ZipFile(folder / "link.whl", "w") as archive:
        archive.writestr(*good)
        info = zipfile.ZipInfo("pkg/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return {
        "climbs": make_tar(folder / "up.tar.gz", good, ("../up.txt", b"bad")),
        "absolute": make_tar(folder / "abs.tar.gz", good, ("/tmp/abs.txt", b"bad")),
        "link": make_tar(folder / "link.tar.gz", good, link=("pkg/link", "/etc")),
        "zip climbs": folder / "up.zip",
        "zip link": folder / "link.whl",
        "deb climbs": make_deb(folder / "up.deb", folder / "up.tar.gz"),
    }


def trusting(archive: Path, members: dict[str, str], into: Path) -> None:
    """The broken double: looks only at the member that is wanted."""
    opened = zipfile.ZipFile(archive) if archive.suffix in (".zip", ".whl") else tarfile.open(archive)  # noqa: SIM115
    with opened:
        for target, name in members.items():
            stream = opened.open(name) if isinstance(opened, zipfile.ZipFile) else opened.extractfile(name)
            assert stream is not None
            (into / target).write_bytes(stream.read())


def refuses(read: Callable[[Path, dict[str, str], Path], None], archive: Path, into: Path) -> bool:
    try:
        read(archive, {"out.txt": "pkg/good.txt"}, into)
    except ExitbenchError as error:
        return "refused" in str(error) and "\n" not in str(error)
    return False


@pytest.mark.parametrize("case", ["climbs", "absolute", "link", "zip climbs", "zip link", "deb climbs"])
def test_archive_that_escapes_is_refused(case: str, tmp_path: Path) -> None:
    archive = escaping(tmp_path)[case]
    assert refuses(extract, archive, tmp_path)
    if not case.startswith("deb"):
        assert not refuses(trusting, archive, tmp_path), "the check must catch a reader that trusts"


def test_members_come_out_of_every_kind_also_nested(tmp_path: Path) -> None:
    inner = make_tar(tmp_path / "inner.tar.gz", ("in/a.txt", b"inner"))
    outer = make_tar(tmp_path / "outer.tar.gz", ("pkg/inner.tar.gz", inner.read_bytes()), ("./pkg/b.txt", b"dotted"))
    deb = make_deb(tmp_path / "x_1_all.deb", outer)
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pkg/inner.tar.gz", inner.read_bytes())
        archive.writestr("pkg/b.txt", b"dotted")
    for archive in (outer, deb, wheel):
        (into := tmp_path / f"out-{archive.name}").mkdir()
        extract(archive, {"a": "pkg/inner.tar.gz!in/a.txt", "b": "pkg/b.txt"}, into)
        assert [(into / name).read_bytes() for name in ("a", "b")] == [b"inner", b"dotted"]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.whl", "x.deb"])
def test_garbage_and_missing_members_are_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no archive at all" * 9)
    with pytest.raises(ExitbenchError, match="expected a"):
        extract(tmp_path / name, {"a": "a"}, tmp_path)
    good = make_tar(tmp_path / "good.tar.gz", ("a", b""))
    with pytest.raises(ExitbenchError, match="expected a member missing, got none"):
        extract(good, {"a": "missing"}, tmp_path)


def test_wrong_hash_is_refused_with_both_hashes(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"content")
    check_sha256(path, sha256_file(path))
    with pytest.raises(ExitbenchError, match=f"file: expected sha256 {'0' * 64}, got {sha256_file(path)}"):
        check_sha256(path, "0" * 64)
