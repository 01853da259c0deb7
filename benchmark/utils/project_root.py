"""Paths of the folders next to the package (`conf`, `plots`) and of the packaged weights inside it."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
WEIGHTS = PACKAGE / "weights"


def project_root() -> Path:
    """The folder that holds `conf` and `plots`: the clone, or a folder inside the package if installed from a wheel."""
    installed = PACKAGE / "_data"
    return installed if installed.is_dir() else PACKAGE.parent
