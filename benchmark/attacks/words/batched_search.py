"""Beam search on many texts at once: candidates of many samples share each forward and each backward pass."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from benchmark.attacks import forward
from benchmark.attacks.words import candidates, edits, vocabulary
from benchmark.attacks.words.candidates import ScoredEdits, VersionGradient
from benchmark.attacks.words.search_state import Edits, SearchState, Version
from benchmark.policies import replay as exit_depths
from benchmark.types import EarlyExitModel, Finished, Objective, Policy, TextSample

T = TypeVar("T")


class WordSearchSettings(Protocol):
    """Settings of a word search; `words.search.WordSearch` documents them."""

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


class BatchedSearch:
    """One model, rule and objective, and the steps of a search on many samples at once."""

    def __init__(
        self,
        search: WordSearchSettings,
        model: EarlyExitModel,
        policy: Policy,
        objective: Objective,
        finished: Finished,
    ) -> None:
        self.search, self.model, self.policy, self.objective = search, model, policy, objective
        self.finished = finished
        self.lexicon = candidates.lexicon_of(model)
        self.device, _ = forward.device_and_dtype(model)

    def start(self, samples: Sequence[TextSample], seed: int) -> list[SearchState]:
        """A state for each sample. Samples already at full depth are reported as finished."""
        words = [edits.words_of(sample.texts) for sample in samples]
        encodings = self.encode([sample.texts for sample in samples], words)
        outputs = self.run_to_full_depth(samples)
        answers = forward.answers_of(self.model, outputs)
        clean = self.evaluate([()] * len(samples), outputs, answers)
        states = []
        for row, sample in enumerate(samples):
            encoding = encodings[row]
            positions = [
                n for n, word in enumerate(words[row]) if edits.replaceable(word.form) and encoding.word_tokens[n]
            ]
            states.append(
                SearchState(
                    sample,
                    words[row],
                    positions,
                    edits.max_changed_words(len(words[row]), self.search.share, self.search.least),
                    len(encoding.ids),
                    clean[row],
                    random.Random(f"{seed}/{sample.index}"),
                    int(answers[row]),
                    self._nearest(encoding, positions),
                )
            )
        for state in states:
            if state.clean.success:
                self.finished(state.clean.depth, state.clean.depth)
        return states

    def answers(self, samples: Sequence[TextSample]) -> list[int]:
        """The last exit's answers."""
        return forward.answers_of(self.model, self.run_to_full_depth(samples)).tolist()

    def round(self, states: list[SearchState]) -> None:
        """One round: propose candidates for all samples, run them in growing batches, and advance every beam."""
        by_gradient = self.search.candidates == "gradient"
        ranked = self._by_gradient(states) if by_gradient else [self._at_random(state) for state in states]
        for state, proposals in zip(states, ranked, strict=True):
            state.propose(proposals, self.search.max_queries)
        size = self.search.wave
        while requests := [(state, edit) for state in states for edit in state.next_candidates(size)]:
            self.run_candidates(requests)
            size *= 2
        for state in states:
            state.advance(self.search.beam)
            if state.best.success:
                self.finished(state.clean.depth, state.best.depth)

    def _nearest(self, encoding: vocabulary.Encoding, positions: list[int]) -> dict[int, list[int]] | None:
        if not self.search.neighbours:
            return None
        if not positions:
            return {}
        ids = torch.tensor(encoding.ids, device=self.lexicon.embeddings.device)
        vectors = [self.lexicon.embeddings[ids[encoding.word_tokens[position]]].mean(0) for position in positions]
        near = candidates.nearest_words(self.lexicon, torch.stack(vectors), self.search.neighbours, self.search.cosine)
        return dict(zip(positions, near, strict=True))

    def _at_random(self, state: SearchState) -> list[Edits]:
        level, size = self.search.level, self.search.shortlist
        drawn = [
            edit
            for version in state.beam
            for edit in candidates.random_candidates(state, version, self.lexicon, level, size)
        ]
        state.rng.shuffle(drawn)
        return drawn

    def _by_gradient(self, states: list[SearchState]) -> list[list[Edits]]:
        """For each state the candidates of its beam, ranked by expected loss to first order."""
        ranked: dict[int, tuple[list[ScoredEdits], list[ScoredEdits]]] = {id(state): ([], []) for state in states}
        requests = [(state, version) for state in states for version in state.beam if state.open_positions(version)]
        if self.search.max_queries is not None:  # a gradient costs a query as well
            requests = [pair for pair in requests if pair[0].queries < self.search.max_queries]
        requests.sort(key=lambda pair: pair[0].tokens)
        level, size, spread = self.search.level, self.search.shortlist, self.search.spread
        for chunk in chunks(requests, self.search.batch_size):
            for (state, version), result in zip(chunk, self.gradients(chunk), strict=True):
                state.queries += 1
                words, letters = candidates.gradient_candidates(
                    state, version, self.lexicon, result, level, size, spread
                )
                ranked[id(state)][0].extend(words)
                ranked[id(state)][1].extend(letters)
        return [_merged(*ranked[id(state)]) for state in states]

    def gradients(self, requests: Sequence[tuple[SearchState, Version]]) -> list[VersionGradient]:
        """One forward and one backward pass for several versions."""
        samples = [state.edited(version.edits) for state, version in requests]
        batch = self.model.collate(samples).to(self.device)
        embeddings = self.lexicon.embeddings[batch.inputs["input_ids"]]  # (b, T, d)
        batch = batch.with_inputs(inputs_embeds=embeddings)
        answers = torch.tensor([state.answer for state, _ in requests], device=self.device)
        loss, _, gradient = forward.gradient(self.model, self.policy, self.objective, batch, "inputs_embeds", answers)
        encodings = self.encode([s.texts for s in samples], [edits.words_of(s.texts) for s in samples])
        real = batch.inputs["attention_mask"].bool()
        return [
            VersionGradient(encodings[row], embeddings[row, real[row]], gradient[row, real[row]], float(loss[row]))
            for row in range(len(samples))
        ]

    def run_candidates(self, requests: list[tuple[SearchState, Edits]]) -> None:
        """Run candidates in batches of similar length; with early exit if only the depth is needed."""
        requests.sort(key=lambda pair: pair[0].tokens)
        needs_all_exits = self.search.keep == "loss" or self.search.keep_answer
        for chunk in chunks(requests, self.search.batch_size):
            samples = [state.edited(edit) for state, edit in chunk]
            if needs_all_exits:
                answers = torch.tensor([state.answer for state, _ in chunk], device=self.device)
                versions = self.evaluate([edit for _, edit in chunk], self.run_to_full_depth(samples), answers)
            else:
                versions = self._run_with_early_exit([edit for _, edit in chunk], samples)
            for (state, _), version in zip(chunk, versions, strict=True):
                state.record(version)

    def _run_with_early_exit(self, edited: Sequence[Edits], samples: Sequence[TextSample]) -> list[Version]:
        with torch.no_grad():
            logits, depths = exit_depths.live(self.policy, self.model, self.model.collate(samples).to(self.device))
        uncertainty = 1 - logits.float().softmax(-1).amax(-1)
        full = self.model.num_exits
        return [
            Version(edit, depth, depth, unsure, success=depth == full)
            for edit, depth, unsure in zip(edited, depths.tolist(), uncertainty.tolist(), strict=True)
        ]

    def evaluate(self, edited: Sequence[Edits], outputs: Tensor, answers: Tensor) -> list[Version]:
        """Versions from the outputs of all exits (b, E, …); `answers` (b,) are the last exit's on the clean texts."""
        loss, depth = forward.losses(self.model, self.policy, self.objective, outputs, answers)
        flipped = forward.answers_of(self.model, outputs) != answers
        rows = torch.arange(len(edited), device=outputs.device)
        confidence = forward.logits_of(self.model, outputs)[rows, depth - 1].softmax(-1).amax(-1)
        by_loss = self.search.keep == "loss"
        success = flipped if by_loss else depth == self.model.num_exits
        valid = ~flipped if self.search.keep_answer else torch.ones_like(flipped)
        score = -loss if by_loss else depth
        columns = (depth.tolist(), score.tolist(), (1 - confidence).tolist(), success.tolist(), valid.tolist())
        return [Version(edit, *row) for edit, *row in zip(edited, *columns, strict=True)]

    def encode(self, texts: list[tuple[str, ...]], words: list[list[edits.Word]]) -> list[vocabulary.Encoding]:
        """The tokens of each sample, and which of them belong to each word."""
        return vocabulary.encode(self.lexicon.tokenizer, texts, words, self.lexicon.max_length)

    def run_to_full_depth(self, samples: Sequence[TextSample]) -> Tensor:
        """Outputs of all exits (n, E, …), in the order of the samples."""
        order = sorted(range(len(samples)), key=lambda row: sum(map(len, samples[row].texts)))
        rows: dict[int, Tensor] = {}
        for chunk in chunks(order, self.search.batch_size):
            batch = self.model.collate([samples[n] for n in chunk]).to(self.device)
            with torch.no_grad():
                rows |= dict(zip(chunk, forward.all_exits(self.model, batch), strict=True))
        return torch.stack([rows[row] for row in range(len(samples))])


def _merged(words: list[ScoredEdits], letters: list[ScoredEdits]) -> list[Edits]:
    """Words and misspellings in turns, each by expected loss: a misspelling only has its text's own loss to rank by."""
    by_loss = [[edit for _, edit in sorted(part, key=lambda scored: scored[0])] for part in (words, letters)]
    return [edit for pair in zip_longest(*by_loss) for edit in pair if edit is not None]


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Items in slices of `size`, like `itertools.batched`, which Python 3.11 lacks."""
    return (items[start : start + size] for start in range(0, len(items), size))
