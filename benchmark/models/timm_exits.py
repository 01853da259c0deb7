"""Any vision transformer of timm as an early-exit model: a head after each listed block.

The plain way to exits, beside DVT's cascade: DeeBERT's scheme (ACL 2020) on images, one backbone and no second look.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmark.models.layers.image_exit import ImageExit
from benchmark.models.layers.staged import staged_exits
from benchmark.models.pretrained import timm_backbone
from benchmark.models.pretrained.weights import check_state, read_tensors, weights_id, weights_path
from benchmark.models.pretrained.wrappers import split_choice
from benchmark.types import Batch, ExitbenchError, ImageSample

FITS = ("pad", "resize")


class TimmExits(nn.Module):
    """A timm `VisionTransformer` with an exit after each of `blocks` (1-based, growing).

    Each head is a copy of the backbone's own: its final norm and, for the last block, its classifier; so with
    pretrained weights of as many classes the last exit is timm's own answer. Blocks behind the last exit are dropped.

    Args:
        pooling: "class" (token) or "mean" of the patch tokens, class, distillation and register tokens left out.
        mean, std: per channel, applied inside the network, so that samples stay in [0, 1].
        fit: how images of another size meet the network's: "pad", centred, with zeros; or "resize", bilinear.
            Both are the network's part and differentiable: samples, and attacks on them, keep the image's own size.
        freeze_backbone: train the heads only; the backbone stays as in inference, its dropout off.

    Raises:
        ExitbenchError: blocks that do not grow or are not there; unknown pooling or fit; as many means as channels.
    """

    kind = "image"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Any,
        num_classes: int,
        blocks: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        pooling: str = "class",
        fit: str = "resize",
        freeze_backbone: bool = False,
    ) -> None:
        super().__init__()
        listed = list(blocks)
        if not listed or listed != sorted(set(listed)) or not 1 <= listed[0] <= listed[-1] <= len(backbone.blocks):
            raise ExitbenchError(
                f"model.blocks: expected growing blocks within 1 … {len(backbone.blocks)}, got {listed}"
            )
        channels = backbone.patch_embed.proj.in_channels
        if len(mean) != channels or len(std) != channels:
            raise ExitbenchError(
                f"model.mean, model.std: expected {channels} numbers each, one per channel, got "
                f"{list(mean)} and {list(std)}"
            )
        if fit not in FITS:
            raise ExitbenchError(f"model.fit: expected one of {FITS}, got {fit!r}")
        if pooling == "class" and backbone.cls_token is None:
            raise ExitbenchError("model.pooling: expected mean, as this backbone has no class token, got 'class'")
        self.blocks, self.fit, self.freeze_backbone = tuple(listed), fit, freeze_backbone
        self.num_exits, self.num_classes = len(listed), num_classes
        self.image_size: tuple[int, int] = backbone.patch_embed.img_size
        self.weights_hash = "untrained"
        # For cache keys: what changes answers and is not a weight.
        self.settings = {"blocks": listed, "pooling": pooling, "fit": fit, "mean": list(mean), "std": list(std)}
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, -1, 1, 1), persistent=False)
        self.heads = nn.ModuleList(_heads(backbone, num_classes, listed, pooling))
        self.backbone = _truncated(backbone, listed[-1])
        if freeze_backbone:
            self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> TimmExits:
        """Like `nn.Module.train`, but a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self

    def collate(self, samples: Sequence[ImageSample]) -> Batch:
        """Images of one size -> pixels (b, c, h, w) in [0, 1], at the samples' own size."""
        pixels = torch.stack([sample.pixels for sample in samples])
        channels, size = self.mean.shape[1], self.image_size
        if pixels.shape[1] != channels:
            raise ExitbenchError(f"images: expected {channels} channels, got {pixels.shape[1]}; set in_chans and mean")
        if self.fit == "pad" and (pixels.shape[2] > size[0] or pixels.shape[3] > size[1]):
            raise ExitbenchError(
                f"images: expected at most {size} pixels to pad, got {tuple(pixels.shape[2:])}; set model.fit=resize"
            )
        return Batch({"pixels": pixels}, torch.zeros(len(samples), dtype=torch.int64))

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """See `EarlyExitModel.exits`."""
        return staged_exits(self, batch)

    def begin(self, batch: Batch) -> Tensor:
        """See `StagedModel`: the embedded patches (b, T, d), class and other tokens before them."""
        pixels = (self._resize_or_pad(batch.inputs["pixels"]) - self.mean) / self.std
        tokens = self.backbone._pos_embed(self.backbone.patch_embed(pixels))
        return self.backbone.norm_pre(self.backbone.patch_drop(tokens))

    def stage(self, running: Tensor, depth: int) -> tuple[Tensor, Tensor]:
        """Run the blocks up to exit `depth` and its head."""
        running = self.advance(running, depth)
        return self.heads[depth - 1](running), running

    def advance(self, running: Tensor, depth: int) -> Tensor:
        """Run the blocks up to exit `depth` without its head."""
        first = self.blocks[depth - 2] if depth > 1 else 0
        for block in self.backbone.blocks[first : self.blocks[depth - 1]]:
            running = block(running)
        return running

    def select(self, running: Tensor, rows: Tensor) -> Tensor:
        """Some images' tokens."""
        return running[rows]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Several batches' tokens, in order."""
        return torch.cat(list(parts))

    def _resize_or_pad(self, pixels: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, *image_size), differentiable."""
        spare = self.image_size[0] - pixels.shape[2], self.image_size[1] - pixels.shape[3]
        if spare == (0, 0):
            return pixels
        if self.fit == "resize":
            return nn.functional.interpolate(pixels, self.image_size, mode="bilinear", align_corners=False)
        (top, left) = (one // 2 for one in spare)
        return nn.functional.pad(pixels, (left, spare[1] - left, top, spare[0] - top))

    def trainable_state(self) -> dict[str, Tensor]:
        """The checkpoint's content: the whole state, or the heads alone if the backbone is frozen."""
        state = dict(self.state_dict())
        return {key: value for key, value in state.items() if key.startswith("heads.") or not self.freeze_backbone}

    def probe(self, length: int) -> Batch:
        """One grey image; all images cost the same."""
        shape = (1, self.mean.shape[1], *self.image_size)
        pixels = torch.full(shape, 0.5, device=self.mean.device, dtype=self.mean.dtype)
        return Batch({"pixels": pixels}, torch.zeros(1, dtype=torch.int64, device=self.mean.device))

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Cumulative MACs of one image to each exit (E,), by a formula."""
        embed, block = timm_backbone.closed_form_macs(self.backbone)
        cumulative, heads = [], 0
        for depth, head in zip(self.blocks, self.heads, strict=True):
            heads += cast(ImageExit, head).closed_form_macs()
            cumulative.append(embed + depth * block + heads)
        return tuple(cumulative)


def _heads(backbone: Any, num_classes: int, blocks: Sequence[int], pooling: str) -> list[ImageExit]:
    """One head per block; the last has the backbone's own classifier, the others random weights."""
    own_norm = backbone.norm if not isinstance(backbone.norm, nn.Identity) else backbone.fc_norm
    heads = []
    for depth in blocks:
        classifier = nn.Linear(backbone.embed_dim, num_classes)
        nn.init.trunc_normal_(classifier.weight, std=0.02)
        nn.init.zeros_(classifier.bias)
        if depth == len(backbone.blocks) and isinstance(backbone.head, nn.Linear):
            classifier.load_state_dict(backbone.head.state_dict())
        heads.append(ImageExit(copy.deepcopy(own_norm), classifier, pooling, backbone.num_prefix_tokens))
    return heads


