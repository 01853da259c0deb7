"""Tokenizer access for the word search: the whole words of a vocabulary, and the tokens of each word of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.attacks.words.edits import Word, match_case
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Candidate words: their token ids (n,), their forms, and whether the tokenizer lower-cases."""

    ids: Tensor
    forms: tuple[str, ...]
    lower_cased: bool

    @cached_property
    def columns(self) -> dict[str, int]:
        """Form -> its index in `ids` and `forms`."""
        return {form: column for column, form in enumerate(self.forms)}

    def column(self, form: str) -> int | None:
        """The index of a text's word, None if the vocabulary lacks it."""
        return self.columns.get(form.lower() if self.lower_cased else form)

    def form(self, column: int, replaced: str) -> str:
        """The candidate's spelling in a text; in the case of the replaced word if the tokenizer lower-cases."""
        return match_case(self.forms[column], replaced) if self.lower_cased else self.forms[column]


@dataclass(frozen=True, eq=False)
class Encoding:
    """One sample as tokens: ids, and the token positions of each word (empty beyond the maximum length)."""

    ids: list[int]
    word_tokens: list[list[int]]


@lru_cache(maxsize=4)
def whole_words(tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    """The alphabetic tokens of a vocabulary that are whole words, without special tokens and word pieces.

    A token is a whole word if tokenising its text gives back that token. Raises ExitbenchError if there is none.
    """
    special = set(tokenizer.all_special_ids)
    ids = [number for number in sorted(set(tokenizer.get_vocab().values())) if number not in special]
    forms = [tokenizer.convert_tokens_to_string([token]).strip() for token in tokenizer.convert_ids_to_tokens(ids)]
    words = [(number, form) for number, form in zip(ids, forms, strict=True) if form.isalpha()]
    # With the leading space byte-level tokenizers treat it as a word inside a sentence; others ignore it.
    tokens = tokenizer([f" {form}" for _, form in words], add_special_tokens=False)["input_ids"] if words else []
    whole = [word for word, encoded in zip(words, tokens, strict=True) if encoded == [word[0]]]
    if not whole:
        raise ExitbenchError("model.tokenizer: expected whole alphabetic words in its vocabulary, got none")
    lower_cased = tokenizer.tokenize("Film") == tokenizer.tokenize("film")
    return Vocabulary(torch.tensor([number for number, _ in whole]), tuple(form for _, form in whole), lower_cased)


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], words: Sequence[Sequence[Word]], max_length: int
) -> list[Encoding]:
    """Samples (one text or a pair each) encoded as by the model's collate, with the tokens of each word.

    Raises ExitbenchError for a slow tokenizer, which has no character offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ExitbenchError(
            "model.tokenizer: expected a fast tokenizer, which gives the character offsets of tokens, got a slow one"
        )
    pairs = [text[1] for text in texts] if len(texts[0]) == 2 else None
    encoded = tokenizer(
        [text[0] for text in texts], pairs, truncation=True, max_length=max_length, return_offsets_mapping=True
    )
    return [
        Encoding(ids, _word_tokens(encoded.sequence_ids(row), encoded["offset_mapping"][row], words[row]))
        for row, ids in enumerate(encoded["input_ids"])
    ]


def _word_tokens(texts: list[int | None], offsets: list[tuple[int, int]], words: Sequence[Word]) -> list[list[int]]:
    """For each word, the positions of the tokens that share characters with it."""
    by_character: dict[tuple[int | None, int], list[int]] = {}
    for position, (text, (start, end)) in enumerate(zip(texts, offsets, strict=True)):
        for character in range(start, end):
            by_character.setdefault((text, character), []).append(position)  # special tokens cover none
    return [
        sorted({token for at in range(word.start, word.end) for token in by_character.get((word.text, at), [])})
        for word in words
    ]
