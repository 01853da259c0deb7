"""A transformer over one token grid, which may reuse what a coarser one computed (DVT, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.layers.reuse import FeatureReuse, RelationReuse, Reused, Upsample


@dataclass(frozen=True)
class TransformerSpec:
    """What all transformers of a cascade share. reuse_hidden and reuse_width are the feature-reuse MLP's."""

    width: int
    depth: int
    heads: int
    mlp_ratio: float
    qkv_bias: bool = True
    eps: float = 1e-6
    reuse_hidden: int = 128
    reuse_width: int = 48


class Attention(nn.Module):
    """Multi-head self-attention that can add logits it is given and hand out those it used."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.qkv = nn.Linear(spec.width, 3 * spec.width, bias=spec.qkv_bias)
        self.proj = nn.Linear(spec.width, spec.width)

    def forward(self, x: Tensor, bias: Tensor | None, hand_out: bool) -> tuple[Tensor, Tensor | None]:
        """x (b, T, width), bias (b, H, T, T) -> (b, T, width), and the logits (b, H, T, T) where asked for."""
        b, t, width = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)  # (b, H, T, d)
        logits = None
        if hand_out:
            logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            if bias is not None:
                logits = logits + bias
            x = logits.softmax(-1) @ v
        else:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(x.transpose(1, 2).reshape(b, t, width)), logits


class Block(nn.Module):
    """Pre-norm transformer block; with feature reuse the second norm and the MLP take `reuse_width` more inputs."""

    def __init__(self, spec: TransformerSpec, feature_reuse: bool, drop_path: float) -> None:
        super().__init__()
        wide = spec.width + (spec.reuse_width if feature_reuse else 0)
        hidden = int(spec.width * spec.mlp_ratio)
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(spec.width, eps=spec.eps)
        self.attn = Attention(spec)
        self.norm2 = nn.LayerNorm(wide, eps=spec.eps)
        self.fc1 = nn.Linear(wide, hidden)
        self.fc2 = nn.Linear(hidden, spec.width)
        self.feature_reuse = (
            FeatureReuse(spec.width, spec.reuse_hidden, spec.reuse_width, spec.eps) if feature_reuse else None
        )

    def _drop(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return x
        keep = torch.empty(len(x), 1, 1, device=x.device).bernoulli_(1 - self.drop_path)
        return x * keep / (1 - self.drop_path)

    def forward(
        self, x: Tensor, bias: Tensor | None, context: Tensor | None, hand_out: bool
    ) -> tuple[Tensor, Tensor | None]:
        """x (b, T, width), bias (b, H, T, T), context (b, T, reuse_width) -> x and the attention logits."""
        attended, logits = self.attn(self.norm1(x), bias, hand_out)
        x = x + self._drop(attended)
        wide = x if context is None else torch.cat([x, context], -1)
        return x + self._drop(self.fc2(F.gelu(self.fc1(self.norm2(wide))))), logits


class Transformer(nn.Module):
    """Tokens -> class logits, over one grid; optionally fed by the transformer before it.

    Args:
        tokens: module from pixels (b, c, S, S) to tokens (b, grid², width).
        coarse: the previous transformer's grid, or 0 for the first.
        position: (1, grid² + 1, width), fixed where `learned_position` is false.
    """

    def __init__(
        self,
        spec: TransformerSpec,
        tokens: nn.Module,
        grid: int,
        coarse: int,
        num_classes: int,
        position: Tensor,
        learned_position: bool,
        feature_reuse: bool,
        relation_reuse: bool,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        feature_reuse, relation_reuse = feature_reuse and coarse > 0, relation_reuse and coarse > 0
        self.spec, self.grid, self.coarse = spec, grid, coarse
        self.tokens = tokens
        self.cls_token = nn.Parameter(torch.zeros(1, 1, spec.width))
        self.pos_embed = nn.Parameter(position, requires_grad=learned_position)
        rates = torch.linspace(0, drop_path, spec.depth).tolist()
        self.blocks = nn.ModuleList(Block(spec, feature_reuse, rate) for rate in rates)
        self.norm = nn.LayerNorm(spec.width, eps=spec.eps)
        self.head = nn.Linear(spec.width, num_classes)
        self.upsample = Upsample(coarse, grid) if feature_reuse or relation_reuse else None
        self.relation_reuse = RelationReuse(spec.depth, spec.heads) if relation_reuse else None
        self._init_weights()

    def _init_weights(self) -> None:
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)  # 0.02 is too small for narrow networks: they learn late
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, pixels: Tensor, before: Reused | None, hand_out: bool) -> tuple[Tensor, Reused]:
        """Normalised pixels (b, c, S, S) -> logits (b, C), and what the next transformer may reuse.

        hand_out: also keep each block's attention logits, which costs the fused attention kernel.
        """
        x = self.tokens(pixels)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed  # (b, T, width)
        mixed = self.relation_reuse(before.relations) if self.relation_reuse and before else None
        relations = []
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            bias = context = None
            if self.upsample is not None and before is not None:
                bias = self.upsample.relations(mixed[i]) if mixed else None
                context = block.feature_reuse(before.features, self.upsample) if block.feature_reuse else None
            x, logits = block(x, bias, context, hand_out)
            if logits is not None:
                relations.append(logits)
        return self.head(self.norm(x[:, 0])), Reused(x, relations)

    def closed_form_macs(self) -> int:
        """MACs of one image after its tokens are made, head included, by arithmetic."""
        spec, t, t0 = self.spec, self.grid**2 + 1, self.coarse**2 + 1
        hidden = int(spec.width * spec.mlp_ratio)
        wide, reuse = spec.width, 0
        if self.upsample is not None and isinstance(self.blocks[0], Block) and self.blocks[0].feature_reuse:
            wide += spec.reuse_width
            reuse = (t0 - 1) * spec.reuse_hidden * (spec.width + spec.reuse_width)
        block = 4 * t * spec.width**2 + 2 * t**2 * spec.width + t * hidden * (wide + spec.width) + reuse
        channels = spec.depth * spec.heads
        relation = 6 * channels**2 * t0**2 if self.relation_reuse else 0
        return spec.depth * block + relation + spec.width * self.head.out_features
