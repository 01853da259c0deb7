"""A random encoder of every family at its smallest, with a tokenizer, for tests that must hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attack_doubles import PIECES, TEXTS, VOCABULARY
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from benchmark.models.multi_exit_bert import MultiExitBert
from benchmark.types import TextSample

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = 100  # rows of the embedding table; the tokenizer knows fewer
_COMMON: dict[str, Any] = {
    "vocab_size": WORDS, "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 24,
    "max_position_embeddings": 40, "initializer_range": 0.5,
}  # fmt: skip

CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": lambda: BertConfig(**_COMMON),
    "roberta": lambda: RobertaConfig(**_COMMON, type_vocab_size=1, pad_token_id=1),
    "camembert": lambda: CamembertConfig(**_COMMON, type_vocab_size=1, pad_token_id=1),
    "albert": lambda: AlbertConfig(**_COMMON, embedding_size=8),
    "albert_groups": lambda: AlbertConfig(
        **{**_COMMON, "num_hidden_layers": 4}, embedding_size=8, num_hidden_groups=2, inner_group_num=2
    ),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=WORDS, dim=16, hidden_dim=24, n_layers=3, n_heads=2, max_position_embeddings=40,
        initializer_range=0.5,
    ),
    "electra": lambda: ElectraConfig(**_COMMON, embedding_size=8),
    "electra_wide": lambda: ElectraConfig(**_COMMON, embedding_size=16),
    "mpnet": lambda: MPNetConfig(**_COMMON, pad_token_id=1),
    # DeBERTa-v3's way, and v2-xlarge's: a convolution, segments, narrow embeddings, keys of their own for positions.
    "deberta_v3": lambda: DebertaV2Config(
        **_COMMON, relative_attention=True, position_buckets=4, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
    ),
    "deberta_v2_xlarge": lambda: DebertaV2Config(
        **_COMMON, relative_attention=True, pos_att_type=["c2p"], share_att_key=False, conv_kernel_size=3,
        conv_act="gelu", type_vocab_size=2, embedding_size=8,
    ),
    # Windows of two tokens to each side, so that most texts are longer; global attention in the first and last layer.
    "modernbert": lambda: ModernBertConfig(
        **{**_COMMON, "num_hidden_layers": 4}, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
        sep_token_id=3, local_attention=4, global_attn_every_n_layers=3,
    ),
}  # fmt: skip


def tokenizer(pad: int = 0, more: list[str] | None = None) -> PreTrainedTokenizerFast:
    """The attack doubles' words, the padding token at id `pad`; `more` words at the end."""
    words = [token for token in SPECIAL if token != "[PAD]"]
    special = [*words[:pad], "[PAD]", *words[pad:]]
    vocab = {word: n for n, word in enumerate([*special, *VOCABULARY.split(), *PIECES, *",.!;:()-", *(more or [])])}
    made = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]", model_input_names=inputs, **names)


def backbone(family: str) -> Any:
    """The library's model, random, its pooler left out."""
    torch.manual_seed(5)
    made = AutoModel.from_config(CONFIGS[family]()).eval()
    if hasattr(made, "pooler"):
        made.pooler = None
    return made


def encoder(family: str, **changed: Any) -> MultiExitBert:
    """A multi-exit model of that family, an exit after every layer."""
    made = backbone(family)
    pad = made.config.pad_token_id
    arguments: dict[str, Any] = {"num_classes": 3, "layers": range(1, made.config.num_hidden_layers + 1),
                                 "pooling": "mean", "pooler": "own", "max_length": 32}  # fmt: skip
    return MultiExitBert(made, tokenizer(pad), **{**arguments, **changed}).eval()


def pairs(count: int = 6) -> list[TextSample]:
    """Pairs of texts of several lengths."""
    return [TextSample(n, n % 3, (TEXTS[n % 6], TEXTS[(n + 1) % 6][: 8 + 5 * n])) for n in range(count)]
