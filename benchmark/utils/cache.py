"""The disk cache: folders that are built completely or not at all, and verified by hash each time they are used."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from benchmark.types import Unwritable
from benchmark.utils.files import sha256_file

MANIFEST = "manifest.json"
log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """The cache's root: EXITBENCH_CACHE, else $XDG_CACHE_HOME/exitbench, else ~/.cache/exitbench."""
    if configured := os.environ.get("EXITBENCH_CACHE"):
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "exitbench"


def cached_folder(name: str, build: Callable[[Path], None]) -> Path:
    """The cache folder `name`; if it does not exist yet, `build(folder)` fills an empty folder first.

    One process builds while others wait. A folder whose files do not match its manifest is rebuilt. A complete cache
    may be read-only.

    Raises:
        Unwritable: the folder must be built and the cache cannot be written. Errors of `build` pass through.
    """
    folder = cache_dir() / name
    if _matches_manifest(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not _matches_manifest(folder):
                _rebuild(folder, build)
    except OSError as error:
        raise Unwritable(
            f"cannot write the cache {folder}: {error}; set EXITBENCH_CACHE to a writable folder with enough space"
        ) from error
    return folder


def _matches_manifest(folder: Path) -> bool:
    """Whether every file in the manifest still has the hash recorded there."""
    try:
        hashes: dict[str, str] = json.loads((folder / MANIFEST).read_text())
        return all(sha256_file(folder / name) == sha256 for name, sha256 in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _rebuild(folder: Path, build: Callable[[Path], None]) -> None:
    """Build in a temporary sibling folder and rename it: a killed build leaves no folder that looks complete."""
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build(staging)
        hashes = {p.relative_to(staging).as_posix(): sha256_file(p) for p in staging.rglob("*") if p.is_file()}
        (staging / MANIFEST).write_text(json.dumps(hashes, indent=1, sort_keys=True))
        staging.chmod(0o755)
        if folder.exists():
            log.warning("%s does not match its manifest (damaged or unfinished) and is built again", folder)
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
