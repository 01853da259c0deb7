"""Candidate edits of one version of a text, best first: words ranked by the gradient, misspellings, or random draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.attacks.words.misspellings import misspellings
from benchmark.attacks.words.search_state import Edits, SearchState, Version, add
from benchmark.attacks.words.vocabulary import Encoding, Vocabulary, whole_words
from benchmark.types import EarlyExitModel, ExitbenchError, WordModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ScoredEdits = tuple[float, Edits]  # the loss that edits are expected to reach, or its expected change, and the edits
LEVELS = ("word", "character", "both")
TOP_TOKENS = 10  # words of the ten tokens with the largest gradient are misspelled


@dataclass(frozen=True, eq=False)
class Lexicon:
    """A model's tokenizer and input embeddings (V, d), the candidate words and their embeddings (n, d)."""

    tokenizer: PreTrainedTokenizerFast
    max_length: int
    vocabulary: Vocabulary
    embeddings: Tensor
    table: Tensor


@dataclass(frozen=True, eq=False)
class VersionGradient:
    """A backward pass on one version: its tokens, their embeddings (T, d), the loss and its gradient (T, d)."""

    encoding: Encoding
    embeddings: Tensor
    gradient: Tensor
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


def gradient_candidates(
    state: SearchState,
    version: Version,
    lexicon: Lexicon,
    result: VersionGradient,
    level: str,
    size: int,
    spread: int = 0,
) -> tuple[list[ScoredEdits], list[ScoredEdits]]:
    """Up to `size` edits of a version with their expected loss: new words, and misspellings; half each for "both"."""
    words = word_substitutions(state, version, lexicon, result, _quota(level, "word", size), spread)
    positions = _largest_gradient_positions(state, version, result)
    letters = misspelling_candidates(state, version, positions, _quota(level, "character", size))
    return [(result.loss + change, edits) for change, edits in words], [(result.loss, edits) for edits in letters]


def word_substitutions(
    state: SearchState, version: Version, lexicon: Lexicon, result: VersionGradient, size: int, spread: int = 0
) -> list[ScoredEdits]:
    """The `size` substitutions that lower the loss most to first order, with the expected change of the loss.

    spread: the list holds at least this many words of the text, if it has as many; 0 for no such limit.

    s(u) = (E_u − E_v)·g_v; a word v of several tokens counts as the mean over its tokens. Words and candidates are
    ranked together.
    """
    tokens = result.encoding.word_tokens
    positions = [position for position in state.open_positions(version) if tokens[position]]
    if not positions or not size:
        return []
    own = (result.embeddings * result.gradient).sum(-1)  # (T,)
    gradients = torch.stack([result.gradient[tokens[position]].mean(0) for position in positions])  # (w, d)
    base = torch.stack([own[tokens[position]].mean() for position in positions])  # (w,)
    scores = gradients @ lexicon.table.T - base[:, None]  # (w, n)
    for row, position in enumerate(positions):
        _mask_forbidden(scores[row], state, position, lexicon)
    if spread:
        _limit_per_word(scores, -(-size // min(spread, len(positions))))
    lowest = scores.flatten().topk(min(size, scores.numel()), largest=False)
    width = scores.shape[1]
    return [
        (score, _substitution(state, version, lexicon, positions[cell // width], cell % width))
        for score, cell in zip(lowest.values.tolist(), lowest.indices.tolist(), strict=True)
        if score < torch.inf
    ]


def _limit_per_word(scores: Tensor, limit: int) -> None:
    """Set all but the `limit` lowest scores of each word to infinity, so that no word fills the whole list."""
    if limit < scores.shape[1]:
        border = scores.topk(limit, -1, largest=False).values[:, -1:]
        scores.masked_fill_(scores > border, torch.inf)


def _mask_forbidden(scores: Tensor, state: SearchState, position: int, lexicon: Lexicon) -> None:
    """Set to infinity what a word may not become: itself, and words outside its nearest, if the search limits those."""
    if state.nearest is not None:
        near = torch.full_like(scores, torch.inf)
        near[state.nearest[position]] = scores[state.nearest[position]]
        scores.copy_(near)
    own = lexicon.vocabulary.column(state.words[position].form)
    if own is not None:
        scores[own] = torch.inf


def _largest_gradient_positions(state: SearchState, version: Version, result: VersionGradient) -> list[int]:
    """Open positions that hold one of the ten tokens with the largest gradient."""
    tokens = result.encoding.word_tokens
    positions = [position for position in state.open_positions(version) if tokens[position]]
    norms = result.gradient.norm(dim=-1)  # (T,)
    ranked = sorted({token for position in positions for token in tokens[position]}, key=lambda t: -float(norms[t]))
    top = set(ranked[:TOP_TOKENS])
    return [position for position in positions if top & set(tokens[position])]


def misspelling_candidates(state: SearchState, version: Version, positions: list[int], size: int) -> list[Edits]:
    """`size` misspellings of the words at `positions`, drawn uniformly; all of them if there are fewer."""
    if not size:
        return []
    forms = [(position, form) for position in positions for form in misspellings(state.words[position].form, state.rng)]
    return [add(version.edits, *form) for form in state.rng.sample(forms, min(size, len(forms)))]


def random_candidates(state: SearchState, version: Version, lexicon: Lexicon, level: str, size: int) -> list[Edits]:
    """`size` distinct edits, drawn uniformly from the same words, candidates and misspellings; all if fewer."""
    letters = misspelling_candidates(state, version, state.open_positions(version), _quota(level, "character", size))
    return _random_substitutions(state, version, lexicon, _quota(level, "word", size)) + letters


def _random_substitutions(state: SearchState, version: Version, lexicon: Lexicon, size: int) -> list[Edits]:
    positions, width = state.open_positions(version), len(lexicon.vocabulary.forms)
    if state.nearest is None:
        cells = state.rng.sample(range(len(positions) * width), min(size, len(positions) * width))
        drawn = [(positions[cell // width], cell % width) for cell in cells]
    else:
        every = [(position, column) for position in positions for column in state.nearest[position]]
        drawn = state.rng.sample(every, min(size, len(every)))
    return [
        _substitution(state, version, lexicon, position, column)
        for position, column in drawn
        if column != lexicon.vocabulary.column(state.words[position].form)
    ]


def nearest_words(lexicon: Lexicon, vectors: Tensor, count: int, cosine: float) -> list[list[int]]:
    """For each vector (w, d) the columns of its `count` nearest words by cosine, without those below `cosine`."""
    table = torch.nn.functional.normalize(lexicon.table.float(), dim=-1)
    cosines = torch.nn.functional.normalize(vectors.float(), dim=-1) @ table.T  # (w, n)
    best = cosines.topk(min(count, cosines.shape[1]), -1)
    return [
        [column for column, value in zip(columns, values, strict=True) if value >= cosine]
        for columns, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _quota(level: str, kind: str, size: int) -> int:
    """How many of `size` candidates are of one kind, "word" or "character"."""
    if level == "both":
        return size - size // 2 if kind == "word" else size // 2
    return size if level == kind else 0


def _substitution(state: SearchState, version: Version, lexicon: Lexicon, position: int, column: int) -> Edits:
    return add(version.edits, position, lexicon.vocabulary.form(column, state.words[position].form))
