"""Encoders of the transformers library run layer by layer: BERT, RoBERTa, ELECTRA, ALBERT, DistilBERT.

A view per family. It holds no weights of its own, so a checkpoint's keys stay those of the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


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
        """The longest input in tokens, by the number of positions."""
        return self.config.max_position_embeddings

    @property
    def token_types(self) -> int:
        """Number of segments in the embeddings."""
        return getattr(self.config, "type_vocab_size", 0)

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """input_ids (b, T) or inputs_embeds (b, T, e), token_type_ids, attention_mask -> hidden states (b, T, width).

        Where both are given, inputs_embeds count and input_ids say where words are.
        """
        embeds = inputs.get("inputs_embeds")
        ids = inputs["input_ids"] if embeds is None else None
        return self._embed(input_ids=ids, inputs_embeds=embeds, **self._segments(inputs), **self._positions(inputs))

    def _embed(self, **inputs: Tensor | None) -> Tensor:
        return self.backbone.embeddings(**inputs)

    def _segments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        known = "token_type_ids" in inputs and self.token_types > 1
        return {"token_type_ids": inputs["token_type_ids"]} if known else {}

    def _positions(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Position ids if the library's default is wrong for exits."""
        return {}

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The layers in the order they run."""
        return self.backbone.encoder.layer

    def run(self, hidden: Tensor, mask: Tensor | None, start: int, stop: int) -> Tensor:
        """Run layers `start` … `stop` - 1: hidden (b, T, width), mask (b, T) or None without padding -> hidden."""
        keys = None if mask is None else mask[:, None, None, :].bool()  # (b, 1, 1, T)
        for layer in self.layers[start:stop]:
            hidden = layer(hidden, keys)
        return hidden

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden states as an exit reads them, and as the library returns them after the last layer."""
        return hidden

    def entry_macs(self, length: int) -> int:
        """MACs of `embed` for one text of `length` tokens, by a formula; look-ups count 0."""
        return 0

    def layer_macs(self, length: int) -> int:
        """MACs of one layer over `length` tokens, by a formula."""
        wide = self.config.intermediate_size
        return 4 * length * self.width**2 + 2 * length**2 * self.width + 2 * length * self.width * wide


class Roberta(Bert):
    """Positions count from the padding token's id, without padding; one segment."""

    @property
    def padding(self) -> int:
        """The padding token's id, from which positions count."""
        return self.config.pad_token_id

    @property
    def longest(self) -> int:
        return self.config.max_position_embeddings - self.padding - 1

    def _positions(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        # Given embeddings, the library numbers padding too. Explicit ids make both ways equal.
        padding = self.padding
        ids = inputs.get("input_ids")
        words = inputs["attention_mask"] if ids is None else (ids != padding).long()  # (b, T)
        return {"position_ids": words.cumsum(1) * words + padding}


class Electra(Bert):
    """BERT with embeddings projected to the width if they are narrower."""

    def _embed(self, **inputs: Tensor | None) -> Tensor:
        narrow = super()._embed(**inputs)
        project = getattr(self.backbone, "embeddings_project", None)
        return narrow if project is None else project(narrow)

    def entry_macs(self, length: int) -> int:
        narrow = self.config.embedding_size
        return 0 if narrow == self.width else length * narrow * self.width


class Albert(Bert):
    """One group of shared layers that runs many times; factorised embeddings."""

    def _embed(self, **inputs: Tensor | None) -> Tensor:
        return self.backbone.encoder.embedding_hidden_mapping_in(super()._embed(**inputs))

    @property
    def layers(self) -> Sequence[nn.Module]:
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

    @property
    def layers(self) -> Sequence[nn.Module]:
        return self.backbone.transformer.layer

    def layer_macs(self, length: int) -> int:
        width, wide = self.width, self.config.hidden_dim
        return 4 * length * width**2 + 2 * length**2 * width + 2 * length * width * wide
