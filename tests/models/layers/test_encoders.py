"""Encoders taken apart: what the layers give one by one is what the library's own model gives, family by family."""

from __future__ import annotations

import pytest
import torch
from small_encoders import CONFIGS, backbone, encoder, pairs, tokenizer
from transformers import AutoModel, BertConfig, BertModel, XLNetConfig, XLNetModel

from benchmark.cost import macs
from benchmark.models.layers import encoders
from benchmark.models.layers.encoders import encoder_of
from benchmark.models.multi_exit_bert import build
from benchmark.run.trace import full_depth
from benchmark.types import ExitbenchError

every = pytest.mark.parametrize("family", CONFIGS)


def hidden_states(view, inputs):
    return view.output(view.run(view.embed(inputs), inputs["attention_mask"], 0, view.depth))


@every
@torch.no_grad()
def test_last_hidden_state_is_the_librarys_own(family):
    model = encoder(family)
    batch = model.collate(pairs())
    assert batch.lengths.min() < batch.lengths.max(), "some texts must be padded"
    known = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    types = {"token_type_ids": batch.inputs["token_type_ids"]} if model.encoder.token_types > 1 else {}
    wanted = model.backbone(**known, **types).last_hidden_state
    torch.testing.assert_close(hidden_states(model.encoder, batch.inputs), wanted, atol=1e-5, rtol=1e-5)


@every
@torch.no_grad()
def test_embeddings_given_are_the_words_looked_up(family):
    model = encoder(family, pooling="cls")
    batch = model.collate(pairs())
    embeds = model.word_embeddings[batch.inputs["input_ids"]]
    given = batch.with_inputs(inputs_embeds=embeds)
    alone = dict(given.inputs)
    del alone["input_ids"]
    wanted = full_depth(model, batch)
    torch.testing.assert_close(full_depth(model, given), wanted, atol=1e-6, rtol=1e-6)
    batch.inputs.clear()
    batch.inputs.update(alone)
    torch.testing.assert_close(full_depth(model, batch), wanted, atol=1e-6, rtol=1e-6)


@every
def test_gradients_reach_the_embeddings_of_words_only(family):
    model = encoder(family)
    batch = model.collate(pairs())
    leaf = model.word_embeddings.detach()[batch.inputs["input_ids"]].requires_grad_()
    (slope,) = torch.autograd.grad(full_depth(model, batch.with_inputs(inputs_embeds=leaf)).square().sum(), leaf)
    real = batch.inputs["attention_mask"].bool()
    assert (slope[real].abs().sum(-1) > 0).all()
    assert (slope[~real] == 0).all(), "padding must not matter"


@every
@torch.no_grad()
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_compaction_and_padding_change_nothing(family, pooling):
    model = encoder(family, pooling=pooling)
    samples = pairs()
    whole = full_depth(model, model.collate(samples))  # (6, E, C)
    alone = torch.cat([full_depth(model, model.collate([sample])) for sample in samples])
    torch.testing.assert_close(whole, alone, atol=2e-5, rtol=1e-4)
    running, generator = torch.arange(6), model.exits(model.collate(samples))
    logits = next(generator)
    for depth in range(1, model.num_exits):
        keep = torch.ones(len(running), dtype=torch.bool)
        keep[depth % len(running)] = False
        running, logits = running[keep], generator.send(keep)
        torch.testing.assert_close(logits, whole[running, depth], atol=2e-5, rtol=1e-4)


@every
@pytest.mark.parametrize(
    "changed",
    [{}, {"pooler": "shared"}, {"pooler": "none", "layers": (1, 3)}, {"learn_to_exit": True, "layers": (2,)}],
    ids=str,
)
def test_counted_macs_are_the_closed_form(family, changed):
    model = encoder(family, **changed)
    for length in (3, 17):
        assert macs.count(model, length) == model.closed_form_macs(length)


@every
@torch.no_grad()
@pytest.mark.parametrize("rank", [0, 2])
def test_a_folder_as_the_library_writes_it_is_a_backbone(family, rank, tmp_path):
    made = backbone(family)
    made.save_pretrained(tmp_path)
    tokenizer(made.config.pad_token_id).save_pretrained(tmp_path)
    model = build(str(tmp_path), num_classes=3, max_length=32, low_rank=rank)
    batch = model.collate(pairs())
    known = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    types = {"token_type_ids": batch.inputs["token_type_ids"]} if model.encoder.token_types > 1 else {}
    wanted = AutoModel.from_pretrained(tmp_path).eval()(**known, **types).last_hidden_state
    torch.testing.assert_close(hidden_states(model.encoder, batch.inputs), wanted, atol=1e-5, rtol=1e-5)
    assert len(model.trainable_state()) > 0


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "mpnet", "deberta_v3", "modernbert"])
def test_layers_without_positions_or_windows_are_caught(family, monkeypatch):
    """The comparison above sees it when a view runs a family's layers as a plain BERT's, or forgets the mask."""
    model = encoder(family)
    batch = model.collate(pairs())
    right = hidden_states(model.encoder, batch.inputs)
    run = type(model.encoder).run
    monkeypatch.setattr(
        type(model.encoder), "run", lambda self, hidden, mask, *layers: run(self, hidden, None, *layers)
    )
    real = batch.inputs["attention_mask"].bool()
    assert (hidden_states(model.encoder, batch.inputs) - right).abs()[real].max() > 1e-3


def test_views_of_other_families_are_refused():
    for family, view in [("mpnet", encoders.Roberta), ("deberta_v3", encoders.Bert), ("modernbert", encoders.Bert)]:
        assert not encoders._matches_library(view, backbone(family))
        assert encoders._matches_library(encoders.FAMILIES[backbone(family).config.model_type], backbone(family))


@torch.no_grad()
def test_an_exit_that_learns_to_exit_yields_one_column_more():
    plain, learned = encoder("bert"), encoder("bert", learn_to_exit=True)
    learned.load_state_dict(plain.state_dict(), strict=False)
    batch = plain.collate(pairs())
    assert (plain.extra_columns, learned.extra_columns) == (0, 1)
    logits = full_depth(learned, batch)  # (b, E, C + 1)
    assert logits.shape == (6, 3, learned.num_classes + 1)
    torch.testing.assert_close(logits[..., :-1], full_depth(plain, batch))
    assert len({id(head.certainty) for head in learned.heads}) == 1, "one for all exits, as BERxiT has it"


def test_a_family_nobody_listed_is_taken_where_it_works_like_bert(monkeypatch):
    monkeypatch.setattr(encoders, "FAMILIES", {})
    assert type(encoder_of(backbone("bert"))) is encoders.Bert
    assert type(encoder_of(backbone("camembert"))) is encoders.Roberta


def test_a_family_that_works_otherwise_is_refused():
    sizes = {"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
             "intermediate_size": 8, "max_position_embeddings": 16}  # fmt: skip
    xlnet = XLNetModel(XLNetConfig(vocab_size=50, d_model=8, n_layer=1, n_head=1, d_inner=8))
    with pytest.raises(
        ExitbenchError, match=r"model.backbone: expected an encoder built like bert, .* 'xlnet' .*FAMILIES"
    ):
        encoder_of(xlnet)

    class Twice(BertModel):
        """Layers that look like BERT's and a forward that is not."""

        def forward(self, *args, **kwargs):
            made = super().forward(*args, **kwargs)
            made.last_hidden_state = 2 * made.last_hidden_state
            return made

    twice = Twice(BertConfig(**sizes), add_pooling_layer=False)
    twice.config.model_type = "twice"
    with pytest.raises(ExitbenchError, match="'twice'"):
        encoder_of(twice)
