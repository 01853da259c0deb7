"""SAME's word search: beam search over texts with a few words replaced or misspelled, by gradient or at random."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmark.attacks.words import candidates, edits, released_search, search_state
from benchmark.attacks.words.batched_search import BatchedSearch
from benchmark.attacks.words.search_state import SearchState
from benchmark.types import (
    EarlyExitModel,
    ExitbenchError,
    Finished,
    Objective,
    Perturbed,
    Policy,
    TextSample,
    unwatched,
)
from benchmark.utils import checks

CANDIDATES = ("gradient", "random")


@dataclass(frozen=True)
class WordSearch:
    """SAME's word search: `shortlist` first-order candidates per beam version, `beam` kept, for `rounds` rounds.

    Stop words and words with digits or apostrophes never change, no word changes twice, and at most
    max(least, ⌈share × words⌉) words of a sample change (both texts of a pair together). A text without a replaceable
    word costs one query and stays as it is.
    candidates: ranked by the gradient, or `random` from the same words and vocabulary, the baseline at the same budget.
    level: `word` replaces words, `character` misspells them, `both` does half of each.
    keep: the `deepest` version, the search stopping at full depth (costs never fall with depth); or the version of
    lowest `loss`, the search stopping when the last exit's answer flips: for attacks on accuracy.
    spread: at least this many words share a shortlist, so that one word's poor estimate cannot fill it; 0 for no limit.
    neighbours, cosine: if not 0, a word only becomes one of this many nearest in the embedding table, with at least
    this cosine. keep_answer: versions that flip the last exit's answer are never kept.
    max_queries: forward passes per sample, clean text and gradients included; null for no limit but the beam's.
    wave: candidates of a sample run before success is first checked; the number doubles after each check.
    faithful: the released search with its quirks instead; see `released_search`.
    Source: SAME (arXiv 2305.12228). Differences from the released code: the best version of all rounds counts, a
    sample at full depth is left alone, gradients start at zero, words of several tokens and capitalised words are
    edited too.
    """

    candidates: str = "gradient"
    level: str = "word"
    keep: str = "deepest"
    neighbours: int = 0
    cosine: float = 0.0
    keep_answer: bool = False
    shortlist: int = 100
    spread: int = 5
    beam: int = 5
    rounds: int = 10
    share: float = 0.1
    least: int = 3
    max_queries: int | None = None
    wave: int = 8
    batch_size: int = 32
    faithful: bool = False
    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        checks.choice("search.candidates", self.candidates, CANDIDATES)
        checks.choice("search.level", self.level, candidates.LEVELS)
        checks.choice("search.keep", self.keep, search_state.KEEP_CHOICES)
        checks.whole_number("search.neighbours", self.neighbours, 0)
        checks.share("search.cosine", self.cosine, zero=True)
        for name in ("shortlist", "beam", "rounds", "wave", "batch_size"):
            checks.whole_number(f"search.{name}", getattr(self, name), 1)
        checks.whole_number("search.spread", self.spread, 0)
        checks.share("search.share", self.share, zero=True)
        checks.whole_number("search.least", self.least, 0)
        if self.max_queries is not None:
            checks.whole_number("search.max_queries", self.max_queries, 1)
        if self.cosine and not self.neighbours:
            raise ExitbenchError("search.neighbours: expected a number of words for search.cosine to limit, got 0")
        fixed = {"candidates": "gradient", "keep": "deepest", "keep_answer": False, "neighbours": 0}
        fixed |= {"max_queries": None}
        for name, value in fixed.items():
            if self.faithful and getattr(self, name) != value:
                raise ExitbenchError(f"search.{name}: expected {value} with faithful, got {getattr(self, name)!r}")

    def run(
        self,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        samples: Sequence[TextSample],
        seed: int,
        finished: Finished = unwatched,
    ) -> Perturbed:
        """The best text found for each of `samples`; each has its own random stream by (seed, index)."""
        if not samples:
            return Perturbed([])
        began = time.perf_counter()
        batched = BatchedSearch(self, model, policy, objective, finished)
        search = released_search.search_all if self.faithful else self._search
        states = search(batched, samples, seed)
        attacked = [state.edited(state.best.edits) for state in states]
        same_answer = [state.answer == after for state, after in zip(states, batched.answers(attacked), strict=True)]
        facts = self._facts(states, attacked, same_answer, time.perf_counter() - began)
        return Perturbed(attacked, facts, trails=[state.trail for state in states])

    def _search(self, batched: BatchedSearch, samples: Sequence[TextSample], seed: int) -> list[SearchState]:
        states = batched.start(samples, seed)
        for _ in range(self.rounds):
            running = [state for state in states if state.can_continue(self.max_queries)]
            if not running:
                break
            batched.round(running)
        for state in states:
            if not state.best.success:
                batched.finished(state.clean.depth, state.best.depth)
        return states

    def _facts(
        self, states: list[SearchState], attacked: list[TextSample], same_answer: list[bool], seconds: float
    ) -> dict[str, list[float]]:
        """Per-sample columns. Changes are counted on the final texts, which must keep the rules."""
        for state, sample in zip(states, attacked, strict=True):
            if violations := edits.rule_violations(state.sample.texts, sample.texts, self.share, self.least):
                raise AssertionError(f"sample {sample.index}: {'; '.join(violations)}")
        changed = [len(edits.changed_words(h.sample.texts, s.texts)) for h, s in zip(states, attacked, strict=True)]
        queries = sum(state.queries for state in states)
        columns: dict[str, Sequence[float]] = {
            "queries": [state.queries for state in states],
            "seconds": [seconds * state.queries / queries for state in states],
            "changed": changed,
            "share_changed": [n / max(len(state.words), 1) for n, state in zip(changed, states, strict=True)],
            "depth_before": [state.clean.depth for state in states],
            "depth_after": [state.best.depth for state in states],
            "prediction_kept": same_answer,
            "nothing_to_change": [not state.positions for state in states],
        }
        return {name: [float(value) for value in column] for name, column in columns.items()}
