"""SAME's word search as its authors released it, one sample at a time: the twin that ours is held against.

Source: SAME (arXiv 2305.12228), released code. Kept on purpose: gradients to the word table add up over all texts of
a run and are never zeroed; the answer is the best of the last round, even where an earlier one or the clean text was
deeper; a search goes on after it has won; every candidate is run to full depth; only words that are one token as they
are written can be replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmark.attacks.words import candidates
from benchmark.attacks.words.batched_search import Party, parts
from benchmark.attacks.words.beam import Hunt, Version
from benchmark.attacks.words.candidates import View
from benchmark.types import TextSample


class WordTableGradient:
    """The gradient to the word table, by token id, summed over everything it has seen; a row is (d,)."""

    def __init__(self) -> None:
        self.rows: dict[int, Tensor] = {}

    def add(self, view: View) -> View:
        """Take a view's slopes in; the view with each token's slope replaced by its row."""
        for token, slope in zip(view.encoding.ids, view.slope, strict=True):
            self.rows[token] = self.rows[token] + slope if token in self.rows else slope
        return replace(view, slope=torch.stack([self.rows[token] for token in view.encoding.ids]))


def hunt_all(party: Party, samples: Sequence[TextSample], seed: int) -> list[Hunt]:
    """Hunts after the released search, one sample after the other; texts at full depth are skipped."""
    gradient = WordTableGradient()
    hunts: list[Hunt] = []
    for sample in samples:
        (hunt,) = party.start([sample], seed)
        hunt.spots = [spot for spot in hunt.spots if _is_one_token(party, hunt, spot)]
        if not hunt.clean.won:
            _hunt(party, hunt, gradient)
            party.finished(hunt.clean.depth, hunt.best.depth)
        hunts.append(hunt)
    return hunts


def _is_one_token(party: Party, hunt: Hunt, spot: int) -> bool:
    """Whether the vocabulary has the word as it is written."""
    return hunt.words[spot].form in party.lexicon.vocabulary.columns


def _hunt(party: Party, hunt: Hunt, gradient: WordTableGradient) -> None:
    search: Any = party.search
    for _ in range(search.rounds):
        ranked = []
        for version in (version for version in hunt.beam if hunt.free(version)):
            (view,) = party.views([(hunt, version)])
            hunt.queries += 1
            words, letters = candidates.guided(
                hunt, version, party.lexicon, gradient.add(view), search.level, search.shortlist
            )
            ranked += [edit for _, edit in (*words, *letters)]
        made = list(dict.fromkeys(ranked))
        if not made:
            return
        versions: list[Version] = []
        for part in parts(made, search.batch_size):
            yielded = party.full_depth([hunt.edited(edit) for edit in part])
            versions += party.judge(part, yielded, torch.full((len(part),), hunt.answer))
        hunt.queries += len(versions)
        hunt.beam = sorted(versions, key=lambda version: -version.depth)[: search.beam]
        hunt.best = hunt.beam[0]
        hunt.trail.append((hunt.queries, hunt.best.depth))
