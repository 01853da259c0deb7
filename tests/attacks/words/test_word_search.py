"""Word search: edit rules on the final texts, per-sample columns, settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from attack_doubles import TEXTS, halfway, reader, sentences, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.attacks import forward, objectives
from benchmark.attacks.words import candidates, edits, vocabulary
from benchmark.attacks.words.search import WordSearch
from benchmark.attacks.words.search_state import SearchState, Version
from benchmark.policies import replay as exit_depths
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.patience import Patience
from benchmark.types import ExitbenchError, Perturbed, Policy, TextSample

MODEL = reader()


def attacked(samples: Sequence[TextSample], seed: int = 0, **arguments: object) -> Perturbed:
    """A quick search on the small reader."""
    search = WordSearch(**{"shortlist": 12, "beam": 2, "rounds": 4} | arguments)  # type: ignore[arg-type]
    return search.run(MODEL, halfway(MODEL, samples), objectives.same, samples, seed)


def assert_rules(before: Sequence[TextSample], after: Sequence[TextSample], share: float, least: int) -> None:
    """The edit rules on the final texts, tokenised again; labels and indices unchanged."""
    for clean, perturbed in zip(before, after, strict=True):
        assert (clean.index, clean.label) == (perturbed.index, perturbed.label)
        assert edits.rule_violations(clean.texts, perturbed.texts, share, least) == []
        limit = edits.max_changed_words(len(edits.words_of(clean.texts)), share, least)
        assert changed_token_words(clean.texts, perturbed.texts) <= limit


def changed_token_words(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words differ by the tokenizer's own splitting, independent of the suite's word rule."""
    split = tokenizer().backend_tokenizer.pre_tokenizer.pre_tokenize_str
    return sum(
        old.casefold() != new.casefold()
        for texts in zip(before, after, strict=True)
        for (old, _), (new, _) in zip(*map(split, texts), strict=True)
    )


def depths(policy: Policy, samples: Sequence[TextSample]) -> list[float]:
    with torch.no_grad():
        return exit_depths.replay(policy, forward.all_exits(MODEL, MODEL.collate(samples))).double().tolist()


@settings(max_examples=12, deadline=None)
@given(
    share=st.floats(0, 1),
    least=st.integers(0, 4),
    pairs=st.booleans(),
    how=st.sampled_from(["gradient", "random"]),
    seed=st.integers(0, 9),
)
def test_rules_hold(share: float, least: int, pairs: bool, how: str, seed: int):
    samples = sentences(pairs)
    result = attacked(samples, seed, share=share, least=least, candidates=how)
    assert_rules(samples, result.samples, share, least)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("was", "river").replace("the", "river"),
        lambda text: re.sub("plot|silly|story|slow", "river", text),
        lambda text: text.replace(" ", "  ", 1),
        lambda text: text + " great",
    ],
    ids=["stop words", "too many", "between words", "one word more"],
)
def test_the_same_check_catches_a_broken_search(spoil):
    samples = sentences()
    broken = [replace(sample, texts=tuple(spoil(text) for text in sample.texts)) for sample in samples]
    with pytest.raises((AssertionError, ValueError)):
        assert_rules(samples, broken, share=0.1, least=3)


@pytest.mark.parametrize("pairs", [False, True])
def test_facts_are_true_and_never_shallower(pairs: bool):
    samples = sentences(pairs)
    policy = halfway(MODEL, samples)
    result = attacked(samples)
    assert result.facts["depth_before"] == depths(policy, samples)
    assert result.facts["depth_after"] == depths(policy, result.samples)
    assert all(
        after >= before for before, after in zip(*(depths(policy, s) for s in (samples, result.samples)), strict=True)
    )
    changed = [float(a.texts != b.texts) for a, b in zip(samples, result.samples, strict=True)]
    assert [float(n > 0) for n in result.facts["changed"]] == changed
    assert sum(result.facts["depth_after"]) > sum(result.facts["depth_before"])


def test_both_texts_of_a_pair_and_words_of_several_pieces_and_capitals_are_edited():
    samples = sentences(pairs=True)
    seen: set[tuple[int, str]] = set()
    for seed in range(4):
        policy = Entropy(10.0)  # always leaves: the search uses all its rounds
        edited = attacked_all(policy, samples, seed)
        seen |= edited
    assert {text for text, _ in seen} == {0, 1}
    assert {"playfulness", "HERO", "Awful"} <= {form for _, form in seen}


def attacked_all(policy: Policy, samples: Sequence[TextSample], seed: int) -> set[tuple[int, str]]:
    """(text, word) of every candidate edit that a random search runs."""
    tried: set[tuple[int, str]] = set()
    take = SearchState.next_candidates

    def watched(state: SearchState, size: int):
        taken = take(state, size)
        tried.update((state.words[position].text, state.words[position].form) for edit in taken for position, _ in edit)
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchState, "next_candidates", watched)
        search = WordSearch(candidates="random", shortlist=60, beam=1, rounds=1)
        search.run(MODEL, policy, objectives.same, samples, seed)
    return tried


