"""Candidate word edits of one version of a text, best first: by the gradient, or at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.beam import Edits, Hunt, Version, add
from benchmark.types import EarlyExitModel, ExitbenchError, WordModel
from benchmark.vocabulary import Encoding, Vocabulary, whole_words


@dataclass(frozen=True, eq=False)
class Lexicon:
    """A model's tokenizer and input embeddings (V, d), the words to choose from and theirs (n, d)."""

    tokenizer: Any
    max_length: int
    vocabulary: Vocabulary
    embeddings: Tensor
    table: Tensor


def lexicon_of(model: EarlyExitModel) -> Lexicon:
    """Raises ExitbenchError for a model without tokenizer or input embeddings."""
    if not isinstance(model, WordModel):
        raise ExitbenchError(
            "model: expected one with `tokenizer`, `max_length` and `word_embeddings` for a word search, "
            f"got {type(model).__name__}"
        )
    vocabulary = whole_words(model.tokenizer)
    embeddings = model.word_embeddings.detach()
    table = embeddings[vocabulary.ids.to(embeddings.device)]
    return Lexicon(model.tokenizer, model.max_length, vocabulary, embeddings, table)


def first_order(
    hunt: Hunt, version: Version, lexicon: Lexicon, encoding: Encoding, embeds: Tensor, slope: Tensor, size: int
) -> list[tuple[float, Edits]]:
    """The `size` edits that lower the loss most to first order, with the change they promise.

    s(u) = (E_u − E_v)·g_v; a word v of several tokens counts as the mean over its tokens. embeds, slope (T, d): the
    version's own token embeddings and the loss's gradient to them. Words and candidates are ranked together.
    """
    spots = [spot for spot in hunt.free(version) if encoding.positions[spot]]
    if not spots:
        return []
    here = (embeds * slope).sum(-1)  # (T,)
    pull = torch.stack([slope[encoding.positions[spot]].mean(0) for spot in spots])  # (w, d)
    base = torch.stack([here[encoding.positions[spot]].mean() for spot in spots])  # (w,)
    scores = pull @ lexicon.table.T - base[:, None]  # (w, n)
    for row, spot in enumerate(spots):
        own = lexicon.vocabulary.column(hunt.words[spot].form)
        if own is not None:
            scores[row, own] = torch.inf
    lowest = scores.flatten().topk(min(size, scores.numel()), largest=False)
    width = scores.shape[1]
    return [
        (score, _edit(hunt, version, lexicon, spots[place // width], place % width))
        for score, place in zip(lowest.values.tolist(), lowest.indices.tolist(), strict=True)
        if score < torch.inf
    ]


def at_random(hunt: Hunt, version: Version, lexicon: Lexicon, size: int) -> list[Edits]:
    """`size` distinct edits, or all there are, drawn evenly from the same words and candidates."""
    spots, width = hunt.free(version), len(lexicon.vocabulary.forms)
    places = hunt.draw.sample(range(len(spots) * width), min(size, len(spots) * width))
    return [
        _edit(hunt, version, lexicon, spots[place // width], place % width)
        for place in places
        if place % width != lexicon.vocabulary.column(hunt.words[spots[place // width]].form)
    ]


def _edit(hunt: Hunt, version: Version, lexicon: Lexicon, spot: int, column: int) -> Edits:
    return add(version.edits, spot, lexicon.vocabulary.form(column, hunt.words[spot].form))
