"""Encoders whose layers need positions: MPNet, DeBERTa-v2 and v3, ModernBERT; the views of `bert_encoders` for them.

What the layers share (relative positions, rotary angles, masks) is computed once for each run of layers, by the
library's own functions where it has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.models.layers.bert_encoders import Bert, Roberta


class MPNet(Roberta):
    """MPNet (Song et al., NeurIPS 2020): positions as RoBERTa's, and a bias by relative position in every layer."""

    @property
    def padding(self) -> int:
        return self.backbone.embeddings.padding_idx  # fixed in the library, whatever the configuration's is

    def run(self, hidden: Tensor, mask: Tensor | None, start: int, stop: int) -> Tensor:
        bias = self.backbone.encoder.compute_position_bias(hidden[:1])  # (1, H, T, T), the same for every text
        keys = None if mask is None else _additive(mask, hidden.dtype)
        for layer in self.layers[start:stop]:
            hidden = layer(hidden, keys, bias)[0]
        return hidden


class DebertaV2(Bert):
    """DeBERTa-v2 and v3 (He et al., ICLR 2021 and 2023): disentangled attention, in v2-xlarge a convolution as well."""

    def _positions(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"mask": inputs["attention_mask"]}  # the embeddings of padding are set to zero

    def run(self, hidden: Tensor, mask: Tensor | None, start: int, stop: int) -> Tensor:
        encoder = self.backbone.encoder
        mask = hidden.new_ones(hidden.shape[:2], dtype=torch.int64) if mask is None else mask
        keys = encoder.get_attention_mask(mask)  # (b, 1, T, T)
        positions, table = encoder.get_rel_pos(hidden), encoder.get_rel_embedding()
        if table is not None and not torch.is_grad_enabled():
            table = table.detach()  # the operator counter cannot follow a bare parameter into a layer
        for number, layer in enumerate(self.layers[start:stop], start):
            after = layer(hidden, keys, relative_pos=positions, rel_embeddings=table)[0]
            hidden = after if number or encoder.conv is None else encoder.conv(hidden, after, mask)
        return hidden

    def entry_macs(self, length: int) -> int:
        """The projection of narrow embeddings, and the convolution after the first layer, which every exit needs."""
        embeddings, conv = self.backbone.embeddings, self.backbone.encoder.conv
        projection = 0 if embeddings.embed_proj is None else embeddings.embedding_size * self.width
        convolution = 0 if conv is None else conv.conv.weight.numel()
        return length * (projection + convolution)

    def layer_macs(self, length: int) -> int:
        """As the library computes it: the relative positions are projected again in every layer."""
        attention = self.backbone.encoder.layer[0].attention.self
        if not self.backbone.encoder.relative_attention:
            return super().layer_macs(length)
        directions = sum(kind in attention.pos_att_type for kind in ("c2p", "p2c"))
        projections = 2 if attention.share_att_key else directions
        rows = min(2 * attention.pos_ebd_size, len(self.backbone.encoder.rel_embeddings.weight))
        positions = projections * rows * self.width**2 + directions * length * rows * self.width
        return super().layer_macs(length) + positions


class ModernBert(Bert):
    """ModernBERT (Warner et al., 2024): rotary positions, local attention in most layers, one norm before every exit.

    The library applies the final norm after the last layer only. Exits share it, since layers that normalise their
    input leave hidden states unnormalised.
    """

    @property
    def layers(self) -> Sequence[nn.Module]:
        return self.backbone.layers

    def run(self, hidden: Tensor, mask: Tensor | None, start: int, stop: int) -> Tensor:
        kinds = self.config.layer_types[start:stop]
        place = torch.arange(hidden.shape[1], device=hidden.device)  # (T,)
        angles = {kind: self.backbone.rotary_emb(hidden, place[None], kind) for kind in dict.fromkeys(kinds)}
        masks = {kind: self._mask(kind, mask, place, hidden.dtype) for kind in angles}
        for layer, kind in zip(self.layers[start:stop], kinds, strict=True):
            hidden = layer(hidden, attention_mask=masks[kind], position_embeddings=angles[kind])
        return hidden

    def _mask(self, kind: str, mask: Tensor | None, place: Tensor, dtype: torch.dtype) -> Tensor | None:
        """What a layer may attend to: (b or 1, 1, 1 or T, T) of bools, additive for eager attention; None for all."""
        keys = None if mask is None else mask[:, None, None, :].bool()
        window = self.config.sliding_window  # tokens to each side
        # Texts within the window need no mask; a compiled layer has one, as it must not depend on the length.
        if kind == "sliding_attention" and (torch.compiler.is_compiling() or len(place) > window + 1):
            near = ((place[:, None] - place[None, :]).abs() <= window)[None, None]  # (1, 1, T, T)
            keys = near if keys is None else near & keys
        eager = self.config._attn_implementation == "eager"
        return _additive(keys, dtype) if eager and keys is not None else keys

    def output(self, hidden: Tensor) -> Tensor:
        return self.backbone.final_norm(hidden)

    def layer_macs(self, length: int) -> int:
        """Three products in the gated MLP. Attention is counted over all tokens, as kernels with a mask compute it."""
        wide = self.config.intermediate_size
        return 4 * length * self.width**2 + 2 * length**2 * self.width + 3 * length * self.width * wide


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask (b, T) or (b, 1, …, T) -> (b, 1, …, T) to add to attention scores: 0, or the lowest number there is."""
    keys = mask[:, None, None, :].bool() if mask.dim() == 2 else mask
    return torch.zeros_like(keys, dtype=dtype).masked_fill(~keys, torch.finfo(dtype).min)
