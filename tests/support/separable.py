"""Sentences that one word decides, and a small reader to train on them."""

import torch
from attack_doubles import VOCABULARY, tokenizer
from transformers import BertConfig, BertModel

from benchmark.models.layers.low_rank import add_low_rank
from benchmark.models.multi_exit_bert import MultiExitBert
from benchmark.types import Dataset, TextSample


def sentences(count: int = 64) -> Dataset:
    """2 to 9 words each, one of them "great" or "awful": the label."""
    draw = torch.Generator().manual_seed(0)
    words = [word for word in VOCABULARY.split() if word not in ("great", "awful")]
    samples = []
    for n in range(count):
        chosen = [words[i] for i in torch.randint(len(words), (1 + n % 8,), generator=draw).tolist()]
        samples.append(TextSample(n, n % 2, (" ".join([*chosen, ("awful", "great")[n % 2]]),)))
    part = count // 4
    return Dataset("separable", 1, "text", 2, ("bad", "good"), samples[2 * part :], samples[:part],
                   samples[part : 2 * part], "made-up")  # fmt: skip


def student(low_rank: int = 0, pooler: str = "own", learn_to_exit: bool = False, dropout: float = 0.1) -> MultiExitBert:
    """A BERT of four layers with an exit after each; with a rank, its backbone is frozen and updates are added."""
    words = tokenizer()
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, initializer_range=0.2, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    backbone = BertModel(config, add_pooling_layer=False)
    model = MultiExitBert(backbone, words, 2, range(1, 5), "mean", pooler, 32, dropout, learn_to_exit)
    if low_rank:
        add_low_rank(model.backbone, low_rank)
    return model.eval()


def state(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def changed(before: dict[str, torch.Tensor], model) -> set[str]:
    """Names of the parameters that are not bit for bit what they were."""
    return {name for name, value in model.named_parameters() if not torch.equal(before[name], value)}
