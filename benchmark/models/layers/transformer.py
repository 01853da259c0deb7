"""A transformer over one token grid, with reuse of a coarser one's features and relations (DVT, section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.layers.reuse import FeatureReuse, RelationReuse, Reused, StackedFeatureReuse, Upsample


@dataclass(frozen=True)
class TransformerSpec:
    """Settings that all transformers of a cascade share. reuse_hidden and reuse_width are the feature-reuse MLP's."""

    width: int
    depth: int
    heads: int
    mlp_ratio: float
    qkv_bias: bool = True
    eps: float = 1e-6
    reuse_hidden: int = 128
    reuse_width: int = 48


def _linear(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer without the overhead of a module call; a quantised layer is called as usual."""
    return F.linear(x, layer.weight, layer.bias) if type(layer) is nn.Linear else layer(x)


FEW = 16_384  # below so many numbers oneDNN's GELU is slower than torch's own
SHORT = 128  # up to so many tokens plain products are faster than a CPU's fused attention, on one image


def _gelu(x: Tensor) -> Tensor:
    """GELU of x (b, n, d). A transposed view avoids oneDNN, whose call overhead is too large for small inputs."""
    small = x.numel() < FEW and not torch.is_grad_enabled()
    return F.gelu(x.transpose(1, 2)).transpose(1, 2) if small else F.gelu(x)


class Attention(nn.Module):
    """Multi-head self-attention that can add given logits and return its own."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.qkv = nn.Linear(spec.width, 3 * spec.width, bias=spec.qkv_bias)
        self.proj = nn.Linear(spec.width, spec.width)

    def forward(self, x: Tensor, bias: Tensor | None, return_logits: bool) -> tuple[Tensor, Tensor | None]:
        """x (b, T, width), bias (b, H, T, T) -> (b, T, width), and the logits (b, H, T, T) if requested."""
        b, t, width = x.shape
        qkv = _linear(self.qkv, x)  # (b, T, 3 · width)
        qkv = qkv.view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, b, H, T, d)
        logits = None
        if torch.is_grad_enabled() and return_logits:
            q, k, v = qkv.unbind()
            logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            if bias is not None:
                logits = logits + bias
            x = logits.softmax(-1) @ v
        elif return_logits or (b == 1 and t <= SHORT and x.device.type == "cpu" and not torch.is_grad_enabled()):
            x, logits = self._explicit_attention(qkv, bias)
        else:
            q, k, v = qkv.unbind()
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return _linear(self.proj, x.transpose(1, 2).reshape(b, t, width)), logits if return_logits else None

    def _explicit_attention(self, qkv: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """qkv (3, b, H, T, d) -> (b, H, T, d) and logits (b, H, T, T), scaled and the bias added by the product itself.

        Of one image nothing is copied; of several, all three at once.
        """
        _, b, h, t, d = qkv.shape
        q, k, v = qkv.reshape(3, b * h, t, d).unbind()
        onto = q.new_empty(1, 1, 1) if bias is None else bias.reshape(b * h, t, t)
        logits = torch.baddbmm(onto, q, k.transpose(1, 2), beta=0 if bias is None else 1, alpha=d**-0.5)
        return torch.bmm(logits.softmax(-1), v).view(b, h, t, d), logits.view(b, h, t, t)


class Block(nn.Module):
    """Pre-norm transformer block; with feature reuse the second norm and the MLP take `reuse_width` more inputs.

    Its layers are applied as functions: at one image, calling modules costs as much as half of the arithmetic.
    """

    def __init__(self, spec: TransformerSpec, feature_reuse: bool, drop_path: float) -> None:
        super().__init__()
        self.wide = spec.width + (spec.reuse_width if feature_reuse else 0)
        hidden = int(spec.width * spec.mlp_ratio)
        self.drop_path, self.eps = drop_path, spec.eps
        self.norm1 = nn.LayerNorm(spec.width, eps=spec.eps)
        self.attn = Attention(spec)
        self.norm2 = nn.LayerNorm(self.wide, eps=spec.eps)
        self.fc1 = nn.Linear(self.wide, hidden)
        self.fc2 = nn.Linear(hidden, spec.width)
        self.feature_reuse = (
            FeatureReuse(spec.width, spec.reuse_hidden, spec.reuse_width, spec.eps) if feature_reuse else None
        )

    def _drop(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return x
        keep = torch.empty(len(x), 1, 1, device=x.device).bernoulli_(1 - self.drop_path)
        return x * keep / (1 - self.drop_path)

    def _second_norm(self, x: Tensor, context: Tensor | None) -> Tensor:
        """x (b, T, width), context (b, T, reuse_width) -> the norm of both (b, T, width + reuse_width)."""
        wide = x if context is None else torch.cat([x, context], -1)
        return torch.layer_norm(wide, (self.wide,), self.norm2.weight, self.norm2.bias, self.eps)

    def forward(
        self, x: Tensor, bias: Tensor | None, context: Tensor | None, return_logits: bool
    ) -> tuple[Tensor, Tensor | None]:
        """x (b, T, width), bias (b, H, T, T), context (b, T, reuse_width) -> x and the attention logits."""
        normed = torch.layer_norm(x, x.shape[-1:], self.norm1.weight, self.norm1.bias, self.eps)
        attended, logits = self.attn.forward(normed, bias, return_logits)
        x = x + self._drop(attended)
        hidden = _gelu(_linear(self.fc1, self._second_norm(x, context)))
        return x + self._drop(_linear(self.fc2, hidden)), logits


class Transformer(nn.Module):
    """Tokens -> class logits, over one grid; with optional reuse from the previous transformer.

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
        reuses = cast("list[FeatureReuse]", [block.feature_reuse for block in self.blocks] if feature_reuse else [])
        self.all_contexts = StackedFeatureReuse(reuses)
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

    def answer(self, features: Tensor) -> Tensor:
        """Features (b, T, width) -> logits (b, C), from the class token."""
        last = torch.layer_norm(features[:, 0], features.shape[-1:], self.norm.weight, self.norm.bias, self.spec.eps)
        return _linear(self.head, last)

    def forward(self, pixels: Tensor, before: Reused | None, return_logits: bool) -> Reused:
        """Normalised pixels (b, c, S, S) -> the tensors that `answer` reads and the next transformer may reuse.

        return_logits: also return each block's attention logits, which torch's fused attention kernel keeps to itself.
        """
        x = self.tokens(pixels)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed  # (b, T, width)
        biases, contexts = self._reused(before)
        relations = []
        for block, bias, context in zip(self.blocks, biases, contexts, strict=True):
            assert isinstance(block, Block)
            x, logits = block.forward(x, bias, context, return_logits)
            if logits is not None:
                relations.append(logits)
        return Reused(x, relations)

    def _reused(self, before: Reused | None) -> tuple[Iterable[Tensor | None], Iterable[Tensor | None]]:
        """Inputs of each block in turn: attention logits to add (b, H, T, T), and features (b, T, reuse_width)."""
        biases: Iterable[Tensor | None] = [None] * len(self.blocks)
        contexts: Iterable[Tensor | None] = [None] * len(self.blocks)
        upsample, mix = self.upsample, self.relation_reuse
        if upsample is None or before is None:
            return biases, contexts
        reuses = cast("list[FeatureReuse]", [block.feature_reuse for block in self.blocks])
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or before.features.device.type != "cpu":
            if mix is not None:
                biases = mix(before.relations, upsample)
            if reuses[0] is not None:
                contexts = (reuse(before.features, upsample) for reuse in reuses)
        else:
            biases = biases if mix is None else mix.biases(before.relations, upsample)
            contexts = contexts if reuses[0] is None else self.all_contexts(before.features, upsample)
        return biases, contexts

    def closed_form_macs(self) -> int:
        """MACs of one image after tokenisation, head included, by a formula."""
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
