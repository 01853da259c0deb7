"""What a word search asks of a fast tokenizer: whole words of its vocabulary, and which tokens a word became."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmark.attacks.words.edits import Word, cased_like
from benchmark.types import ExitbenchError


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Candidate words: their token ids (n,), their forms, and whether the tokenizer knows no capitals."""

    ids: Tensor
    forms: tuple[str, ...]
    lower_cased: bool

    @cached_property
    def columns(self) -> dict[str, int]:
        """Form -> its place in `ids` and `forms`."""
        return {form: column for column, form in enumerate(self.forms)}

    def column(self, form: str) -> int | None:
        """The place of a word of a text, None where the vocabulary lacks it."""
        return self.columns.get(form.lower() if self.lower_cased else form)

    def form(self, column: int, instead_of: str) -> str:
        """The candidate as a text shows it: where the tokenizer knows no capitals, cased like the word it replaces."""
        return cased_like(self.forms[column], instead_of) if self.lower_cased else self.forms[column]


@dataclass(frozen=True, eq=False)
class Encoding:
    """One sample as tokens: ids, and the token positions of each of its words (none for a word cut off)."""

    ids: list[int]
    positions: list[list[int]]


@lru_cache(maxsize=4)
def whole_words(tokenizer: Any) -> Vocabulary:
    """The alphabetic tokens that a tokenizer gives for the word alone; special tokens and pieces are none of them.

    Each word was tokenised to see that its one token is what comes back. Raises ExitbenchError where none is left.
    """
    special = set(tokenizer.all_special_ids)
    ids = [number for number in sorted(set(tokenizer.get_vocab().values())) if number not in special]
    forms = [tokenizer.convert_tokens_to_string([token]).strip() for token in tokenizer.convert_ids_to_tokens(ids)]
    words = [(number, form) for number, form in zip(ids, forms, strict=True) if form.isalpha()]
    # The leading space makes byte-level tokenizers see a word inside a sentence; the others skip it.
    tokens = tokenizer([f" {form}" for _, form in words], add_special_tokens=False)["input_ids"] if words else []
    kept = [word for word, found in zip(words, tokens, strict=True) if found == [word[0]]]
    if not kept:
        raise ExitbenchError("model.tokenizer: expected whole alphabetic words in its vocabulary, got none")
    lower_cased = tokenizer.tokenize("Film") == tokenizer.tokenize("film")
    return Vocabulary(torch.tensor([number for number, _ in kept]), tuple(form for _, form in kept), lower_cased)


def encode(
    tokenizer: Any, texts: Sequence[Sequence[str]], words: Sequence[Sequence[Word]], max_length: int
) -> list[Encoding]:
    """Samples (one text or a pair each) as the model's collate encodes them, with the tokens of their words.

    Raises ExitbenchError for a tokenizer that does not know where its tokens came from.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ExitbenchError(
            "model.tokenizer: expected a fast tokenizer, which knows each token's characters, got none"
        )
    pairs = [text[1] for text in texts] if len(texts[0]) == 2 else None
    encoded = tokenizer(
        [text[0] for text in texts], pairs, truncation=True, max_length=max_length, return_offsets_mapping=True
    )
    return [
        Encoding(ids, _positions(encoded.sequence_ids(row), encoded["offset_mapping"][row], words[row]))
        for row, ids in enumerate(encoded["input_ids"])
    ]


def _positions(texts: list[int | None], offsets: list[tuple[int, int]], words: Sequence[Word]) -> list[list[int]]:
    """For each word, the positions of the tokens that share characters with it."""
    at: dict[tuple[int | None, int], list[int]] = {}
    for position, (text, (start, end)) in enumerate(zip(texts, offsets, strict=True)):
        for character in range(start, end):
            at.setdefault((text, character), []).append(position)  # special tokens, of no text, cover no characters
    return [
        sorted(
            {position for character in range(word.start, word.end) for position in at.get((word.text, character), [])}
        )
        for word in words
    ]
