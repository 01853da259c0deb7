"""Texts as they come: batches by length, own tokens as costs, cut texts counted, and tokenizers that do not fit."""

from __future__ import annotations

import random

import pytest
import torch
from attack_doubles import TEXTS
from small_encoders import backbone, encoder, pairs, tokenizer

from benchmark.cost import macs
from benchmark.models.multi_exit_bert import MultiExitBert
from benchmark.run.trace import full_depth, order_by_size, trace
from benchmark.types import ExitbenchError, TextSample
from benchmark.utils.identity import content_hash, model_identity


def mixed(count: int = 30) -> list[TextSample]:
    """Pairs from two tokens to more than a model takes, in no order."""
    draw = random.Random(0)
    words = " ".join(TEXTS).split()
    texts = [" ".join(draw.choices(words, k=draw.randint(0, 24))) for _ in range(count)]
    return [TextSample(n, n % 3, (text, text[: n * 2])) for n, text in enumerate(texts)]


def test_a_trace_is_in_the_samples_order_whatever_batches_it_came_in():
    model, samples = encoder("bert"), mixed()
    traced = trace(model, samples, batch_size=4)
    with torch.no_grad():
        for row, sample in enumerate(samples):
            alone = model.collate([sample])
            torch.testing.assert_close(traced.logits[row], full_depth(model, alone)[0], atol=2e-5, rtol=1e-4)
            assert traced.lengths[row] == alone.lengths[0], "a cost is that of the sample's own tokens"
    assert traced.labels.tolist() == [sample.label for sample in samples]


def test_batches_hold_texts_of_like_length():
    model, samples = encoder("bert"), mixed(60)

    def padding(order: list[int]) -> float:
        batches = [model.collate([samples[row] for row in order[start : start + 6]]) for start in range(0, 60, 6)]
        return sum(float(batch.inputs["attention_mask"].eq(0).sum()) for batch in batches)

    assert padding(order_by_size(samples)) < padding(list(range(60))) / 3


def test_cut_texts_are_counted_and_cost_what_is_left_of_them():
    model, samples = encoder("bert", max_length=16), mixed()
    whole = model.tokenizer(*map(list, zip(*(sample.texts for sample in samples), strict=True)))["input_ids"]
    cut = sum(len(ids) > 16 for ids in whole)
    assert 0 < cut < len(samples)
    traced = trace(model, samples, batch_size=4)
    assert traced.truncated == cut
    assert traced.lengths.tolist() == [min(16, len(ids)) for ids in whole]
    table = macs.table(macs.cost(model, traced.lengths.tolist()), traced.lengths)
    assert tuple(table[0].int().tolist()) == macs.count(model, int(traced.lengths[0]))


def test_a_text_at_the_limit_is_not_cut():
    text = " ".join(["film"] * 14)  # and two special tokens
    model = encoder("bert", max_length=16)
    assert model.collate([TextSample(0, 0, (text,))]).truncated == 0
    assert model.collate([TextSample(0, 0, (f"{text} film",))]).truncated == 1


def test_singles_and_pairs_in_one_batch_are_refused():
    with pytest.raises(ExitbenchError, match="expected one text or two in every sample"):
        encoder("bert").collate([*pairs(1), TextSample(1, 0, ("film",))])


def test_a_tokenizer_of_another_model_is_refused():
    more = [f"word{n}" for n in range(60)]
    with pytest.raises(ExitbenchError, match=r"model.tokenizer: expected ids below 100, .* got 1\d\d; it is another"):
        MultiExitBert(backbone("bert"), tokenizer(more=more), 2, (1,), max_length=32)
    words = tokenizer()
    words.pad_token = None
    with pytest.raises(ExitbenchError, match=r"model.tokenizer: expected one with a padding token"):
        MultiExitBert(backbone("bert"), words, 2, (1,), max_length=32)


@pytest.mark.parametrize(("family", "longest"), [("bert", 40), ("roberta", 38), ("albert", 40), ("distilbert", 40)])
def test_texts_may_be_as_long_as_there_are_positions(family, longest):
    model = encoder(family, max_length=longest)
    batch = model.collate([TextSample(0, 0, (" ".join(["film"] * 60),))])
    assert batch.lengths.tolist() == [longest]
    with torch.no_grad():
        assert torch.isfinite(full_depth(model, batch)).all()
    with pytest.raises(ExitbenchError, match=rf"model.max_length: expected 3 … {longest} tokens, .* got {longest + 1}"):
        encoder(family, max_length=longest + 1)


@pytest.mark.parametrize("layers", [(), (2, 1), (1, 1), (0, 1), (1, 4)], ids=str)
def test_layers_that_are_not_there_are_refused(layers):
    with pytest.raises(ExitbenchError, match=r"model.layers: expected growing layers within 1 … 3"):
        encoder("bert", layers=layers)


def test_models_that_answer_differently_from_one_checkpoint_have_their_own_cache_keys():
    changes = [{}, {"pooling": "cls"}, {"layers": (1, 2)}, {"layers": (1, 3)}, {"layers": (2, 3)}, {"max_length": 16}]
    models = [encoder("bert", **changed) for changed in changes]
    for model in models:
        model.weights_hash = "one checkpoint"
    keys = [content_hash(model_identity(model)) for model in models]
    assert len(set(keys)) == len(changes)
    assert "settings" not in model_identity(models[0]), "keys of the packaged models are those of before"
