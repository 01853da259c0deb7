"""Text encoders of the transformers library taken apart: embeddings, then layer by layer.

One view per family. A view holds no weights of its own, so a checkpoint's keys stay those of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.types import ExitbenchError

Layer = Callable[[Tensor, Tensor | None], Tensor]


class Bert:
    """BERT and what is built like it (MiniLM, ElasticBERT): `embeddings`, `encoder.layer`."""

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone
        self.config: Any = backbone.config
        self.width: int = self.config.hidden_size
        self.depth: int = self.config.num_hidden_layers

    @property
    def table(self) -> Tensor:
        """The word-embedding table (V, e); e is the width, or less where embeddings are factorised."""
        return self.backbone.get_input_embeddings().weight

    @property
    def longest(self) -> int:
        """The longest input in tokens that there are positions for."""
        return self.config.max_position_embeddings

    @property
    def token_types(self) -> int:
        """How many segments the embeddings tell apart."""
        return getattr(self.config, "type_vocab_size", 0)

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """input_ids (b, T) or inputs_embeds (b, T, e), token_type_ids, attention_mask -> hidden states (b, T, width).

        Where both are given, inputs_embeds count and input_ids say where words are.
        """
        given = inputs.get("inputs_embeds")
        ids = inputs["input_ids"] if given is None else None
        return self._embed(input_ids=ids, inputs_embeds=given, **self._segments(inputs), **self._positions(inputs))

    def _embed(self, **given: Any) -> Tensor:
        return self.backbone.embeddings(**given)

    def _segments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        known = "token_type_ids" in inputs and self.token_types > 1
        return {"token_type_ids": inputs["token_type_ids"]} if known else {}

    def _positions(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Position ids where the library's own default will not do."""
        return {}

    def layers(self) -> list[Layer]:
        """The layers in the order they run: hidden (b, T, width), mask (b, 1, 1, T) of bools or None -> hidden."""
        return list(self.backbone.encoder.layer)

    def entry_macs(self, length: int) -> int:
        """MACs of `embed` for one text of `length` tokens, by arithmetic: look-ups are none."""
        return 0

    def layer_macs(self, length: int) -> int:
        """MACs of one layer over `length` tokens, by arithmetic."""
        wide = self.config.intermediate_size
        return 4 * length * self.width**2 + 2 * length**2 * self.width + 2 * length * self.width * wide


class Roberta(Bert):
    """Positions count from the padding token's id on, words only; one segment."""

    @property
    def longest(self) -> int:
        return self.config.max_position_embeddings - self.config.pad_token_id - 1

    def _positions(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        # The library numbers padding, too, when it is given embeddings; so both ways get the same numbers here.
        padding = self.config.pad_token_id
        ids = inputs.get("input_ids")
        words = inputs["attention_mask"] if ids is None else (ids != padding).long()  # (b, T)
        return {"position_ids": words.cumsum(1) * words + padding}


class Electra(Bert):
    """BERT, its embeddings projected to the width where they are narrower."""

    def _embed(self, **given: Any) -> Tensor:
        narrow = super()._embed(**given)
        project = getattr(self.backbone, "embeddings_project", None)
        return narrow if project is None else project(narrow)

    def entry_macs(self, length: int) -> int:
        narrow = self.config.embedding_size
        return 0 if narrow == self.width else length * narrow * self.width


class Albert(Bert):
    """One group of layers run many times over; factorised embeddings."""

    def _embed(self, **given: Any) -> Tensor:
        return self.backbone.encoder.embedding_hidden_mapping_in(super()._embed(**given))

    def layers(self) -> list[Layer]:
        groups, per_group = self.backbone.encoder.albert_layer_groups, self.depth / self.config.num_hidden_groups
        return [groups[int(depth / per_group)] for depth in range(self.depth)]

    def entry_macs(self, length: int) -> int:
        return length * self.config.embedding_size * self.width

    def layer_macs(self, length: int) -> int:
        return self.config.inner_group_num * super().layer_macs(length)


class DistilBert(Bert):
    """No segments; layers below `transformer`."""

    @property
    def token_types(self) -> int:
        return 0

    def layers(self) -> list[Layer]:
        return list(self.backbone.transformer.layer)

    def layer_macs(self, length: int) -> int:
        width, wide = self.width, self.config.hidden_dim
        return 4 * length * width**2 + 2 * length**2 * width + 2 * length * width * wide


FAMILIES: dict[str, type[Bert]] = {
    "bert": Bert, "roberta": Roberta, "xlm-roberta": Roberta, "camembert": Roberta,
    "electra": Electra, "albert": Albert, "distilbert": DistilBert,
}  # fmt: skip


def encoder_of(backbone: nn.Module) -> Bert:
    """The view on a backbone of `FAMILIES`, or on another one that proves to work like BERT or RoBERTa.

    Raises:
        ExitbenchError: an architecture that cannot be run layer by layer like any of these.
    """
    kind: str = backbone.config.model_type  # type: ignore[union-attr, assignment]
    if kind in FAMILIES:
        return FAMILIES[kind](backbone)
    for family in (Roberta, Bert):  # a RoBERTa looks like a BERT until a text is as long as there are positions
        if _same(family, backbone):
            return family(backbone)
    raise ExitbenchError(
        f"model.backbone: expected an encoder built like {', '.join(FAMILIES)}, got one of type {kind!r} "
        "whose layers, run one by one, do not give the library's own answer"
    )


@torch.no_grad()
def _same(family: type[Bert], backbone: Any) -> bool:
    """Whether a view's layers give what the library's own forward gives, on two made-up texts, one padded."""
    training = backbone.training
    backbone.eval()
    try:
        view = family(backbone)
        padding = view.config.pad_token_id or 0
        ids = torch.arange(10).reshape(2, 5).remainder(len(view.table) - padding - 1) + padding + 1
        mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
        inputs = {"input_ids": torch.where(mask > 0, ids, padding), "attention_mask": mask}
        hidden = view.embed(inputs)
        for layer in view.layers():
            hidden = layer(hidden, mask[:, None, None, :].bool())
        wanted = backbone(**inputs).last_hidden_state
        return bool(((hidden - wanted).abs() * mask[..., None]).max() < 1e-4)
    except Exception:  # whatever a foreign architecture raises, it is not built like this family
        return False
    finally:
        backbone.train(training)
