"""Small random models for attack tests: an image model, a BERT with a vocabulary of some forty words, samples."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cache

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from benchmark.attacks import forward
from benchmark.models.multi_exit_bert import MultiExitBert
from benchmark.policies import replay as exit_depths
from benchmark.policies.entropy import Entropy
from benchmark.types import Batch, ImageSample, TextSample

VOCABULARY = """
    movie film actor plot scene story music ending hero voice great awful bright dull warm cold brave silly slow quick
    loved hated watched sang danced wrote told gave lost found green river stone paper garden window doctor the a was
    and
"""
PIECES = ["play", "##ful", "##ness", "##ing", "un", "##kind", "don", "t", "##2", "1", "0"]
TEXTS = (
    "The movie was great and the actor sang, but playfulness lost!",
    "Awful plot; silly story. The HERO danced slow and found a garden window.",
    "it was the",
    "unkind music, cold ending: the doctor wrote a story and hated the river.",
    "Bright green paper (warm voice) - quick scene 10",
    "The film was dull",
)


class Pictures(nn.Module):
    """Four exits on 1×5×5 images, each a random non-linear function of the pixels."""

    num_exits, num_classes, kind = 4, 3, "image"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.stages = nn.ParameterList([torch.randn(25, 25, generator=generator) / 2 for _ in range(4)])
        self.heads = nn.ParameterList([torch.randn(25, 3, generator=generator) for _ in range(4)])

    def collate(self, samples: Sequence[ImageSample]) -> Batch:
        pixels = torch.stack([sample.pixels for sample in samples])
        return Batch({"pixels": pixels}, torch.zeros(len(samples), dtype=torch.long))

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        hidden = (batch.inputs["pixels"].flatten(1) - 0.5) * 2  # (b, 25)
        for stage, head in zip(self.stages, self.heads, strict=True):
            hidden = torch.tanh(hidden @ stage)
            keep = yield hidden @ head / 2
            hidden = hidden if keep is None else hidden[keep]


def pictures(count: int) -> list[ImageSample]:
    """Random images with some pixels at the ends of the range."""
    generator = torch.Generator().manual_seed(2)
    values = (torch.rand(count, 1, 5, 5, generator=generator) * 1.4 - 0.2).clamp(0, 1)
    return [ImageSample(n, n % 3, pixels) for n, pixels in enumerate(values)]


@cache
def tokenizer(lower_cased: bool = True) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer with a small vocabulary; the cased one has some capitalised words too."""
    capitals = [] if lower_cased else ["The", "Movie", "Film", "River", "Stone"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = [*special, *VOCABULARY.split(), *capitals, *PIECES, *",.!;:()-"]
    result = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocab)}, unk_token="[UNK]"))
    result.normalizer = normalizers.BertNormalizer(lowercase=lower_cased)
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    result.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=result, mask_token="[MASK]", **names)


def reader(lower_cased: bool = True, max_length: int = 32) -> MultiExitBert:
    """A four-layer BERT with random weights, large enough that exits differ."""
    words = tokenizer(lower_cased)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, initializer_range=0.6,
    )  # fmt: skip
    model = MultiExitBert(BertModel(config, add_pooling_layer=False), words, 2, range(1, 5), "mean", "none", max_length)
    for head in model.heads:
        for weight in head.parameters():
            nn.init.normal_(weight, std=0.7)
    return model.eval()


def sentences(pairs: bool = False) -> list[TextSample]:
    """One sample per text, or per pair of a text and the next."""
    others = [*TEXTS[1:], TEXTS[0]]
    return [
        TextSample(n, n % 2, (text, other) if pairs else (text,))
        for n, (text, other) in enumerate(zip(TEXTS, others, strict=True))
    ]


def halfway(model: MultiExitBert, samples: Sequence[TextSample]) -> Entropy:
    """The entropy rule at which about half of the samples leave at the first exit."""
    with torch.no_grad():
        logits = forward.all_exits(model, model.collate(samples))
    return Entropy(float(exit_depths.signals(Entropy(1.0), logits)[:, 0].sort().values[len(samples) // 2]) + 1e-3)
