"""Candidate edits of one version of a text, best first: words by the gradient, misspellings, or either at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.attacks.words.beam import Edits, Hunt, Version, add
from benchmark.attacks.words.misspellings import misspellings
from benchmark.attacks.words.vocabulary import Encoding, Vocabulary, whole_words
from benchmark.types import EarlyExitModel, ExitbenchError, WordModel

Promise = tuple[float, Edits]  # the loss that an edit promises, or the change of it, and the edit
LEVELS = ("word", "character", "both")
TOKENS_LOOKED_AT = 10  # misspelt are words of the ten tokens with the largest gradient


@dataclass(frozen=True, eq=False)
class Lexicon:
    """A model's tokenizer and input embeddings (V, d), the words to choose from and theirs (n, d)."""

    tokenizer: Any
    max_length: int
    vocabulary: Vocabulary
    embeddings: Tensor
    table: Tensor


@dataclass(frozen=True, eq=False)
class View:
    """What a backward pass says of one version: its tokens, their embeddings (T, d), the loss and its slope (T, d)."""

    encoding: Encoding
    embeds: Tensor
    slope: Tensor
    loss: float = 0.0


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


def guided(
    hunt: Hunt, version: Version, lexicon: Lexicon, view: View, level: str, size: int, spread: int = 0
) -> tuple[list[Promise], list[Promise]]:
    """Up to `size` edits of a version with the loss they promise: new words, and misspellings, half each for "both"."""
    words = first_order(hunt, version, lexicon, view, _share(level, "word", size), spread)
    letters = misspelt(hunt, version, _steepest(hunt, version, view), _share(level, "character", size))
    return [(view.loss + change, edit) for change, edit in words], [(view.loss, edit) for edit in letters]


def first_order(
    hunt: Hunt, version: Version, lexicon: Lexicon, view: View, size: int, spread: int = 0
) -> list[Promise]:
    """The `size` edits that lower the loss most to first order, with the change they promise.

    spread: at least so many words share the shortlist, where there are so many; 0 for no such rule.

    s(u) = (E_u − E_v)·g_v; a word v of several tokens counts as the mean over its tokens. Words and candidates are
    ranked together.
    """
    spots = [spot for spot in hunt.free(version) if view.encoding.positions[spot]]
    if not spots or not size:
        return []
    here = (view.embeds * view.slope).sum(-1)  # (T,)
    pull = torch.stack([view.slope[view.encoding.positions[spot]].mean(0) for spot in spots])  # (w, d)
    base = torch.stack([here[view.encoding.positions[spot]].mean() for spot in spots])  # (w,)
    scores = pull @ lexicon.table.T - base[:, None]  # (w, n)
    for row, spot in enumerate(spots):
        _forbid(scores[row], hunt, spot, lexicon)
    if spread:
        _spread(scores, -(-size // min(spread, len(spots))))
    lowest = scores.flatten().topk(min(size, scores.numel()), largest=False)
    width = scores.shape[1]
    return [
        (score, _edit(hunt, version, lexicon, spots[place // width], place % width))
        for score, place in zip(lowest.values.tolist(), lowest.indices.tolist(), strict=True)
        if score < torch.inf
    ]


def _spread(scores: Tensor, most: int) -> None:
    """Set to infinity all but the `most` lowest scores of each word, so that no word takes the whole shortlist."""
    if most < scores.shape[1]:
        border = scores.topk(most, -1, largest=False).values[:, -1:]
        scores.masked_fill_(scores > border, torch.inf)


def _forbid(scores: Tensor, hunt: Hunt, spot: int, lexicon: Lexicon) -> None:
    """Set to infinity what a word may not become: itself, and words that are not near where only those may be."""
    if hunt.near is not None:
        kept = torch.full_like(scores, torch.inf)
        kept[hunt.near[spot]] = scores[hunt.near[spot]]
        scores.copy_(kept)
    own = lexicon.vocabulary.column(hunt.words[spot].form)
    if own is not None:
        scores[own] = torch.inf


def _steepest(hunt: Hunt, version: Version, view: View) -> list[int]:
    """Free spots that hold one of the ten tokens with the largest gradient."""
    spots = [spot for spot in hunt.free(version) if view.encoding.positions[spot]]
    size = view.slope.norm(dim=-1)  # (T,)
    held = sorted({place for spot in spots for place in view.encoding.positions[spot]}, key=lambda t: -float(size[t]))
    steep = set(held[:TOKENS_LOOKED_AT])
    return [spot for spot in spots if steep & set(view.encoding.positions[spot])]


def misspelt(hunt: Hunt, version: Version, spots: list[int], size: int) -> list[Edits]:
    """`size` misspellings drawn evenly among those of the words at `spots`, or all there are."""
    if not size:
        return []
    made = [(spot, form) for spot in spots for form in misspellings(hunt.words[spot].form, hunt.draw)]
    return [add(version.edits, spot, form) for spot, form in hunt.draw.sample(made, min(size, len(made)))]


def at_random(hunt: Hunt, version: Version, lexicon: Lexicon, level: str, size: int) -> list[Edits]:
    """`size` distinct edits, or all there are, drawn evenly from the same words, candidates and misspellings."""
    letters = misspelt(hunt, version, hunt.free(version), _share(level, "character", size))
    return _random_words(hunt, version, lexicon, _share(level, "word", size)) + letters


def _random_words(hunt: Hunt, version: Version, lexicon: Lexicon, size: int) -> list[Edits]:
    spots, width = hunt.free(version), len(lexicon.vocabulary.forms)
    if hunt.near is None:
        places = hunt.draw.sample(range(len(spots) * width), min(size, len(spots) * width))
        drawn = [(spots[place // width], place % width) for place in places]
    else:
        every = [(spot, column) for spot in spots for column in hunt.near[spot]]
        drawn = hunt.draw.sample(every, min(size, len(every)))
    return [
        _edit(hunt, version, lexicon, spot, column)
        for spot, column in drawn
        if column != lexicon.vocabulary.column(hunt.words[spot].form)
    ]


def neighbours(lexicon: Lexicon, vectors: Tensor, count: int, cosine: float) -> list[list[int]]:
    """For each vector (w, d) the columns of its `count` nearest words by cosine, none of them below `cosine`."""
    table = torch.nn.functional.normalize(lexicon.table.float(), dim=-1)
    near = torch.nn.functional.normalize(vectors.float(), dim=-1) @ table.T  # (w, n)
    best = near.topk(min(count, near.shape[1]), -1)
    return [
        [column for column, close in zip(columns, closeness, strict=True) if close >= cosine]
        for columns, closeness in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _share(level: str, part: str, size: int) -> int:
    """How many of `size` candidates are words, how many misspellings."""
    if level == "both":
        return size - size // 2 if part == "word" else size // 2
    return size if level == part else 0


def _edit(hunt: Hunt, version: Version, lexicon: Lexicon, spot: int, column: int) -> Edits:
    return add(version.edits, spot, lexicon.vocabulary.form(column, hunt.words[spot].form))
