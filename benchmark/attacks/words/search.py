"""Word search: a beam over texts with a few words replaced or misspelt, guided by a gradient or drawn at random."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmark.attacks.words import beam, candidates, edits, released_search
from benchmark.attacks.words.batched_search import Party
from benchmark.attacks.words.beam import Hunt
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

    Never changed: stop words, words with digits or apostrophes, a word twice, more than max(least, ⌈share × words⌉)
    words of a sample (both texts of a pair together). A text without a word to change is left alone, at one query.
    candidates: by the gradient, or `random` from the same words and vocabulary, as the rival at the same budget.
    level: `word` replaces words, `character` misspells them, `both` does half of each.
    keep: the `deepest` version, which is the dearest as costs never fall with depth, until full depth; or that of the
    lowest `loss`, until the last exit's answer flips: attacks on accuracy.
    spread: at least so many words share a shortlist, so that one word's poor estimate cannot take it all; 0 for none.
    neighbours, cosine: where not 0, a word only becomes one of so many nearest in the embedding table, none of them
    below this cosine. keep_answer: versions that flip the last exit's answer are never kept.
    max_queries: forwards a sample may cost, clean text and gradients included; null for no limit but the beam's.
    wave: candidates of a sample run before looking whether one of them won; doubles with each wave.
    faithful: the released search instead, quirks and all; see `released_search`.
    Source: SAME (arXiv 2305.12228). Mended against the released code: the best version of all rounds counts, a
    sample at full depth is left alone, gradients are fresh, words of several tokens and capitalised ones take part.
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
        checks.choice("search.keep", self.keep, beam.KEEPS)
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
        mended = {"candidates": "gradient", "keep": "deepest", "keep_answer": False, "neighbours": 0}
        mended |= {"max_queries": None}
        for name, value in mended.items():
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
        party = Party(self, model, policy, objective, finished)
        hunts = released_search.hunt_all(party, samples, seed) if self.faithful else self._hunt(party, samples, seed)
        found = [hunt.edited(hunt.best.edits) for hunt in hunts]
        kept = [hunt.answer == after for hunt, after in zip(hunts, party.answers(found), strict=True)]
        facts = self._facts(hunts, found, kept, time.perf_counter() - began)
        return Perturbed(found, facts, trails=[hunt.trail for hunt in hunts])

    def _hunt(self, party: Party, samples: Sequence[TextSample], seed: int) -> list[Hunt]:
        hunts = party.start(samples, seed)
        for _ in range(self.rounds):
            running = [hunt for hunt in hunts if hunt.open(self.max_queries)]
            if not running:
                break
            party.round(running)
        for hunt in hunts:
            if not hunt.best.won:
                party.finished(hunt.clean.depth, hunt.best.depth)
        return hunts

    def _facts(
        self, hunts: list[Hunt], found: list[TextSample], kept: list[bool], seconds: float
    ) -> dict[str, list[float]]:
        """Fact columns; the changes are counted on the final texts, which must keep the rules."""
        for hunt, sample in zip(hunts, found, strict=True):
            if broken := edits.broken_rules(hunt.sample.texts, sample.texts, self.share, self.least):
                raise AssertionError(f"sample {sample.index}: {'; '.join(broken)}")
        changed = [len(edits.changed_words(h.sample.texts, s.texts)) for h, s in zip(hunts, found, strict=True)]
        queries = sum(hunt.queries for hunt in hunts)
        columns: dict[str, list[Any]] = {
            "queries": [hunt.queries for hunt in hunts],
            "seconds": [seconds * hunt.queries / queries for hunt in hunts],
            "changed": changed,
            "share_changed": [n / max(len(hunt.words), 1) for n, hunt in zip(changed, hunts, strict=True)],
            "depth_before": [hunt.clean.depth for hunt in hunts],
            "depth_after": [hunt.best.depth for hunt in hunts],
            "prediction_kept": kept,
            "nothing_to_change": [not hunt.spots for hunt in hunts],
        }
        return {name: [float(value) for value in column] for name, column in columns.items()}