def _truncated(backbone: Any, depth: int) -> Any:
    """The backbone without its head, its final norm and the blocks after `depth`, which are never computed."""
    backbone.blocks = backbone.blocks[:depth]
    for unused in ("norm", "fc_norm", "head", "head_dist", "attn_pool"):
        if isinstance(getattr(backbone, unused, None), nn.Module):
            setattr(backbone, unused, nn.Identity())
    return backbone


def build(
    backbone: str,
    num_classes: int,
    blocks: Sequence[int] = (),
    checkpoint: str = "",
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
    pooling: str = "class",
    fit: str = "resize",
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    backbone_args: Mapping[str, Any] | None = None,
) -> TimmExits:
    """A timm ViT with exits.

    Args:
        backbone: one of timm's names; a tag behind a dot chooses among its pretrained weights.
        blocks: where the exits are, 1-based; empty for a third, two thirds and all of the depth.
        pretrained: true for timm's weights on the hub, or a local file. A checkpoint of the whole model needs none.
        freeze_backbone: only the heads are trained, and only they are in the checkpoint.
        mean, std: empty for those that the backbone was trained with.
        backbone_args: what timm's constructor takes, such as img_size, patch_size, embed_dim, depth, in_chans.

    Raises:
        ExitbenchError: a backbone that cannot be built or loaded; a frozen one with random weights.
    """
    if freeze_backbone and not pretrained:
        raise ExitbenchError(
            "model.freeze_backbone: expected pretrained weights, got random ones; set model.pretrained"
        )
    start_from = False if checkpoint and not freeze_backbone else pretrained
    vit, origin = timm_backbone.make(backbone, num_classes, start_from, backbone_args or {})
    depth = len(vit.blocks)
    listed = tuple(blocks) or tuple(sorted({max(1, depth // 3), max(1, 2 * depth // 3), depth}))
    config = vit.pretrained_cfg
    model = TimmExits(
        vit,
        num_classes,
        listed,
        list(mean) or config["mean"],
        list(std) or config["std"],
        pooling,
        fit,
        freeze_backbone,
    )
    if checkpoint:
        path = weights_path(checkpoint)
        state = read_tensors(path, split_choice(checkpoint)[1])
        check_state(model.trainable_state(), state, path.name)
        model.load_state_dict(state, strict=False)
        model.weights_hash = weights_id(path, checkpoint)
        if freeze_backbone:
            model.weights_hash = hashlib.sha256((origin + model.weights_hash).encode()).hexdigest()
    return model.eval()
