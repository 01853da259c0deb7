"""Many texts hunted together: many samples and beam versions in each forward and each backward."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from benchmark.attacks import forward
from benchmark.attacks.words import candidates, edits, vocabulary
from benchmark.attacks.words.beam import Edits, Hunt, Version
from benchmark.attacks.words.candidates import Promise, View
from benchmark.policies import base as decide
from benchmark.types import EarlyExitModel, Finished, Objective, Policy, TextSample

T = TypeVar("T")


class Settings(Protocol):
    """What a word search is asked for; see `searches.words.WordSearch`."""

    @property
    def candidates(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def keep(self) -> str: ...
    @property
    def neighbours(self) -> int: ...
    @property
    def cosine(self) -> float: ...
    @property
    def keep_answer(self) -> bool: ...
    @property
    def shortlist(self) -> int: ...
    @property
    def spread(self) -> int: ...
    @property
    def beam(self) -> int: ...
    @property
    def rounds(self) -> int: ...
    @property
    def share(self) -> float: ...
    @property
    def least(self) -> int: ...
    @property
    def max_queries(self) -> int | None: ...
    @property
    def wave(self) -> int: ...
    @property
    def batch_size(self) -> int: ...


class Party:
    """All samples of one run, searched together on one model."""

    def __init__(
        self, search: Settings, model: EarlyExitModel, policy: Policy, objective: Objective, finished: Finished
    ) -> None:
        self.search, self.model, self.policy, self.objective = search, model, policy, objective
        self.finished = finished
        self.lexicon = candidates.lexicon_of(model)
        self.device, _ = forward.place_of(model)

    def start(self, samples: Sequence[TextSample], seed: int) -> list[Hunt]:
        """A hunt for each sample. Samples with nothing left to win count as finished."""
        words = [edits.words_of(sample.texts) for sample in samples]
        encodings = self.encode([sample.texts for sample in samples], words)
        yielded = self.full_depth(samples)
        answers = forward.answers_of(self.model, yielded)
        clean = self.judge([()] * len(samples), yielded, answers)
        hunts = []
        for row, sample in enumerate(samples):
            spots = [
                n for n, word in enumerate(words[row]) if edits.replaceable(word.form) and encodings[row].positions[n]
            ]
            hunts.append(
                Hunt(
                    sample,
                    words[row],
                    spots,
                    edits.allowance(len(words[row]), self.search.share, self.search.least),
                    len(encodings[row].ids),
                    clean[row],
                    random.Random(f"{seed}/{sample.index}"),
                    int(answers[row]),
                    self._near(encodings[row], spots),
                )
            )
        for hunt in hunts:
            if hunt.clean.won:
                self.finished(hunt.clean.depth, hunt.clean.depth)
        return hunts

    def answers(self, samples: Sequence[TextSample]) -> list[int]:
        """The last exit's answers."""
        return forward.answers_of(self.model, self.full_depth(samples)).tolist()

    def round(self, hunts: list[Hunt]) -> None:
        """Propose for all, run what was proposed in waves, and move every beam on."""
        guided = self.search.candidates == "gradient"
        ranked = self._by_gradient(hunts) if guided else [self._at_random(hunt) for hunt in hunts]
        for hunt, proposals in zip(hunts, ranked, strict=True):
            hunt.propose(proposals, self.search.max_queries)
        size = self.search.wave
        while asked := [(hunt, edit) for hunt in hunts for edit in hunt.take(size)]:
            self.measure(asked)
            size *= 2
        for hunt in hunts:
            hunt.advance(self.search.beam)
            if hunt.best.won:
                self.finished(hunt.clean.depth, hunt.best.depth)

    def _near(self, encoding: vocabulary.Encoding, spots: list[int]) -> dict[int, list[int]] | None:
        if not self.search.neighbours:
            return None
        if not spots:
            return {}
        ids = torch.tensor(encoding.ids, device=self.lexicon.embeddings.device)
        vectors = [self.lexicon.embeddings[ids[encoding.positions[spot]]].mean(0) for spot in spots]
        near = candidates.neighbours(self.lexicon, torch.stack(vectors), self.search.neighbours, self.search.cosine)
        return dict(zip(spots, near, strict=True))

    def _at_random(self, hunt: Hunt) -> list[Edits]:
        level, size = self.search.level, self.search.shortlist
        drawn = [
            edit for version in hunt.beam for edit in candidates.at_random(hunt, version, self.lexicon, level, size)
        ]
        hunt.draw.shuffle(drawn)
        return drawn

    def _by_gradient(self, hunts: list[Hunt]) -> list[list[Edits]]:
        """For each hunt its beam's candidates, by the loss they promise to first order."""
        ranked: dict[int, tuple[list[Promise], list[Promise]]] = {id(hunt): ([], []) for hunt in hunts}
        asked = [(hunt, version) for hunt in hunts for version in hunt.beam if hunt.free(version)]
        if self.search.max_queries is not None:  # a gradient costs a query as well
            asked = [pair for pair in asked if pair[0].queries < self.search.max_queries]
        asked.sort(key=lambda pair: pair[0].tokens)
        level, size, spread = self.search.level, self.search.shortlist, self.search.spread
        for part in parts(asked, self.search.batch_size):
            for (hunt, version), view in zip(part, self.views(part), strict=True):
                hunt.queries += 1
                for all_, own in zip(
                    ranked[id(hunt)],
                    candidates.guided(hunt, version, self.lexicon, view, level, size, spread),
                    strict=True,
                ):
                    all_ += own
        return [_in_order(*ranked[id(hunt)]) for hunt in hunts]

    def views(self, asked: Sequence[tuple[Hunt, Version]]) -> list[View]:
        """One forward and backward for some versions: what it says of each."""
        samples = [hunt.edited(version.edits) for hunt, version in asked]
        batch = self.model.collate(samples).to(self.device)
        embeds = self.lexicon.embeddings[batch.inputs["input_ids"]]  # (b, T, d)
        batch = batch.with_inputs(inputs_embeds=embeds)
        answers = torch.tensor([hunt.answer for hunt, _ in asked], device=self.device)
        loss, _, slope = forward.gradient(self.model, self.policy, self.objective, batch, "inputs_embeds", answers)
        encodings = self.encode([s.texts for s in samples], [edits.words_of(s.texts) for s in samples])
        real = batch.inputs["attention_mask"].bool()
        return [
            View(encodings[row], embeds[row, real[row]], slope[row, real[row]], float(loss[row]))
            for row in range(len(samples))
        ]

    def measure(self, asked: list[tuple[Hunt, Edits]]) -> None:
        """Run candidates, those of one length together. Where only the depth counts, what leaves costs no more."""
        asked.sort(key=lambda pair: pair[0].tokens)
        whole = self.search.keep == "loss" or self.search.keep_answer
        for part in parts(asked, self.search.batch_size):
            samples = [hunt.edited(edit) for hunt, edit in part]
            if whole:
                answers = torch.tensor([hunt.answer for hunt, _ in part], device=self.device)
                versions = self.judge([edit for _, edit in part], self.full_depth(samples), answers)
            else:
                versions = self._run_early([edit for _, edit in part], samples)
            for (hunt, _), version in zip(part, versions, strict=True):
                hunt.record(version)

    def _run_early(self, made: Sequence[Edits], samples: Sequence[TextSample]) -> list[Version]:
        with torch.no_grad():
            logits, depth = decide.live(self.policy, self.model, self.model.collate(samples).to(self.device))
        doubt = 1 - logits.float().softmax(-1).amax(-1)
        full = self.model.num_exits
        return [
            Version(edit, deep, deep, unsure, won=deep == full)
            for edit, deep, unsure in zip(made, depth.tolist(), doubt.tolist(), strict=True)
        ]

    def judge(self, made: Sequence[Edits], yielded: Tensor, answers: Tensor) -> list[Version]:
        """Versions that were run to full depth, worth what the search keeps for; `answers` (b,) of the clean texts."""
        loss, depth = forward.losses(self.model, self.policy, self.objective, yielded, answers)
        flipped = forward.answers_of(self.model, yielded) != answers
        rows = torch.arange(len(made), device=yielded.device)
        confidence = forward.logits_of(self.model, yielded)[rows, depth - 1].softmax(-1).amax(-1)
        for_loss = self.search.keep == "loss"
        won = flipped if for_loss else depth == self.model.num_exits
        allowed = ~flipped if self.search.keep_answer else torch.ones_like(flipped)
        worth = -loss if for_loss else depth
        columns = (depth.tolist(), worth.tolist(), (1 - confidence).tolist(), won.tolist(), allowed.tolist())
        return [Version(edit, *row) for edit, *row in zip(made, *columns, strict=True)]

    def encode(self, texts: list[tuple[str, ...]], words: list[list[edits.Word]]) -> list[vocabulary.Encoding]:
        """Tokens, and which of them each word became."""
        return vocabulary.encode(self.lexicon.tokenizer, texts, words, self.lexicon.max_length)

    def full_depth(self, samples: Sequence[TextSample]) -> Tensor:
        """What all exits yield (n, E, …), in the order of the samples."""
        order = sorted(range(len(samples)), key=lambda row: sum(map(len, samples[row].texts)))
        rows: dict[int, Tensor] = {}
        for part in parts(order, self.search.batch_size):
            batch = self.model.collate([samples[n] for n in part]).to(self.device)
            with torch.no_grad():
                rows |= dict(zip(part, forward.all_exits(self.model, batch), strict=True))
        return torch.stack([rows[row] for row in range(len(samples))])


def _in_order(words: list[Promise], letters: list[Promise]) -> list[Edits]:
    """Each by promised loss; misspellings, which promise no more than their text's own, take turns with words."""
    by_loss = [[edit for _, edit in sorted(part, key=lambda promise: promise[0])] for part in (words, letters)]
    return [edit for pair in zip_longest(*by_loss) for edit in pair if edit is not None]


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Items in slices of `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
