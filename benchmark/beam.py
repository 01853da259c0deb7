"""One text under attack: its words, its beam of edited versions, what was tried, and the deepest version so far."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmark.edits import Word, render
from benchmark.types import TextSample

Edits = tuple[tuple[int, str], ...]  # (position among the words, new form), ascending; () is the clean text


@dataclass(frozen=True)
class Version:
    """An edited text that was run: how deep it went, and how unsure the answering exit was (1 − its confidence)."""

    edits: Edits
    depth: int
    doubt: float


@dataclass
class Hunt:
    """The search on one sample; `clean` is the sample itself, run once."""

    sample: TextSample
    words: list[Word]
    spots: list[int]  # positions of the words that may change
    allowed: int  # how many of them may
    tokens: int  # of the clean text, to batch by length
    clean: Version
    draw: random.Random
    queries: int = 1
    best: Version = field(init=False)
    beam: list[Version] = field(init=False)
    pending: list[Edits] = field(default_factory=list)
    _round: list[Version] = field(default_factory=list)
    _seen: set[Edits] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.best = self.clean
        self.beam = [self.clean]

    def texts(self, edits: Edits) -> tuple[str, ...]:
        """The sample's texts with these edits."""
        return render(self.sample.texts, self.words, dict(edits))

    def free(self, version: Version) -> list[int]:
        """Positions that may still change in a version: no word changes twice, no more words than allowed."""
        if len(version.edits) >= self.allowed:
            return []
        taken = {position for position, _ in version.edits}
        return [spot for spot in self.spots if spot not in taken]

    def open(self, full: int, budget: int | None) -> bool:
        """Whether there is something left to win, to change and to spend."""
        spent = budget is not None and self.queries >= budget
        return self.best.depth < full and not spent and any(self.free(version) for version in self.beam)

    def propose(self, ranked: Iterable[Edits], budget: int | None) -> None:
        """Queue this round's candidates, best first; what was tried before, in any order of edits, is left out."""
        fresh = [edits for edits in dict.fromkeys(ranked) if edits not in self._seen]
        self.pending = fresh if budget is None else fresh[: max(budget - self.queries, 0)]
        self._seen.update(self.pending)

    def take(self, size: int) -> list[Edits]:
        """The next candidates to run."""
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken

    def record(self, version: Version) -> None:
        """A candidate was run; the best changes only for a deeper one, so no edit is kept in vain."""
        self.queries += 1
        self._round.append(version)
        if version.depth > self.best.depth:
            self.best = version

    def advance(self, width: int) -> None:
        """The round's deepest versions, the least sure first among equals, are the next beam."""
        self.beam = sorted(self._round, key=lambda version: (-version.depth, -version.doubt))[:width]
        self._round = []


def add(edits: Edits, position: int, form: str) -> Edits:
    """One more edit, in order."""
    return tuple(sorted((*edits, (position, form))))
