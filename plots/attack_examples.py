"""Attacked inputs: texts and images before and after with the exits taken, changed words marked.

    python plots/attack_examples.py --leaderboard results/leaderboard.csv --out plots/out

Two examples of each of the first attacks whose records hold examples; changed words are bold and coloured.
"""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from plots import attacked, style
from plots.command import figure_main

MAX_PANELS, EXAMPLES_PER_ATTACK = 4, 2
WIDTH = 46  # characters of a line of text
BEFORE = 8  # words shown before a change that lies far into a text
MARK = style.COLOURS[1]
Word = tuple[str, bool]  # a word, and whether it was changed


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows of attacks whose records hold examples, SAME first; each model, dataset and attack once."""
    rows = [row for row in attacked.attacks(frame) if row["attack"].get("examples")]
    if not rows:
        raise style.NothingToDraw("needs rows of attacks with examples")
    groups = style.first_panels(
        "attack_examples", list(style.groups(rows, "model", "dataset", "workload").items()), MAX_PANELS
    )
    panels = [(same[0], same[0]["attack"]["examples"][:EXAMPLES_PER_ATTACK]) for _, same in groups]
    heights = [4.0 * len(_lines(examples)) + 3 if "texts_after" in examples[0] else 25.0 * len(examples) + 5
               for _, examples in panels]  # fmt: skip
    figure, axes = style.panels(len(panels), sum(heights) / len(panels), extra_mm=16 + 7 * len(panels))
    style.height_ratios(axes, heights)
    for axis, (row, examples) in zip(axes, panels, strict=True):
        _texts(axis, examples) if "texts_after" in examples[0] else _pictures(axis, examples)
        axis.set_title(f"{row['workload']} on {row['model']}, {row['policy']}", loc="left")
        axis.spines[:].set_visible(False)
        axis.grid(visible=False)
        axis.tick_params(length=0)
    axes[-1].set_xlabel("Exit taken (in brackets, 1 is the first)")
    changed = style.key("changed", MARK, "s")
    style.legend(figure, [changed, style.key("as it was", style.INK, "s")], columns=2)
    return figure


def _lines(examples: list[dict]) -> list[tuple[str, list[Word]]]:
    """Labels and lines of words: each example's clean text, then its attacked text."""
    lines: list[tuple[str, list[Word]]] = []
    for example in examples:
        start = _start(example)
        for name, when in (("texts_before", "before"), ("texts_after", "after")):
            words = [word for number, text in enumerate(example[name]) for word in _words(text, number, example, when)]
            wrapped = _wrap_words([("…", False), *words[start:]] if start else words)
            lines.append((f"{when} ({example[f'exit_{when}']})", wrapped[0]))
            lines += [("", line) for line in wrapped[1:]]
    return lines


def _start(example: dict) -> int:
    """The first word shown of both texts: 0, or a few before a change beyond the first lines.

    Words are replaced one for one, so the number holds for both texts.
    """
    words = [
        word for number, text in enumerate(example["texts_after"]) for word in _words(text, number, example, "after")
    ]
    first = next((index for index, (_, marked) in enumerate(words) if marked), 0)
    characters = sum(len(word) + 1 for word, _ in words[: first + 1])
    return 0 if characters <= 3 * WIDTH else max(0, first - BEFORE)


def _words(text: str, number: int, example: dict, when: str) -> list[Word]:
    """A text split at spaces; parts that contain a changed word are marked."""
    spans = [(s["start"], s["end"]) for s in example["changed"] if s["text"] == number] if when == "after" else []
    words, at = [], 0
    for word in text.split(" "):
        marked = any(start < at + len(word) and at < end for start, end in spans)
        if word:
            words.append((word, marked))
        at += len(word) + 1
    return words


def _wrap_words(words: list[Word]) -> list[list[Word]]:
    """Lines of at most WIDTH characters, at most four of them."""
    lines: list[list[Word]] = [[]]
    for word, marked in words:
        word = word if len(word) < WIDTH else f"{word[: WIDTH - 2]}…"
        if sum(len(text) + 1 for text, _ in lines[-1]) + len(word) > WIDTH:
            lines.append([])
        lines[-1].append((word, marked))
    return lines if len(lines) <= 4 else [*lines[:3], [*lines[3][:-1], ("…", False)]]


def _texts(axis: Axes, examples: list[dict]) -> None:
    lines = _lines(examples)
    for row, (_, words) in enumerate(lines):
        column = 0
        for word, marked in words:
            look: style.MatplotlibOptions = {"color": MARK, "weight": "bold"} if marked else {"color": style.INK}
            axis.text(column, row, word, family="DejaVu Sans Mono", fontsize=7, va="center", **look)
            column += len(word) + 1
    axis.set_xlim(-0.5, WIDTH + 0.5)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    named = [(row, label) for row, (label, _) in enumerate(lines) if label]
    axis.set_yticks([row for row, _ in named], [label for _, label in named])
    axis.set_xticks([])


def _pictures(axis: Axes, examples: list[dict]) -> None:
    """A row for each example: before, after, and the change, scaled to the whole range."""
    for row, example in enumerate(examples):
        before, after = (_pixels(example[f"png_{when}"]) for when in ("before", "after"))
        change = after - before
        stretched = 0.5 + change / max(2 * np.abs(change).max(), 1e-9)
        for column, image in enumerate((before, after, stretched)):
            look: style.MatplotlibOptions = {"cmap": "gray", "vmin": 0, "vmax": 1} if image.ndim == 2 else {}
            extent = (column * 1.1, column * 1.1 + 1, row * 1.1 + 1, row * 1.1)
            axis.imshow(image, extent=extent, interpolation="nearest", **look)
    axis.set_xlim(0, 3.2)
    axis.set_ylim(len(examples) * 1.1 - 0.1, 0)
    labels = [f"({example['exit_before']}) → ({example['exit_after']})" for example in examples]
    axis.set_yticks([row * 1.1 + 0.5 for row in range(len(examples))], labels)
    axis.set_xticks([0.5, 1.6, 2.7], ["before", "after", "added, stretched"])


def _pixels(png: str) -> np.ndarray:
    """(H, W) or (H, W, 3) in [0, 1]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))).astype(float) / 255


if __name__ == "__main__":
    figure_main("attack_examples", draw)
