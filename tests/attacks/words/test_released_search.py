"""The released search against ours: equal where they should be, and every quirk of the release is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from attack_doubles import halfway, reader

from benchmark.attacks import objectives
from benchmark.attacks.words import candidates, vocabulary
from benchmark.attacks.words.edits import words_of
from benchmark.attacks.words.released_search import WordTableGradient, _search
from benchmark.attacks.words.search import WordSearch
from benchmark.attacks.words.search_state import Edits, SearchState, Version, add
from benchmark.policies.entropy import Entropy
from benchmark.types import ExitbenchError, Perturbed, Policy, TextSample

MODEL = reader()
# Lower case, each word once and one token: the released search supports no other words.
PLAIN = [
    TextSample(0, 0, ("the bright actor lost silly plot",)),
    TextSample(1, 1, ("a cold doctor wrote music and sang",)),
    TextSample(2, 0, ("green river told dull story",)),
]


def searched(samples: Sequence[TextSample], policy: Policy, **arguments: object) -> Perturbed:
    settings = {"shortlist": 400, "beam": 1, "rounds": 1, "wave": 400, "spread": 0, **arguments}
    return WordSearch(**settings).run(MODEL, policy, objectives.same, samples, 0)  # type: ignore[arg-type]


def depths(result: Perturbed) -> list[float]:
    return result.facts["depth_after"]


def tried(samples: Sequence[TextSample], **arguments: object) -> dict[int, set[Edits]]:
    """By sample index, the edits that a search runs."""
    tried_edits: dict[int, set[Edits]] = {}
    edited = SearchState.edited

    def watched(state: SearchState, edits: Edits) -> TextSample:
        if edits:
            tried_edits.setdefault(state.sample.index, set()).add(edits)
        return edited(state, edits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchState, "edited", watched)
        searched(samples, Entropy(10.0), **arguments)
    return tried_edits


def test_one_text_and_one_round_give_the_same_text():
    """Nothing is added up yet, and the first of the deepest candidates is the best for both."""
    policy, deeper = halfway(MODEL, PLAIN), 0
    for sample in PLAIN:
        faithful, ours = (searched([sample], policy, faithful=flag) for flag in (True, False))
        assert tried([sample], faithful=True, shortlist=9) == tried([sample], faithful=False, shortlist=9)
        if depths(ours)[0] > ours.facts["depth_before"][0]:
            assert faithful.samples == ours.samples
            assert depths(faithful) == depths(ours)
            deeper += 1
    assert deeper


def test_gradients_add_up_over_texts_and_ours_do_not():
    """What is tried for a text depends on the company before it, and only as released."""
    second = TextSample(1, 1, ("silly plot lost the bright actor",))
    for faithful in (True, False):
        together = tried([PLAIN[0], second], faithful=faithful, shortlist=5)
        alone = tried([second], faithful=faithful, shortlist=5)
        assert (together[1] != alone[1]) == faithful


def test_the_table_s_gradient_is_the_sum_of_what_it_saw():
    first, second = (
        candidates.VersionGradient(vocabulary.Encoding(ids, []), torch.zeros(2, 3), torch.full((2, 3), value))
        for ids, value in (([7, 8], 1.0), ([8, 8], 2.0))
    )
    gradient = WordTableGradient()
    assert gradient.add(first).gradient[:, 0].tolist() == [1, 1]
    assert gradient.add(second).gradient[:, 0].tolist() == [5, 5]


class Scripted:
    """A batched search whose candidates reach given depths, one list per round."""

    lexicon = None
    search = SimpleNamespace(rounds=3, shortlist=2, level="word", batch_size=8, beam=1)

    def __init__(self, rounds: list[list[int]]) -> None:
        self.rounds = iter(rounds)

    def gradients(self, requests: Sequence[object]) -> list[candidates.VersionGradient]:
        return [candidates.VersionGradient(vocabulary.Encoding([0], []), torch.zeros(1, 2), torch.zeros(1, 2))]

    def run_to_full_depth(self, samples: Sequence[TextSample]) -> None:
        return None

    def evaluate(self, result: Sequence[Edits], outputs: None, answers: torch.Tensor) -> list[Version]:
        return [Version(edits, depth, depth) for edits, depth in zip(result, next(self.rounds), strict=True)]


def test_the_answer_is_the_best_of_the_last_round_only(monkeypatch: pytest.MonkeyPatch):
    state = SearchState(PLAIN[0], words_of(PLAIN[0].texts), [1, 2, 3], 3, 8, Version((), 2, 2), None)  # type: ignore[arg-type]
    tries = iter([(1, "a"), (1, "b"), (2, "c"), (2, "d"), (3, "e"), (3, "f")])
    monkeypatch.setattr(
        candidates,
        "gradient_candidates",
        lambda state, version, *_: ([(0.0, add(version.edits, *next(tries))) for _ in "12"], []),
    )
    _search(Scripted([[3, 1], [1, 3], [1, 1]]), state, WordTableGradient())  # type: ignore[arg-type]
    assert state.best.depth == 1 < state.clean.depth
    assert dict(state.best.edits) == {1: "a", 2: "d", 3: "e"}
    assert state.queries == 1 + 3 * 3
    ours = replace(state, queries=1)
    for depth in (3, 1):
        ours.record(Version(((1, "a"),), depth, depth))
    assert ours.best.depth == 3


def test_the_released_search_continues_after_success():
    policy = halfway(MODEL, PLAIN)
    faithful, ours = (searched(PLAIN, policy, faithful=flag, rounds=3, shortlist=40, wave=8) for flag in (True, False))
    successes = [n for n, depth in enumerate(depths(ours)) if depth == 4 > ours.facts["depth_before"][n]]
    assert successes
    assert all(faithful.facts["queries"][n] > 2 * ours.facts["queries"][n] for n in successes)


def test_words_of_several_tokens_and_capitals_are_left_to_ours():
    sample = TextSample(0, 0, ("The HERO Awful playfulness",))
    faithful, ours = (searched([sample], Entropy(10.0), faithful=flag) for flag in (True, False))
    assert faithful.facts["queries"] == [1.0]
    assert faithful.facts["nothing_to_change"] == [1.0]
    assert ours.facts["queries"][0] > 1


def test_characters_are_searched_as_released_too():
    result = searched(PLAIN, halfway(MODEL, PLAIN), faithful=True, level="character", rounds=2, beam=2, shortlist=20)
    assert sum(result.facts["changed"]) > 0


@pytest.mark.parametrize(
    "field", [{"candidates": "random"}, {"keep": "loss"}, {"keep_answer": True}, {"neighbours": 3}, {"max_queries": 9}]
)
def test_what_the_release_cannot_do_is_refused(field: dict[str, object]):
    with pytest.raises(ExitbenchError, match=r"search\.\w+: expected .* with faithful"):
        WordSearch(faithful=True, **field)  # type: ignore[arg-type]


def test_no_gradient_is_left_on_the_model():
    searched(PLAIN, halfway(MODEL, PLAIN), faithful=True)
    assert all(parameter.grad is None for parameter in MODEL.parameters())
    assert torch.is_grad_enabled()
