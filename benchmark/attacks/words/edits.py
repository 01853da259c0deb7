"""Word edits of texts and the rules they keep. What counts is the text: rules are checked on it, not on token ids."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # letters and digits, apostrophes inside


@dataclass(frozen=True)
class Word:
    """One word of a sample: which of its texts, the characters [start, end) it takes there, and its form."""

    text: int
    start: int
    end: int
    form: str


def words_of(texts: Sequence[str]) -> list[Word]:
    """The words of a sample's texts in reading order; punctuation between them belongs to none."""
    return [
        Word(number, match.start(), match.end(), match.group())
        for number, text in enumerate(texts)
        for match in WORD.finditer(text)
    ]


@cache
def stop_words() -> frozenset[str]:
    """Our list of English stop words, lower case."""
    lines = Path(__file__).with_name("stopwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def is_stop_word(form: str) -> bool:
    """Whether a word is a stop word, in any case; of `don't` and `she'll` each part counts."""
    return all(part in stop_words() for part in re.split("['’]", form.casefold()))


def replaceable(form: str) -> bool:
    """Whether a word may be replaced: letters only, and no stop word."""
    return form.isalpha() and not is_stop_word(form)


def allowance(words: int, share: float, least: int) -> int:
    """How many of a sample's words may change: max(least, ⌈share × words⌉)."""
    return max(least, math.ceil(share * words - 1e-9))  # 0.1 × 70 is a hair above 7


def render(texts: Sequence[str], words: Sequence[Word], edits: Mapping[int, str]) -> tuple[str, ...]:
    """The texts with words replaced: position in `words` -> new form. Everything between words stays."""
    rendered = list(texts)
    for position in sorted(edits, reverse=True):  # from the end, so that earlier spans stay true
        word = words[position]
        text = rendered[word.text]
        rendered[word.text] = text[: word.start] + edits[position] + text[word.end :]
    return tuple(rendered)


def cased_like(form: str, model: str) -> str:
    """`form` in the case of `model`: Title, UPPER, or as it is."""
    cased = form
    if model[:1].isupper():
        cased = form.upper() if len(model) > 1 and model.isupper() else form.capitalize()
    return cased if cased.isalpha() else form  # a few letters grow an apostrophe when raised


def changed_words(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    """The replaced words (old, new) of two versions of a sample's texts; raises ValueError where words were moved."""
    old, new = words_of(before), words_of(after)
    if [word.text for word in old] != [word.text for word in new]:
        raise ValueError(f"expected as many words after as before, got {len(old)} and {len(new)}")
    return [(a.form, b.form) for a, b in zip(old, new, strict=True) if a.form != b.form]


def broken_rules(before: Sequence[str], after: Sequence[str], share: float, least: int) -> list[str]:
    """The edit rules that the final texts break, in words; empty when all hold."""
    try:
        changed = changed_words(before, after)
    except ValueError as error:
        return [str(error)]
    allowed = allowance(len(words_of(before)), share, least)
    broken = [f"{old!r} is a stop word or not alphabetic, changed to {new!r}" for old, new in _forbidden(changed)]
    if len(changed) > allowed:
        broken.append(f"{len(changed)} words changed where {allowed} may")
    if [WORD.sub("", text) for text in before] != [WORD.sub("", text) for text in after]:
        broken.append("something between the words changed")
    return broken


def _forbidden(changed: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(old, new) for old, new in changed if not replaceable(old)]
