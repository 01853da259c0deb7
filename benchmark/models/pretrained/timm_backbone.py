"""Vision transformers of the timm library, with random or pretrained weights, checked to be what exits need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from benchmark.data.sources.hub import download
from benchmark.types import ExitbenchError
from benchmark.utils.files import sha256_file

WEIGHTS_FILE = "model.safetensors"
FEW = "vit_tiny_patch16_224, deit_small_patch16_224 or vit_small_patch14_reg4_dinov2"


def make(name: str, num_classes: int, pretrained: bool | str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
    """A `VisionTransformer` of timm and the sha256 of the weights it starts from ("" for random ones).

    Args:
        name: any of timm's ViT or DeiT names, e.g. "vit_tiny_patch16_224".
        pretrained: false, true for timm's weights on the hub, or a local file (safetensors, or tensors-only pickle).
        arguments: what timm's constructor takes: img_size, patch_size, embed_dim, depth, num_heads, in_chans …
            Position embeddings and patch filters of pretrained weights are resampled to another img_size or patch_size.

    Raises:
        ExitbenchError: a name timm has not or that is no ViT; arguments or weights that do not fit; no weights.
    """
    import timm
    from timm.layers.patch_embed import PatchEmbed
    from timm.models.vision_transformer import VisionTransformer

    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*patch*")[:4]
        raise ExitbenchError(f"model.backbone: expected a ViT of timm, such as {', '.join(near) or FEW}; got {name!r}")
    file = _weights_file(name, pretrained)
    overlay = _overlay(name, file) if file else None
    try:
        backbone = timm.create_model(
            name, pretrained=bool(file), pretrained_cfg_overlay=overlay, num_classes=num_classes, **arguments
        )
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ExitbenchError(
            f"model.backbone: timm cannot make {name} with {dict(arguments)}: {_line(error)}"
        ) from error
    if not isinstance(backbone, VisionTransformer) or type(backbone.patch_embed) is not PatchEmbed:
        raise ExitbenchError(
            f"model.backbone: expected a plain ViT with square patches, such as {FEW}; got {name!r}, "
            f"a {type(backbone).__name__}"
        )
    if backbone.dynamic_img_size:
        raise ExitbenchError("model.backbone_args: expected one image size, got dynamic_img_size; set img_size")
    config: Any = backbone.pretrained_cfg
    config.pop("state_dict", None)
    return backbone, sha256_file(file) if file else ""


def _weights_file(name: str, pretrained: bool | str) -> Path | None:
    if pretrained is False or pretrained == "":
        return None
    if pretrained is not True:
        path = Path(str(pretrained)).expanduser()
        if not path.is_file():
            raise ExitbenchError(f"model.pretrained: expected true, false or a weights file, got {pretrained!r}")
        return path
    import timm

    config: Any = timm.get_pretrained_cfg(name)
    repo = getattr(config, "hf_hub_id", None)
    if not repo:
        raise ExitbenchError(f"model.pretrained: timm names no hub weights for {name!r}; name a tag, or give a file")
    repo = f"{repo}{name}" if repo.endswith("/") else repo
    try:
        return download(repo, WEIGHTS_FILE)
    except Exception as error:
        raise ExitbenchError(
            f"model.pretrained: expected the weights {repo} on the hub, got {_line(error)}; connect, set HF_ENDPOINT "
            "to a mirror, give a local file as model.pretrained, or train from random weights with pretrained=false"
        ) from error


def _overlay(name: str, file: Path) -> dict[str, Any]:
    """What timm's configuration must say about a weights file: its tensors, its classes and its channels.

    timm loads files of other classes or channels by what the configuration says of them, not by what they hold.
    """
    import timm
    from timm.models import load_state_dict

    try:
        state = load_state_dict(str(file))  # safetensors, or a pickle that may hold tensors only
    except (RuntimeError, ValueError, OSError, KeyError, EOFError, SafetensorError) as error:
        raise ExitbenchError(
            f"model.pretrained: {file} holds no weights that are safe to read: {_line(error)}"
        ) from error
    overlay: dict[str, Any] = {"state_dict": state}
    if "head.weight" in state:
        overlay["num_classes"] = state["head.weight"].shape[0]
    if "patch_embed.proj.weight" in state and state["patch_embed.proj.weight"].ndim == 4:
        usual: Any = timm.get_pretrained_cfg(name)
        size = usual.input_size[1:] if usual else (224, 224)
        overlay["input_size"] = (state["patch_embed.proj.weight"].shape[1], *size)
    return overlay


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def closed_form_macs(backbone: Any) -> tuple[int, int]:
    """MACs of the patch embedding, and of one block over all tokens, by arithmetic on the layers' shapes."""
    embed = backbone.patch_embed
    patches = embed.num_patches
    kernel = embed.proj.weight.numel()  # width × channels × patch²
    tokens = patches + backbone.num_prefix_tokens
    block = backbone.blocks[0]
    linear = sum(layer.weight.numel() for layer in block.modules() if isinstance(layer, nn.Linear))
    attention = 2 * tokens**2 * block.attn.num_heads * block.attn.head_dim
    return patches * kernel, tokens * linear + attention
