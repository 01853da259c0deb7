"""A BERT-like encoder that can answer after its layers: the family that SAME (ACL 2023) attacks.

Exits as in DeeBERT, PABEE and BERxiT: a head after every layer, or after the layers listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.layers.exit_head import make_heads
from benchmark.layers.low_rank import add_low_rank
from benchmark.types import Batch, ExitbenchError, TextSample
from benchmark.weights_io import check_state, read_weights, weights_path


class MultiExitBert(nn.Module):
    """An encoder from transformers with an exit head after each of `layers` (1-based, growing).

    Args:
        backbone: a `BertModel`-like module: `embeddings`, `encoder.layer`, `config`.
        tokenizer: its fast tokenizer.
        pooling: "cls" or "mean" over the sample's own tokens.
        pooler: dense + tanh before the classifier: "none", "own" or "shared".
        max_length: longest input in tokens; longer texts are cut and counted in `Batch.truncated`.
        learn_to_exit: every exit yields a column after its logits, the learned certainty that its answer is right,
            before the sigmoid (BERxiT); `extra_columns` says how many there are.

    Raises:
        ExitbenchError: layers that do not grow or are not there; unknown pooling or pooler.
    """

    kind = "text"

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: Any,
        num_classes: int,
        layers: Sequence[int],
        pooling: str = "mean",
        pooler: str = "own",
        max_length: int = 128,
        dropout: float = 0.1,
        learn_to_exit: bool = False,
    ) -> None:
        super().__init__()
        config: Any = backbone.config
        if (
            not layers
            or list(layers) != sorted(set(layers))
            or not 1 <= layers[0] <= layers[-1] <= config.num_hidden_layers
        ):
            raise ExitbenchError(
                f"model.layers: expected growing layers within 1 … {config.num_hidden_layers}, got {list(layers)}"
            )
        self.backbone, self.tokenizer = backbone, tokenizer
        self.layers, self.max_length = tuple(layers), max_length
        self.num_exits, self.num_classes, self.extra_columns = len(layers), num_classes, int(learn_to_exit)
        self.heads = make_heads(len(layers), config.hidden_size, num_classes, pooling, pooler, dropout, learn_to_exit)
        self.weights_hash = "untrained"

    @property
    def word_embeddings(self) -> Tensor:
        """The input embedding table (V, d)."""
        embeddings: Any = self.backbone.embeddings
        return embeddings.word_embeddings.weight

    def collate(self, samples: Sequence[TextSample]) -> Batch:
        """Tokenise, pad to the longest, cut at `max_length`."""
        texts = [list(sample.texts) for sample in samples]
        pairs = {len(text) for text in texts}
        if pairs not in ({1}, {2}):
            raise ExitbenchError(f"texts: expected one text or two in every sample, got {sorted(pairs)}")
        columns = list(zip(*texts, strict=True))
        encoded = self.tokenizer(
            *[list(column) for column in columns],
            padding=True, truncation=True, max_length=self.max_length, return_tensors="pt",
        )  # fmt: skip
        lengths = encoded["attention_mask"].sum(1)
        return Batch(dict(encoded), lengths, self._count_cut(columns, lengths))

    def _count_cut(self, columns: Sequence[Sequence[str]], lengths: Tensor) -> int:
        if int(lengths.max()) < self.max_length:
            return 0
        full = self.tokenizer(*[list(column) for column in columns], truncation=False, verbose=False)["input_ids"]
        return sum(len(ids) > self.max_length for ids in full)

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """See `EarlyExitModel.exits`. A batch may carry `inputs_embeds` (b, T, d) in place of `input_ids`."""
        inputs = batch.inputs
        backbone: Any = self.backbone
        given = inputs.get("inputs_embeds")
        hidden = backbone.embeddings(
            input_ids=inputs["input_ids"] if given is None else None,
            token_type_ids=inputs.get("token_type_ids"),
            inputs_embeds=given,
        )  # (b, T, d)
        mask = inputs["attention_mask"] if len(batch) > 1 and int(batch.lengths.min()) < hidden.shape[1] else None
        heads = iter(self.heads)
        for depth, layer in enumerate(backbone.encoder.layer, 1):
            attend = None if mask is None else mask[:, None, None, :].bool()  # (b, 1, 1, T)
            hidden = layer(hidden, attend)
            if depth in self.layers:
                keep = yield next(heads)(hidden, mask)
                if depth == self.layers[-1]:
                    return
                if keep is not None:
                    hidden, mask = hidden[keep], None if mask is None else mask[keep]

    def probe(self, length: int) -> Batch:
        """One text of `length` tokens."""
        device = self.word_embeddings.device
        ids = torch.ones(1, length, dtype=torch.int64, device=device)
        return Batch({"input_ids": ids, "attention_mask": ids}, ids.sum(1))

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Cumulative MACs of one text of `length` tokens to each exit (E,), by arithmetic."""
        config: Any = self.backbone.config
        d, hidden = config.hidden_size, config.intermediate_size
        layer = 4 * length * d * d + 2 * length**2 * d + 2 * length * d * hidden
        cumulative, heads = [], 0
        for depth, head in zip(self.layers, self.heads, strict=True):
            heads += head.closed_form_macs()  # type: ignore[operator]
            cumulative.append(depth * layer + heads)
        return tuple(cumulative)

    def trainable_state(self) -> dict[str, Tensor]:
        """What training changes, and so what a checkpoint holds: heads, and low-rank updates or the backbone."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


def build(
    backbone: str,
    num_classes: int,
    layers: Sequence[int] = (),
    checkpoint: str = "",
    low_rank: int = 0,
    pooling: str = "mean",
    pooler: str = "own",
    max_length: int = 128,
    dropout: float = 0.1,
    learn_to_exit: bool = False,
) -> MultiExitBert:
    """A multi-exit encoder.

    Args:
        backbone: an asset name ("minilm"), a hub id or a local folder.
        layers: where the exits are, 1-based; empty for all.
        low_rank: rank of the updates that the checkpoint holds; 0 where it holds the backbone itself.
        checkpoint: a name in `benchmark/weights` or a safetensors file; empty for an untrained model.
    """
    from transformers import AutoModel, AutoTokenizer

    from benchmark.assets import backbone as fetch_backbone
    from benchmark.files import sha256_file

    folder = fetch_backbone(backbone)
    encoder = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    listed = tuple(layers) or tuple(range(1, encoder.config.num_hidden_layers + 1))
    model = MultiExitBert(encoder, tokenizer, num_classes, listed, pooling, pooler, max_length, dropout, learn_to_exit)
    merge = add_low_rank(model.backbone, low_rank) if low_rank else lambda: None
    if checkpoint:
        path = weights_path(checkpoint)
        state = read_weights(path)
        check_state(model.trainable_state(), state, path.name)
        model.load_state_dict(state, strict=False)
        merge()
        both = sha256_file(folder / "model.safetensors") + sha256_file(path)
        model.weights_hash = hashlib.sha256(both.encode()).hexdigest()
    return model.eval()
