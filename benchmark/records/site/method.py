"""The method page: docs/measure.md as HTML."""

from __future__ import annotations

from benchmark.records.column_meanings import LINK


def html(text: str) -> str:
    """The page's body; links become plain words, as neither other pages nor other addresses are part of the site."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").render(LINK.sub(r"\1", text))
