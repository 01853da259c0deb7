"""Word edits of texts and the rules they obey. Rules are checked on the final text, not on token ids."""

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
    """The words of a sample's texts in reading order, without the punctuation between them."""
    return [
        Word(number, match.start(), match.end(), match.group())
        for number, text in enumerate(texts)
        for match in WORD.finditer(text)
    ]


@cache
def stop_words() -> frozenset[str]:
    """The English stop words of `stopwords.txt`, lower case."""
    lines = Path(__file__).with_name("stopwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def is_stop_word(form: str) -> bool:
    """Whether a word is a stop word in any case; words like `don't` count if each part does."""
    return all(part in stop_words() for part in re.split("['’]", form.casefold()))


def replaceable(form: str) -> bool:
    """Whether a word may be replaced: letters only, and no stop word."""
    return form.isalpha() and not is_stop_word(form)


def max_changed_words(words: int, share: float, least: int) -> int:
    """How many of a sample's words may change: max(least, ⌈share × words⌉)."""
    return max(least, math.ceil(share * words - 1e-9))  # 0.1 × 70 is a hair above 7


def apply_edits(texts: Sequence[str], words: Sequence[Word], edits: Mapping[int, str]) -> tuple[str, ...]:
    """The texts with words replaced: position in `words` -> new form. Text between words is unchanged."""
    rendered = list(texts)
    for position in sorted(edits, reverse=True):  # from the end, so that earlier spans stay valid
        word = words[position]
        text = rendered[word.text]
        rendered[word.text] = text[: word.start] + edits[position] + text[word.end :]
    return tuple(rendered)


def match_case(form: str, pattern: str) -> str:
    """`form` in the case of `pattern`: Title, UPPER, or unchanged."""
    cased = form
    if pattern[:1].isupper():
        cased = form.upper() if len(pattern) > 1 and pattern.isupper() else form.capitalize()
    return cased if cased.isalpha() else form  # upper case adds an apostrophe to a few letters


def changed_words(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    """The replaced words (old, new) of two versions of a sample's texts.

    Words are compared position by position: replacing a word never moves another, so no alignment is needed.
    Raises ValueError if the number of words in a text differs."""
    old, new = words_of(before), words_of(after)
    if [word.text for word in old] != [word.text for word in new]:
        raise ValueError(f"expected as many words after as before, got {len(old)} and {len(new)}")
    return [(a.form, b.form) for a, b in zip(old, new, strict=True) if a.form != b.form]


def rule_violations(before: Sequence[str], after: Sequence[str], share: float, least: int) -> list[str]:
    """One message for each edit rule that the final texts break; empty if all hold."""
    try:
        changed = changed_words(before, after)
    except ValueError as error:
        return [str(error)]
    limit = max_changed_words(len(words_of(before)), share, least)
    violations = [
        f"{old!r} became {new!r}, but is a stop word or not alphabetic" for old, new in _unreplaceable(changed)
    ]
    if len(changed) > limit:
        violations.append(f"{len(changed)} words changed, at most {limit} allowed")
    if [WORD.sub("", text) for text in before] != [WORD.sub("", text) for text in after]:
        violations.append("something between the words changed")
    return violations


def _unreplaceable(changed: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(old, new) for old, new in changed if not replaceable(old)]
