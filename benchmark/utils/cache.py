"""A cache of folders: built whole or not at all, checked against their own manifest each time they are used."""

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
    """Where fetched and decoded things are kept: EXITBENCH_CACHE, else $XDG_CACHE_HOME/exitbench, else ~/.cache."""
    if named := os.environ.get("EXITBENCH_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "exitbench"


def entry(name: str, build: Callable[[Path], None]) -> Path:
    """The cache folder `name`, with what `build(folder)` writes into an empty folder when there is none yet.

    One process builds, the others wait. A folder whose files no longer match their manifest is built again.
    A filled cache may be read-only. Errors: whatever `build` raises, and Unwritable where nothing can be written.
    """
    folder = cache_dir() / name
    if _intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not _intact(folder):
                _rebuild(folder, build)
    except OSError as error:
        raise Unwritable(
            f"cannot write the cache {folder}: {error}; set EXITBENCH_CACHE to a writable folder with enough space"
        ) from error
    return folder


def _intact(folder: Path) -> bool:
    """Whether every file that the manifest names has the hash it had when it was written."""
    try:
        hashes: dict[str, str] = json.loads((folder / MANIFEST).read_text())
        return all(sha256_file(folder / name) == sha256 for name, sha256 in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _rebuild(folder: Path, build: Callable[[Path], None]) -> None:
    """Build beside the final place and rename, so that a killed build leaves nothing that looks finished."""
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
