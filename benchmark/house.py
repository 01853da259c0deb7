"""Where the house's two folders beside the package are: in a clone at its top, in a wheel inside the package."""

from __future__ import annotations

from pathlib import Path


def house() -> Path:
    """The folder that holds `conf` and `plots`."""
    package = Path(__file__).resolve().parent
    inside = package / "_house"
    return inside if inside.is_dir() else package.parent
