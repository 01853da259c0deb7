"""One text under attack: its words, its beam of edited versions, what was tried, and the best version so far."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmark.attacks.words.edits import Word, render
from benchmark.types import TextSample

Edits = tuple[tuple[int, str], ...]  # (position among the words, new form), ascending; () is the clean text
KEEPS = ("deepest", "loss")


@dataclass(frozen=True)
class Version:
    """An edited text that was run.

    worth: what is kept for, its depth or minus its loss. tie: breaks ties in the beam, how unsure the answering exit
    was (1 − its confidence). won: nothing better is wanted. allowed: whether it may be kept at all.
    """

    edits: Edits
    depth: int
    worth: float
    tie: float = 0.0
    won: bool = False
    allowed: bool = True


@dataclass
class Hunt:
    """The search on one sample; `clean` is the sample itself, run once.

    trail: (queries spent, depth of the best version then), from the clean text on, one entry per improvement.
    """

    sample: TextSample
    words: list[Word]
    spots: list[int]  # positions of the words that may change
    allowed: int  # how many of them may
    tokens: int  # of the clean text, to batch by length
    clean: Version
    draw: random.Random
    answer: int = -1  # of the last exit on the clean text
    near: dict[int, list[int]] | None = None  # spot -> columns of the vocabulary it may become; None for all
    queries: int = 1
    best: Version = field(init=False)
    beam: list[Version] = field(init=False)
    trail: list[tuple[int, int]] = field(init=False)
    pending: list[Edits] = field(default_factory=list)
    _round: list[Version] = field(default_factory=list)
    _seen: set[Edits] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.best = self.clean
        self.beam = [self.clean]
        self.trail = [(1, self.clean.depth)]

    def texts(self, edits: Edits) -> tuple[str, ...]:
        """The sample's texts with these edits."""
        return render(self.sample.texts, self.words, dict(edits))

    def edited(self, edits: Edits) -> TextSample:
        """The sample with these edits."""
        return TextSample(self.sample.index, self.sample.label, self.texts(edits))

    def free(self, version: Version) -> list[int]:
        """Positions that may still change in a version: no word changes twice, no more words than allowed."""
        if len(version.edits) >= self.allowed:
            return []
        taken = {position for position, _ in version.edits}
        return [spot for spot in self.spots if spot not in taken]

    def open(self, budget: int | None) -> bool:
        """Whether there is something left to win, to change and to spend."""
        spent = budget is not None and self.queries >= budget
        return not self.best.won and not spent and any(self.free(version) for version in self.beam)

    def propose(self, ranked: Iterable[Edits], budget: int | None) -> None:
        """Queue this round's candidates, best first; what was tried before, in any order of edits, is left out."""
        fresh = [edits for edits in dict.fromkeys(ranked) if edits not in self._seen]
        self.pending = fresh if budget is None else fresh[: max(budget - self.queries, 0)]
        self._seen.update(self.pending)

    def take(self, size: int) -> list[Edits]:
        """The next candidates to run; none once the hunt is won."""
        if self.best.won:
            return []
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken

    def record(self, version: Version) -> None:
        """A candidate was run; the best changes only for one that is worth more, so no edit is kept in vain."""
        self.queries += 1
        if not version.allowed:
            return
        self._round.append(version)
        if version.worth > self.best.worth:
            self.best = version
            self.trail.append((self.queries, version.depth))

    def advance(self, width: int) -> None:
        """The round's best versions, the least sure first among equals, are the next beam."""
        self.beam = sorted(self._round, key=lambda version: (-version.worth, -version.tie))[:width]
        self._round = []


def add(edits: Edits, position: int, form: str) -> Edits:
    """One more edit, in order."""
    return tuple(sorted((*edits, (position, form))))
