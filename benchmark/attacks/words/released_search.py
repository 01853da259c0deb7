"""SAME's word search as its authors released it, one sample at a time: the reference that ours is compared with.

Source: SAME (arXiv 2305.12228), released code. These quirks are kept on purpose: gradients to the word table add up
over all texts of a run and are never zeroed; the answer is the best of the last round, even if an earlier version or
the clean text was deeper; a search continues after it has succeeded; every candidate is run to full depth; only words
that are one token in their written form can be replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmark.attacks.words import candidates
from benchmark.attacks.words.batched_search import BatchedSearch, chunks
from benchmark.attacks.words.candidates import VersionGradient
from benchmark.attacks.words.search_state import SearchState, Version
from benchmark.types import TextSample


class WordTableGradient:
    """The gradient to the word table, by token id, summed over all texts so far; a row is (d,)."""

    def __init__(self) -> None:
        self.rows: dict[int, Tensor] = {}

    def add(self, result: VersionGradient) -> VersionGradient:
        """Add one result; returns it with each token's gradient replaced by its accumulated row."""
        for token, gradient in zip(result.encoding.ids, result.gradient, strict=True):
            self.rows[token] = self.rows[token] + gradient if token in self.rows else gradient
        return replace(result, gradient=torch.stack([self.rows[token] for token in result.encoding.ids]))


def search_all(batched: BatchedSearch, samples: Sequence[TextSample], seed: int) -> list[SearchState]:
    """States after the released search, one sample after the other; texts at full depth are skipped."""
    gradient = WordTableGradient()
    states: list[SearchState] = []
    for sample in samples:
        (state,) = batched.start([sample], seed)
        state.positions = [position for position in state.positions if _is_one_token(batched, state, position)]
        if not state.clean.success:
            _search(batched, state, gradient)
            batched.finished(state.clean.depth, state.best.depth)
        states.append(state)
    return states


def _is_one_token(batched: BatchedSearch, state: SearchState, position: int) -> bool:
    """Whether the vocabulary has the word in its written form."""
    return state.words[position].form in batched.lexicon.vocabulary.columns


def _search(batched: BatchedSearch, state: SearchState, gradient: WordTableGradient) -> None:
    search = batched.search
    for _ in range(search.rounds):
        ranked = []
        for version in (version for version in state.beam if state.open_positions(version)):
            (result,) = batched.gradients([(state, version)])
            state.queries += 1
            words, letters = candidates.gradient_candidates(
                state, version, batched.lexicon, gradient.add(result), search.level, search.shortlist
            )
            ranked += [edit for _, edit in (*words, *letters)]
        distinct = list(dict.fromkeys(ranked))
        if not distinct:
            return
        versions: list[Version] = []
        for chunk in chunks(distinct, search.batch_size):
            outputs = batched.run_to_full_depth([state.edited(edit) for edit in chunk])
            versions += batched.evaluate(chunk, outputs, torch.full((len(chunk),), state.answer))
        state.queries += len(versions)
        state.beam = sorted(versions, key=lambda version: -version.depth)[: search.beam]
        state.best = state.beam[0]
        state.trail.append((state.queries, state.best.depth))
