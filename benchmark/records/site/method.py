"""The method page: docs/measure.md as HTML, and each column's meaning read from its table."""

from __future__ import annotations

import re

from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

_ROW = re.compile(r"^\| ((?:`\w+` ?)+)\| (.+?) \|$", re.M)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")  # to pages that are not here, and to other addresses


def source() -> str:
    """The text of docs/measure.md.

    Raises:
        ExitbenchError: it is not beside the package.
    """
    file = project_root() / "docs" / "measure.md"
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ExitbenchError(f"site: expected {file.name} beside the package, got none; install it again") from error


def meanings(text: str) -> dict[str, str]:
    """Column -> what it is, without Markdown marks."""
    found: dict[str, str] = {}
    for names, meaning in _ROW.findall(text):
        plain = _LINK.sub(r"\1", meaning).replace("`", "")
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), plain)
    return found


def html(text: str) -> str:
    """The page's body; links become plain words, as neither other pages nor other addresses are part of the site."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").render(_LINK.sub(r"\1", text))
