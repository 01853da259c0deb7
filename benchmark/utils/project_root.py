"""Where the folders beside the package are (`conf`, `plots`) and the packaged weights inside it."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
WEIGHTS = PACKAGE / "weights"


def project_root() -> Path:
    """The folder that holds `conf` and `plots`: the clone itself, or inside the package where a wheel was installed."""
    installed = PACKAGE / "_data"
    return installed if installed.is_dir() else PACKAGE.parent