def test_a_text_of_stop_words_is_left_alone_and_counted():
    samples = [TextSample(7, 1, ("It was the, and don't!",))]
    result = WordSearch().run(MODEL, Entropy(10.0), objectives.same, samples, 0)
    assert result.samples[0].texts == samples[0].texts
    assert result.facts["changed"] == [0.0]
    assert result.facts["queries"] == [1.0]


def test_texts_at_full_depth_cost_one_forward():
    result = WordSearch().run(MODEL, Entropy(0.0), objectives.same, sentences(), 0)
    assert result.facts["queries"] == [1.0] * len(TEXTS)


@pytest.mark.parametrize("how", ["gradient", "random"])
def test_the_query_budget_is_kept(how: str):
    result = attacked(sentences(), candidates=how, max_queries=15)
    assert max(result.facts["queries"]) <= 15


@pytest.mark.parametrize("how", ["gradient", "random"])
def test_a_seed_gives_one_result_and_a_sample_does_not_depend_on_its_company(how: str):
    samples = sentences()
    policy = halfway(MODEL, samples)
    search = WordSearch(candidates=how, shortlist=12, beam=2, rounds=2)
    together = search.run(MODEL, policy, objectives.same, samples, 5)
    alone = [search.run(MODEL, policy, objectives.same, [sample], 5) for sample in samples]
    assert list(together.samples) == [one.samples[0] for one in alone]
    assert together.facts["queries"] == [one.facts["queries"][0] for one in alone]


def test_first_order_scores_rank_as_the_loss_does_when_embeddings_hardly_differ():
    """On a table shrunk around its mean the first-order change is the true change, so the best candidate is known."""
    model = reader()
    with torch.no_grad():
        table = model.word_embeddings
        table.copy_(table.mean(0) + 1e-3 * (table - table.mean(0)))
    sample, policy = TextSample(0, 0, ("the bright actor lost",)), Entropy(10.0)
    words, lexicon = edits.words_of(sample.texts), candidates.lexicon_of(model)
    encoding = vocabulary.encode(lexicon.tokenizer, [sample.texts], [words], 32)[0]
    batch = model.collate([sample])
    batch = batch.with_inputs(inputs_embeds=lexicon.embeddings[batch.inputs["input_ids"]])
    loss, _, slope = forward.gradient(model, policy, objectives.uniform, batch, "inputs_embeds")
    state = SearchState(sample, words, [1, 2, 3], 3, 6, Version((), 1, 1), None)  # type: ignore[arg-type]
    view = candidates.VersionGradient(encoding, batch.inputs["inputs_embeds"][0], slope[0])
    ranked = candidates.word_substitutions(state, state.clean, lexicon, view, 1000)
    tried = [TextSample(0, 0, state.texts(edit)) for _, edit in ranked]
    with torch.no_grad():
        true = objectives.uniform(
            forward.all_exits(model, model.collate(tried)), torch.ones(len(tried), dtype=torch.long)
        )
    promised = torch.tensor([change for change, _ in ranked])
    assert float(torch.corrcoef(torch.stack([promised, true - loss]))[0, 1]) > 0.99
    assert all(parameter.grad is None for parameter in model.parameters())


def test_cut_off_words_are_never_changed():
    model = reader(max_length=8)
    samples = [TextSample(0, 0, ("great movie and bright actor wrote awful story about river stone window",))]
    result = WordSearch(least=12, candidates="random").run(model, Entropy(10.0), objectives.same, samples, 0)
    assert result.samples[0].texts[0].split()[6:] == samples[0].texts[0].split()[6:]


def test_a_cased_vocabulary_keeps_its_own_case():
    model = reader(lower_cased=False)
    samples = sentences()
    result = WordSearch(shortlist=12, beam=2).run(model, halfway(model, samples), objectives.same, samples, 0)
    assert [edits.rule_violations(a.texts, b.texts, 0.1, 3) for a, b in zip(samples, result.samples, strict=True)] == [
        []
    ] * 6


def test_a_model_without_embeddings_is_refused():
    class Blind:
        num_exits, kind = 4, "text"

    with pytest.raises(ExitbenchError, match=r"model: expected one with `tokenizer`"):
        WordSearch().run(Blind(), Entropy(1.0), objectives.same, sentences(), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("candidates", "best"),
        ("beam", 0),
        ("rounds", True),
        ("share", 1.5),
        ("least", -1),
        ("max_queries", 0),
        ("wave", 0),
    ],
)
def test_arguments_outside_their_range(field: str, value: object):
    with pytest.raises(ExitbenchError, match=rf"search\.{field}: expected .*, got "):
        WordSearch(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["character", "both"])
def test_misspelt_texts_keep_the_rules_and_go_deeper(level: str):
    samples = sentences()
    result = attacked(samples, level=level, shortlist=40)
    assert_rules(samples, result.samples, share=0.1, least=3)
    assert sum(result.facts["depth_after"]) > sum(result.facts["depth_before"])


