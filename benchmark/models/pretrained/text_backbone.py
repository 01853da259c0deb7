"""A text encoder and its tokenizer from a folder as the transformers library writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data.sources.assets import backbone
from benchmark.models.pretrained.released_bert import backbone_of, renamed
from benchmark.models.pretrained.weights import check_state, read_tensors, weights_in
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

_ELASTICBERT = "elasticbert"  # a model type the library does not know: BERT with a pooler per layer
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_NO_CONFIG = ("model_type", "architectures", "transformers_version", "torch_dtype", "auto_map")


@dataclass(frozen=True, eq=False)
class TextBackbone:
    """An encoder without a pooler, its tokenizer, and the pre-trained poolers by layer (1-based).

    One pooler that was trained on the last layer stands under 0, for all layers. file: where the weights came from.
    """

    encoder: Any
    tokenizer: PreTrainedTokenizerBase
    poolers: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    file: Path | None = None


def named(name: str) -> TextBackbone:
    """An asset, a hub id or a local folder, weights included; errors as of `assets.backbone` and `pretrained`."""
    return pretrained(backbone(name))


def released(file: Path, keys: list[str], instead: str) -> TextBackbone:
    """The encoder that a released checkpoint `file` with these keys will fill, its weights still random.

    Configuration and tokenizer lie beside the file; where they do not, those of `instead`, a backbone, are taken.
    """
    own = file.parent
    configured = own if (own / "config.json").is_file() else backbone(instead)
    worded = own if any((own / name).is_file() for name in _VOCABULARIES) else backbone(instead)
    return _from_config(configured, keys, _tokenizer(worded))


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    """Raise where a tokenizer cannot be of a model with `size` rows of word embeddings.

    Raises:
        ExitbenchError: ids beyond the table; no padding token.
    """
    highest = max(tokenizer.get_vocab().values())
    if highest >= size:
        raise ExitbenchError(
            f"model.tokenizer: expected ids below {size}, the rows of the embedding table, got {highest}; "
            "it is another model's"
        )
    if tokenizer.pad_token_id is None:
        raise ExitbenchError("model.tokenizer: expected one with a padding token, got none")


def pretrained(folder: Path) -> TextBackbone:
    """Encoder, tokenizer and poolers of a folder, weights included.

    Raises:
        ExitbenchError: the library cannot read it, or weights are missing in it.
    """
    from transformers import AutoConfig, AutoModel

    if _config(folder).get("model_type") == _ELASTICBERT:
        return _load_elasticbert(folder)
    try:
        encoder, info = AutoModel.from_pretrained(
            folder, local_files_only=True, weights_only=True, output_loading_info=True,
            attn_implementation=_attention(AutoConfig.from_pretrained(folder, local_files_only=True)),
        )  # fmt: skip
    except Exception as error:
        raise _unreadable(folder, error) from error
    absent = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if absent and any(key.startswith(f"{_ELASTICBERT}.") for key in info["unexpected_keys"]):
        return _load_elasticbert(folder)
    if absent:
        raise ExitbenchError(
            f"model.backbone: {folder} lacks {len(absent)} of the encoder's weights ({'; '.join(absent[:3])})"
        )
    found = None if any(key.startswith("pooler.") for key in info["missing_keys"]) else _take_pooler(encoder)
    _drop_pooler(encoder)
    file = weights_in(folder, "model.backbone")
    return TextBackbone(encoder, _tokenizer(folder), {0: found} if found else {}, file)


def _from_config(folder: Path, keys: list[str], tokenizer: PreTrainedTokenizerBase) -> TextBackbone:
    """The encoder that a released checkpoint's configuration describes, its weights random, to be loaded over.

    keys: the checkpoint's, which say what architecture it is where old configurations do not.
    """
    from transformers import AutoConfig, AutoModel

    settings = {name: value for name, value in _config(folder).items() if name not in _NO_CONFIG}
    try:
        config = AutoConfig.for_model(backbone_of(keys), **settings)
        encoder = AutoModel.from_config(config, attn_implementation=_attention(config))
    except Exception as error:
        raise _unreadable(folder, error) from error
    _drop_pooler(encoder)
    return TextBackbone(encoder, tokenizer)


def _attention(config: Any) -> str:
    """Torch's fused attention where the library has it for this architecture, else eager (MPNet, DeBERTa)."""
    from transformers import MODEL_MAPPING

    architecture = MODEL_MAPPING[type(config)]
    return "sdpa" if getattr(architecture, "_supports_sdpa", False) else "eager"


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder.

    Raises:
        ExitbenchError: the library cannot make one of what is there.
    """
    from transformers import AutoTokenizer, BertTokenizerFast  # type: ignore[attr-defined]

    unknown = _config(folder).get("model_type") in (_ELASTICBERT, None) and (folder / "vocab.txt").is_file()
    reader: Any = BertTokenizerFast if unknown else AutoTokenizer
    try:
        return reader.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ExitbenchError(f"model.tokenizer: cannot read one in {folder} ({_one_line(error)})") from error


def _load_elasticbert(folder: Path) -> TextBackbone:
    file = weights_in(folder, "model.backbone")
    state = read_tensors(file)
    made = _from_config(folder, list(state), _tokenizer(folder))
    depth = made.encoder.config.num_hidden_layers
    ours = renamed(state, range(1, depth + 1), depth)
    weights = {key.removeprefix("backbone."): value for key, value in ours.items() if key.startswith("backbone.")}
    check_state(dict(made.encoder.named_parameters()), weights, file.name)
    made.encoder.load_state_dict(weights, strict=False)
    poolers: dict[int, dict[str, Tensor]] = {}
    for key, value in ours.items():
        if key.startswith("heads.") and ".dense." in key:
            layer, tensor = key.split(".")[1], key.rsplit(".", 1)[1]
            poolers.setdefault(int(layer) + 1, {})[tensor] = value
    return TextBackbone(made.encoder, made.tokenizer, poolers, file)


def _config(folder: Path) -> dict[str, object]:
    file = folder / "config.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExitbenchError(f"model: expected the encoder's configuration in {file} ({error})") from error


def _take_pooler(encoder: Any) -> dict[str, Tensor] | None:
    pooler = getattr(encoder, "pooler", None)
    dense = getattr(pooler, "dense", pooler)
    return {name: value.detach().clone() for name, value in dense.named_parameters()} if dense is not None else None


def _drop_pooler(encoder: Any) -> None:
    """Exits have their own; the library's forward skips one that is None."""
    if hasattr(encoder, "pooler"):
        encoder.pooler = None


def _unreadable(folder: Path, error: Exception) -> ExitbenchError:
    return ExitbenchError(f"model.backbone: the transformers library cannot read {folder} ({_one_line(error)})")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
