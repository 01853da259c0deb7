"""State of the beam search on one text: its words, the beam, the edits already tried, and the best version so far."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmark.attacks.words.edits import Word, apply_edits
from benchmark.types import TextSample

Edits = tuple[tuple[int, str], ...]  # (position among the words, new form), ascending; () is the clean text
KEEP_CHOICES = ("deepest", "loss")


@dataclass(frozen=True)
class Version:
    """An edited text and what the model did on it.

    score: what the search maximises, the exit depth or minus the loss. uncertainty: 1 − confidence of the exit taken;
    it breaks ties in the beam. success: the search need not improve on it. valid: the search may answer with it.
    """

    edits: Edits
    depth: int
    score: float
    uncertainty: float = 0.0
    success: bool = False
    valid: bool = True


@dataclass
class SearchState:
    """The search on one sample; `clean` is the unedited sample's version.

    trail: (queries spent, depth of the best version then), from the clean text on, one entry per improvement.
    """

    sample: TextSample
    words: list[Word]
    positions: list[int]  # of the words that may change
    max_changes: int  # how many of them may
    tokens: int  # of the clean text, to batch by length
    clean: Version
    rng: random.Random
    answer: int = -1  # of the last exit on the clean text
    nearest: dict[int, list[int]] | None = None  # position -> columns of the vocabulary it may become; None for all
    queries: int = 1
    best: Version = field(init=False)
    beam: list[Version] = field(init=False)
    trail: list[tuple[int, int]] = field(init=False)
    pending: list[Edits] = field(default_factory=list)
    _evaluated: list[Version] = field(default_factory=list)
    _tried: set[Edits] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.best = self.clean
        self.beam = [self.clean]
        self.trail = [(1, self.clean.depth)]

    def texts(self, edits: Edits) -> tuple[str, ...]:
        """The sample's texts with these edits."""
        return apply_edits(self.sample.texts, self.words, dict(edits))

    def edited(self, edits: Edits) -> TextSample:
        """The sample with these edits."""
        return TextSample(self.sample.index, self.sample.label, self.texts(edits))

    def open_positions(self, version: Version) -> list[int]:
        """Positions that may still change in a version: no word changes twice, at most `max_changes` words change."""
        if len(version.edits) >= self.max_changes:
            return []
        edited = {position for position, _ in version.edits}
        return [position for position in self.positions if position not in edited]

    def can_continue(self, budget: int | None) -> bool:
        """Whether the search has not succeeded, has queries left, and has a word left to change."""
        spent = budget is not None and self.queries >= budget
        return not self.best.success and not spent and any(self.open_positions(version) for version in self.beam)

    def propose(self, ranked: Iterable[Edits], budget: int | None) -> None:
        """Queue this round's candidates, best first, without those tried before."""
        fresh = [edits for edits in dict.fromkeys(ranked) if edits not in self._tried]
        self.pending = fresh if budget is None else fresh[: max(budget - self.queries, 0)]
        self._tried.update(self.pending)

    def next_candidates(self, size: int) -> list[Edits]:
        """The next candidates to run; none after success."""
        if self.best.success:
            return []
        batch, self.pending = self.pending[:size], self.pending[size:]
        return batch

    def record(self, version: Version) -> None:
        """Count a candidate that was run. It becomes the best only with a higher score, so no edit is superfluous."""
        self.queries += 1
        if not version.valid:
            return
        self._evaluated.append(version)
        if version.score > self.best.score:
            self.best = version
            self.trail.append((self.queries, version.depth))

    def advance(self, width: int) -> None:
        """Make the round's best versions the next beam; among equal scores, the least confident first."""
        self.beam = sorted(self._evaluated, key=lambda version: (-version.score, -version.uncertainty))[:width]
        self._evaluated = []


def add(edits: Edits, position: int, form: str) -> Edits:
    """The edits and one more, sorted by position."""
    return tuple(sorted((*edits, (position, form))))