def test_a_level_tries_its_own_kind_of_edit():
    known = set(vocabulary.whole_words(MODEL.tokenizer).forms)
    for level, kinds in (("word", {True}), ("character", {False}), ("both", {True, False})):
        tried = tried_forms(WordSearch(level=level, shortlist=30, beam=1, rounds=1))
        assert {form.casefold() in known for form in tried} == kinds


def tried_forms(search: WordSearch) -> set[str]:
    """The new words of every candidate that a search runs."""
    forms: set[str] = set()
    take = SearchState.next_candidates

    def watched(state: SearchState, size: int):
        taken = take(state, size)
        forms.update(form for edit in taken for _, form in edit)
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchState, "next_candidates", watched)
        search.run(MODEL, Entropy(10.0), objectives.same, sentences(), 0)
    return forms


def test_constrained_words_are_near_and_the_answer_stays():
    samples = sentences()
    result = attacked(samples, neighbours=6, cosine=0.05, keep_answer=True)
    assert_near(samples, result.samples, 6, 0.05)
    assert result.facts["prediction_kept"] == [1.0] * len(samples)
    assert sum(result.facts["changed"]) > 0


def assert_near(before: Sequence[TextSample], after: Sequence[TextSample], count: int, cosine: float) -> None:
    """Every new word is among the old one's nearest; checked word by word, by the definition."""
    lexicon = candidates.lexicon_of(MODEL)
    for clean, perturbed in zip(before, after, strict=True):
        for old, new in edits.changed_words(clean.texts, perturbed.texts):
            ids = MODEL.tokenizer(old, add_special_tokens=False)["input_ids"]
            closeness = torch.cosine_similarity(lexicon.embeddings[ids].mean(0)[None], lexicon.table)
            column = lexicon.vocabulary.column(new)
            assert closeness[column] >= cosine
            assert int((closeness > closeness[column]).sum()) < count


def test_the_same_check_catches_far_words():
    samples = sentences()
    with pytest.raises(AssertionError):
        assert_near(samples, attacked(samples).samples, 6, 0.05)


def test_the_guard_keeps_answers_that_would_flip():
    samples = sentences()
    free, guarded = (
        WordSearch(keep="loss", keep_answer=guard, shortlist=40, beam=2, rounds=3).run(
            MODEL, halfway(MODEL, samples), objectives.accuracy, samples, 0
        )
        for guard in (False, True)
    )
    assert sum(free.facts["prediction_kept"]) < len(samples)
    assert sum(guarded.facts["prediction_kept"]) == len(samples)


def test_an_attack_on_accuracy_flips_answers_and_stops_there():
    samples = sentences()
    search = WordSearch(keep="loss", shortlist=40, beam=2, rounds=4)
    result = search.run(MODEL, halfway(MODEL, samples), objectives.accuracy, samples, 0)
    flipped = [kept == 0 for kept in result.facts["prediction_kept"]]
    assert sum(flipped) >= 2
    for n, trail in enumerate(result.trails):
        assert trail[-1][1] == result.facts["depth_after"][n]
    more = replace(search, rounds=1).run(MODEL, halfway(MODEL, samples), objectives.accuracy, samples, 0)
    assert all(q >= r for q, r in zip(result.facts["queries"], more.facts["queries"], strict=True))


def test_trails_end_at_the_depth_found_within_the_queries_spent():
    result = attacked(sentences())
    columns = (result.facts[name] for name in ("depth_before", "depth_after", "queries"))
    for trail, before, after, queries in zip(result.trails, *columns, strict=True):
        assert trail[0] == (1, before)
        assert trail[-1][1] == after
        assert trail[-1][0] <= queries
        assert [depth for _, depth in trail] == sorted({depth for _, depth in trail})


@pytest.mark.parametrize("policy", [Patience(1), Patience(2), Confidence(0.6)], ids=["t1", "t2", "confidence"])
def test_every_rule_is_attacked_by_its_own_depth(policy: Policy):
    samples = sentences()
    search = WordSearch(shortlist=12, beam=2, rounds=3)
    result = search.run(MODEL, policy, objectives.same, samples, 0)
    assert result.facts["depth_before"] == depths(policy, samples)
    assert result.facts["depth_after"] == depths(policy, result.samples)
    assert sum(result.facts["depth_after"]) > sum(result.facts["depth_before"])


def test_several_words_share_a_shortlist():
    sample = TextSample(0, 0, ("the bright actor lost silly plot",))
    counts = []
    for spread in (0, 5):
        tried = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SearchState, "propose", lambda state, ranked, budget, tried=tried: tried.extend(ranked))
            search = WordSearch(shortlist=20, spread=spread, rounds=1)
            search.run(MODEL, Entropy(10.0), objectives.same, [sample], 0)
        by_word = [sum(position == place for ((position, _),) in tried) for place in range(6)]
        assert sum(by_word) == 20
        counts.append(max(by_word))
    assert counts[1] == 4 < counts[0]
