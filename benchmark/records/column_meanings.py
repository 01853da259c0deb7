"""What each column of the leaderboard means, read from the table in docs/measure.md: one text for all readers."""

from __future__ import annotations

import re

from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_ROW = re.compile(r"^\| ((?:`\w+` ?)+)\| (.+?) \|$", re.M)


def source() -> str:
    """The text of docs/measure.md.

    Raises:
        ExitbenchError: it is not beside the package.
    """
    file = project_root() / "docs" / "measure.md"
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ExitbenchError(f"expected {file.name} beside the package, got none; install exitbench again") from error


def meanings(text: str) -> dict[str, str]:
    """Column -> meaning, without Markdown marks."""
    found: dict[str, str] = {}
    for names, meaning in _ROW.findall(text):
        plain = LINK.sub(r"\1", meaning).replace("`", "")
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), plain)
    return found
