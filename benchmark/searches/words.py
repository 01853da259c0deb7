"""Word search: a beam over texts with a few words replaced, many samples and beams in each forward and backward."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch

from benchmark import candidates, checks, decide, edits, forward, vocabulary
from benchmark.beam import Edits, Hunt, Version
from benchmark.types import (
    EarlyExitModel,
    Finished,
    Objective,
    Perturbed,
    Policy,
    TextSample,
    unwatched,
)

CANDIDATES = ("gradient", "random")
T = TypeVar("T")


@dataclass(frozen=True)
class WordSearch:
    """SAME's word search: `shortlist` first-order candidates per beam version, `beam` kept, for `rounds` rounds.

    Never changed: stop words, words with digits or apostrophes, a word twice, more than max(least, ⌈share × words⌉)
    words of a sample (both texts of a pair together). candidates: by the gradient, or `random` from the same words
    and vocabulary, as the rival at the same budget.
    max_queries: forwards a sample may cost, clean text and gradients included; null for no limit but the beam's.
    wave: candidates of a sample run before looking whether one of them won; doubles with each wave.
    Source: SAME (arXiv 2305.12228). Mended against the released code: the best version of all rounds counts, a
    sample at full depth is left alone, gradients are fresh, words of several tokens and capitalised ones take part.
    """

    candidates: str = "gradient"
    shortlist: int = 100
    beam: int = 5
    rounds: int = 10
    share: float = 0.1
    least: int = 3
    max_queries: int | None = None
    wave: int = 8
    batch_size: int = 32
    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        checks.choice("search.candidates", self.candidates, CANDIDATES)
        for name in ("shortlist", "beam", "rounds", "wave", "batch_size"):
            checks.whole_number(f"search.{name}", getattr(self, name), 1)
        checks.share("search.share", self.share, zero=True)
        checks.whole_number("search.least", self.least, 0)
        if self.max_queries is not None:
            checks.whole_number("search.max_queries", self.max_queries, 1)

    def run(
        self,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        samples: Sequence[TextSample],
        seed: int,
        finished: Finished = unwatched,
    ) -> Perturbed:
        """The most expensive text found for each of `samples`; each has its own random stream by (seed, index)."""
        if not samples:
            return Perturbed([])
        began = time.perf_counter()
        party = _Party(self, model, policy, objective, finished)
        hunts, predictions = party.start(samples, seed)
        for _ in range(self.rounds):
            running = [hunt for hunt in hunts if hunt.open(model.num_exits, self.max_queries)]
            if not running:
                break
            party.round(running)
        for hunt in hunts:
            if hunt.best.depth < model.num_exits:
                finished(hunt.clean.depth, hunt.best.depth)
        found = [TextSample(h.sample.index, h.sample.label, h.texts(h.best.edits)) for h in hunts]
        kept = [a == b for a, b in zip(predictions, party.answers(found), strict=True)]
        return Perturbed(found, self._facts(hunts, found, kept, time.perf_counter() - began))

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
        }
        return {name: [float(value) for value in column] for name, column in columns.items()}


class _Party:
    """All samples of one run, searched together on one model."""

    def __init__(
        self, search: WordSearch, model: EarlyExitModel, policy: Policy, objective: Objective, finished: Finished
    ) -> None:
        self.search, self.model, self.policy, self.objective = search, model, policy, objective
        self.finished = finished
        self.lexicon = candidates.lexicon_of(model)
        self.device, _ = forward.place_of(model)

    def start(self, samples: Sequence[TextSample], seed: int) -> tuple[list[Hunt], list[int]]:
        """A hunt for each sample, and the last exit's clean answers. Samples at full depth count as finished."""
        words = [edits.words_of(sample.texts) for sample in samples]
        encodings = self._encode([sample.texts for sample in samples], words)
        logits = self._full_depth(samples)
        hunts = [
            Hunt(
                sample,
                words[row],
                [
                    n
                    for n, word in enumerate(words[row])
                    if edits.replaceable(word.form) and encodings[row].positions[n]
                ],
                edits.allowance(len(words[row]), self.search.share, self.search.least),
                len(encodings[row].ids),
                Version((), depth, 0.0),
                random.Random(f"{seed}/{sample.index}"),
            )
            for row, (sample, depth) in enumerate(
                zip(samples, decide.replay(self.policy, logits).tolist(), strict=True)
            )
        ]
        for hunt in hunts:
            if hunt.clean.depth == self.model.num_exits:
                self.finished(hunt.clean.depth, hunt.clean.depth)
        return hunts, logits[:, -1].argmax(-1).tolist()

    def answers(self, samples: Sequence[TextSample]) -> list[int]:
        """The last exit's answers."""
        return self._full_depth(samples)[:, -1].argmax(-1).tolist()

    def round(self, hunts: list[Hunt]) -> None:
        """Propose for all, run what was proposed in waves, and move every beam on."""
        guided = self.search.candidates == "gradient"
        ranked = self._by_gradient(hunts) if guided else self._at_random(hunts)
        for hunt, proposals in zip(hunts, ranked, strict=True):
            hunt.propose(proposals, self.search.max_queries)
        size = self.search.wave
        while asked := [(hunt, edit) for hunt in hunts for edit in self._next(hunt, size)]:
            self._measure(asked)
            size *= 2
        for hunt in hunts:
            hunt.advance(self.search.beam)
            if hunt.best.depth == self.model.num_exits:
                self.finished(hunt.clean.depth, hunt.best.depth)

    def _next(self, hunt: Hunt, size: int) -> list[Edits]:
        return hunt.take(size) if hunt.best.depth < self.model.num_exits else []

    def _at_random(self, hunts: list[Hunt]) -> list[list[Edits]]:
        ranked = []
        for hunt in hunts:
            drawn = [
                edit
                for version in hunt.beam
                for edit in candidates.at_random(hunt, version, self.lexicon, self.search.shortlist)
            ]
            hunt.draw.shuffle(drawn)
            ranked.append(drawn)
        return ranked

    def _by_gradient(self, hunts: list[Hunt]) -> list[list[Edits]]:
        """For each hunt its beam's candidates, by the loss they promise to first order."""
        ranked: dict[int, list[tuple[float, Edits]]] = {id(hunt): [] for hunt in hunts}
        asked = [(hunt, version) for hunt in hunts for version in hunt.beam if hunt.free(version)]
        asked.sort(key=lambda pair: pair[0].tokens)
        for part in _parts(asked, self.search.batch_size):
            samples = [_sample(hunt, version.edits) for hunt, version in part]
            batch = self.model.collate(samples).to(self.device)
            embeds = self.lexicon.embeddings[batch.inputs["input_ids"]]  # (b, T, d)
            batch = batch.with_inputs(inputs_embeds=embeds)
            loss, _, slope = forward.gradient(self.model, self.policy, self.objective, batch, "inputs_embeds")
            encodings = self._encode([s.texts for s in samples], [edits.words_of(s.texts) for s in samples])
            for row, (hunt, version) in enumerate(part):
                hunt.queries += 1
                real = batch.inputs["attention_mask"][row].bool()
                own = candidates.first_order(
                    hunt,
                    version,
                    self.lexicon,
                    encodings[row],
                    embeds[row, real],
                    slope[row, real],
                    self.search.shortlist,
                )
                ranked[id(hunt)] += [(float(loss[row]) + change, edit) for change, edit in own]
        return [[edit for _, edit in sorted(ranked[id(hunt)])] for hunt in hunts]

    def _measure(self, asked: list[tuple[Hunt, Edits]]) -> None:
        """Run candidates with early exit on: what leaves costs nothing more."""
        asked.sort(key=lambda pair: pair[0].tokens)
        for part in _parts(asked, self.search.batch_size):
            batch = self.model.collate([_sample(hunt, edit) for hunt, edit in part]).to(self.device)
            with torch.no_grad():
                logits, depth = decide.live(self.policy, self.model, batch)
            doubt = 1 - logits.float().softmax(-1).amax(-1)
            for (hunt, edit), deep, unsure in zip(part, depth.tolist(), doubt.tolist(), strict=True):
                hunt.record(Version(edit, deep, unsure))

    def _encode(self, texts: list[tuple[str, ...]], words: list[list[edits.Word]]) -> list[vocabulary.Encoding]:
        return vocabulary.encode(self.lexicon.tokenizer, texts, words, self.lexicon.max_length)

    def _full_depth(self, samples: Sequence[TextSample]) -> torch.Tensor:
        """Logits (n, E, C), in the order of the samples."""
        order = sorted(range(len(samples)), key=lambda row: sum(map(len, samples[row].texts)))
        rows: dict[int, torch.Tensor] = {}
        for part in _parts(order, self.search.batch_size):
            with torch.no_grad():
                logits = forward.all_exits(self.model, self.model.collate([samples[n] for n in part]).to(self.device))
            rows |= dict(zip(part, logits, strict=True))
        return torch.stack([rows[row] for row in range(len(samples))])


def _sample(hunt: Hunt, edit: Edits) -> TextSample:
    return TextSample(hunt.sample.index, hunt.sample.label, hunt.texts(edit))


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
