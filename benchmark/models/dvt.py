"""DVT, Not All Images are Worth 16x16 Words (NeurIPS 2021): a cascade of ViTs on growing token grids.

Each transformer ends in its own head; each reuses the features and the relationships of the one before.
One class serves the published models and the small ones: grids, widths, depths and reuse are arguments.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmark.models.layers.reuse import Reused
from benchmark.models.layers.staged import staged_exits
from benchmark.models.layers.tokens import TOKENIZERS, sinusoids
from benchmark.models.layers.transformer import Transformer, TransformerSpec
from benchmark.models.pretrained.released_dvt import architecture, read_released, renamed
from benchmark.models.pretrained.weights import check_state, load_weights, weights_id, weights_path
from benchmark.models.pretrained.wrappers import split_choice
from benchmark.types import Batch, ExitbenchError, ImageSample

Running = tuple[Tensor, Reused | None]  # normalised pixels (b, c, S, S), the previous transformer's tensors to reuse

RELEASED_ENDINGS = (".pth.tar", ".pth", ".pt", ".tar", ".bin")


class DVT(nn.Module):
    """A DVT cascade; exit k is the head of transformer k.

    Args:
        grids: tokens per side of each transformer, growing, e.g. (7, 10, 14) at 224 px.
        image_size: side of the network's square input; smaller images are padded, centred, with zeros.
        mean, std: per channel, applied inside the network, so that samples stay in [0, 1].
        tokenizer: "patches" (DeiT), "tokens_to_token" (T2T-ViT) or "conv_stem" or "residual_stem"
            (small images; the second learns faster and costs more).
        feature_reuse, relation_reuse: DVT sections 3.2 and 3.3, each on or off.

    Raises:
        ExitbenchError: grids that do not grow or have no tokenizer, a width the heads do not divide, unknown tokenizer.
    """

    kind = "image"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        grids: Sequence[int],
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        tokenizer: str = "patches",
        qkv_bias: bool = True,
        eps: float = 1e-6,
        reuse_hidden: int = 128,
        reuse_width: int = 48,
        feature_reuse: bool = True,
        relation_reuse: bool = True,
        learned_position: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        _check(num_classes, grids, width, heads, tokenizer)
        spec = TransformerSpec(width, depth, heads, mlp_ratio, qkv_bias, eps, reuse_hidden, reuse_width)
        self.num_exits, self.num_classes, self.image_size = len(grids), num_classes, image_size
        self.relation_reuse = relation_reuse
        self.weights_hash = "untrained"
        # For cache keys: what changes answers and is not a weight.
        self.settings = {"mean": list(mean), "std": list(std), "image_size": image_size, "eps": eps}
        self.official: dict[str, object] = {}  # further fields of a released file; see `released_dvt.FACTS`
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, -1, 1, 1), persistent=False)
        make_tokens = TOKENIZERS[tokenizer]
        self.transformers = nn.ModuleList()
        for coarse, grid in zip((0, *grids), grids, strict=False):
            position = sinusoids(grid**2 + 1, width)
            if learned_position:
                position = nn.init.trunc_normal_(torch.empty_like(position), std=0.02)
            self.transformers.append(
                Transformer(
                    spec, make_tokens(len(mean), image_size, grid, width), grid, coarse, num_classes, position,
                    learned_position, feature_reuse, relation_reuse, drop_path,
                )
            )  # fmt: skip

    def collate(self, samples: Sequence[ImageSample]) -> Batch:
        """Images of one size -> pixels (b, c, h, w) in [0, 1]."""
        pixels = torch.stack([sample.pixels for sample in samples])
        if pixels.shape[1] != len(self.mean[0]) or max(pixels.shape[2:]) > self.image_size:
            raise ExitbenchError(
                f"images: expected {len(self.mean[0])} channels and at most {self.image_size} pixels a side, "
                f"got {tuple(pixels.shape[1:])}; choose a dataset or a model that fits"
            )
        return Batch({"pixels": pixels}, torch.zeros(len(samples), dtype=torch.int64))

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """See `EarlyExitModel.exits`."""
        return staged_exits(self, batch)

    def begin(self, batch: Batch) -> Running:
        """See `StagedModel`: normalised pixels, and no tensors to reuse yet."""
        return self._normalise(batch.inputs["pixels"]), None

    def stage(self, running: Running, depth: int) -> tuple[Tensor, Running]:
        """Run transformer `depth`, head included."""
        pixels, reused = self.advance(running, depth)
        transformer = cast(Transformer, self.transformers[depth - 1])
        assert reused is not None
        return transformer.answer(reused.features), (pixels, reused)

    def advance(self, running: Running, depth: int) -> Running:
        """Run transformer `depth` without its head."""
        pixels, before = running
        transformer = self.transformers[depth - 1]
        return pixels, transformer(pixels, before, return_logits=self.relation_reuse and depth < self.num_exits)

    def select(self, running: Running, rows: Tensor) -> Running:
        """Select images, their pixels and their reused tensors."""
        pixels, reused = running
        return pixels[rows], None if reused is None else reused.select(rows)

    def join(self, parts: Sequence[Running]) -> Running:
        """Images in order, with their reused tensors."""
        reused = [before for _, before in parts if before is not None]
        relations = [torch.cat(blocks) for blocks in zip(*(one.relations for one in reused), strict=True)]
        features = torch.cat([one.features for one in reused])
        return torch.cat([pixels for pixels, _ in parts]), Reused(features, relations)

    def _normalise(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[2:]
        spare_h, spare_w = self.image_size - height, self.image_size - width
        if spare_h or spare_w:
            sides = (spare_w // 2, spare_w - spare_w // 2, spare_h // 2, spare_h - spare_h // 2)
            pixels = nn.functional.pad(pixels, sides)
        return (pixels - self.mean) / self.std

    def trainable_state(self) -> dict[str, Tensor]:
        """The checkpoint's content: the whole state."""
        return dict(self.state_dict())

    def probe(self, length: int) -> Batch:
        """One grey image; all images cost the same."""
        size = self.image_size
        pixels = torch.full((1, len(self.mean[0]), size, size), 0.5, device=self.mean.device, dtype=self.mean.dtype)
        return Batch({"pixels": pixels}, torch.zeros(1, dtype=torch.int64, device=self.mean.device))

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Cumulative MACs of one image to each exit (E,), by a formula."""
        total, cumulative = 0, []
        transformer: Any
        for transformer in self.transformers:
            total += transformer.tokens.macs + transformer.closed_form_macs()
            cumulative.append(total)
        return tuple(cumulative)


def _check(num_classes: int, grids: Sequence[int], width: int, heads: int, tokenizer: str) -> None:
    if num_classes < 2:
        raise ExitbenchError(f"num_classes: expected at least 2, got {num_classes}")
    if not grids or list(grids) != sorted(set(grids)) or grids[0] < 1:
        raise ExitbenchError(f"grids: expected growing sizes such as [7, 10, 14], got {list(grids)}")
    if width % heads:
        raise ExitbenchError(f"heads: expected a divisor of width {width}, got {heads}")
    if tokenizer not in TOKENIZERS:
        raise ExitbenchError(f"tokenizer: expected one of {sorted(TOKENIZERS)}, got {tokenizer!r}")


def build(checkpoint: str = "", **architecture: object) -> DVT:
    """A DVT, with weights if `checkpoint` names a file.

    checkpoint: a name in `benchmark/weights`, a safetensors file, or a file that the authors released (.pth.tar);
        of the latter, thresholds and published figures are kept in `official`.

    Raises:
        ExitbenchError: a model that cannot be built, a file that cannot be read safely, or keys that do not fit.
    """
    model = DVT(**architecture)  # type: ignore[arg-type]
    if split_choice(checkpoint)[0].endswith(RELEASED_ENDINGS):
        _load_released(model, checkpoint)
    elif checkpoint:
        model.weights_hash = load_weights(model, checkpoint)
    return model.eval()


def _load_released(model: DVT, checkpoint: str) -> None:
    path = weights_path(checkpoint)
    state, facts = read_released(path, split_choice(checkpoint)[1])
    ours = renamed(state)
    check_state(model.state_dict(), ours, path.name)
    for name in ("dynamic_threshold", "flops", "anytime_classification"):
        shape = torch.as_tensor(facts.get(name, [0] * model.num_exits)).shape
        if shape[-1:] != (model.num_exits,):
            raise ExitbenchError(
                f"model.checkpoint: expected {name} of {model.num_exits} exits in {path.name}, got shape {tuple(shape)}"
            )
    model.load_state_dict(ours)
    model.official = facts
    model.weights_hash = weights_id(path, checkpoint)


def from_official(name: str, state: Mapping[str, Tensor]) -> DVT:
    """Our model with a released `model_state_dict`; name is DVT_Deit_small, DVT_T2t_vit_12 or DVT_T2t_vit_14.

    Raises:
        ExitbenchError: another name; keys that are missing, unknown or misshapen, the first few and the counts.
    """
    heads = [value for key, value in state.items() if key.endswith("token.head.weight")]
    model = DVT(num_classes=len(heads[0]) if heads else 1000, **architecture(name))
    ours = renamed(state)
    check_state(model.state_dict(), ours, name)
    model.load_state_dict(ours)
    return model.eval()
