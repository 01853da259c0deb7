"""A text encoder that can answer after its layers: the family that SAME (ACL 2023) attacks.

Exits as in DeeBERT, PABEE, BERxiT and ElasticBERT: a head after every layer, or after the layers listed, of any
encoder that `layers/encoders.py` has a view of: BERT, MiniLM, RoBERTa, ALBERT, DistilBERT, ELECTRA, ElasticBERT, MPNet,
DeBERTa-v2 and v3, ModernBERT.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from benchmark.models.layers.encoders import encoder_of
from benchmark.models.layers.exit_head import ExitHead, init_poolers, make_heads
from benchmark.models.layers.low_rank import add_low_rank
from benchmark.models.layers.staged import Running, join_padded, staged_exits
from benchmark.models.pretrained import text_backbone
from benchmark.models.pretrained.checkpoints import checkpoint_file
from benchmark.models.pretrained.released_bert import layout, renamed
from benchmark.models.pretrained.text_backbone import check_tokenizer
from benchmark.models.pretrained.weights import check_state, read_tensors, weights_id
from benchmark.models.pretrained.wrappers import split_choice
from benchmark.types import Batch, ExitbenchError, TextSample
from benchmark.utils.files import sha256_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class MultiExitBert(nn.Module):
    """An encoder from transformers with an exit head after each of `layers` (1-based, growing).

    Args:
        backbone: an encoder of the transformers library, its pooler left out.
        tokenizer: its fast tokenizer.
        pooling: "cls" or "mean" over the sample's own tokens.
        pooler: dense + tanh before the classifier: "none", "own" or "shared".
        max_length: longest input in tokens; longer texts are cut and counted in `Batch.truncated`.
        learn_to_exit: every exit yields a column after its logits, the learned certainty that its answer is right,
            before the sigmoid (BERxiT); `extra_columns` says how many there are.

    Raises:
        ExitbenchError: layers that do not grow or are not there; unknown pooling or pooler; a `max_length` beyond
            the positions there are; a tokenizer with ids outside the embedding table, or that cannot pad.
    """

    kind = "text"

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        num_classes: int,
        layers: Sequence[int],
        pooling: str = "mean",
        pooler: str = "own",
        max_length: int = 128,
        dropout: float = 0.1,
        learn_to_exit: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder = encoder_of(backbone)
        if not layers or list(layers) != sorted(set(layers)) or not 1 <= layers[0] <= layers[-1] <= encoder.depth:
            raise ExitbenchError(
                f"model.layers: expected growing layers within 1 … {encoder.depth}, got {list(layers)}"
            )
        if not 2 < max_length <= encoder.longest:
            raise ExitbenchError(
                f"model.max_length: expected 3 … {encoder.longest} tokens, the backbone's positions, got {max_length}"
            )
        check_tokenizer(tokenizer, len(encoder.table))
        self.backbone, self.tokenizer = backbone, tokenizer
        self.layers, self.max_length = tuple(layers), max_length
        self.num_exits, self.num_classes, self.extra_columns = len(layers), num_classes, int(learn_to_exit)
        self.heads = make_heads(len(layers), encoder.width, num_classes, pooling, pooler, dropout, learn_to_exit)
        self.weights_hash = "untrained"
        # For cache keys: where the model differs from exits after the first layers with mean pooling.
        self.settings = {
            **({} if self.layers == tuple(range(1, self.num_exits + 1)) else {"layers": self.layers}),
            **({} if pooling == "mean" else {"pooling": pooling}),
        }

    @property
    def word_embeddings(self) -> Tensor:
        """The input embedding table (V, e)."""
        return self.encoder.table

    def collate(self, samples: Sequence[TextSample]) -> Batch:
        """Tokenise, pad to the longest, truncate at `max_length`."""
        texts = [list(sample.texts) for sample in samples]
        pairs = {len(text) for text in texts}
        if pairs not in ({1}, {2}):
            raise ExitbenchError(f"texts: expected one text or two in every sample, got {sorted(pairs)}")
        text, pair = [one[0] for one in texts], [one[1] for one in texts] if pairs == {2} else None
        encoded = self.tokenizer(
            text, pair, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        lengths = encoded["attention_mask"].sum(1)
        return Batch(dict(encoded), lengths, self._count_truncated(text, pair, lengths))

    def _count_truncated(self, text: list[str], pair: list[str] | None, lengths: Tensor) -> int:
        if int(lengths.max()) < self.max_length:
            return 0
        full = self.tokenizer(text, pair, truncation=False, verbose=False)["input_ids"]
        return sum(len(ids) > self.max_length for ids in full)

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """See `EarlyExitModel.exits`. A batch may carry `inputs_embeds` (b, T, d) in place of `input_ids`."""
        return staged_exits(self, batch)

    def begin(self, batch: Batch) -> Running:
        """See `StagedModel`: embeddings (b, T, d), and the mask (b, T) if any text is padded."""
        hidden = self.encoder.embed(batch.inputs)  # (b, T, d)
        padded = len(batch) > 1 and int(batch.lengths.min()) < hidden.shape[1]
        return hidden, batch.inputs["attention_mask"] if padded else None

    def stage(self, running: Running, depth: int) -> tuple[Tensor, Running]:
        """Run the layers up to exit `depth` from the exit before, and its head."""
        hidden, mask = running = self.advance(running, depth)
        return self.heads[depth - 1](self.encoder.output(hidden), mask), running

    def advance(self, running: Running, depth: int) -> Running:
        """Run the layers up to exit `depth` from the exit before, without its head."""
        hidden, mask = running
        return self.encoder.run(hidden, mask, (0, *self.layers)[depth - 1], self.layers[depth - 1]), mask

    def select(self, running: Running, rows: Tensor) -> Running:
        """Select texts by a mask (b,) or by row numbers, and remove padding that is no longer needed."""
        hidden, mask = running
        if mask is None:
            return hidden[rows], None
        mask = mask[rows]
        ends = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)  # (b,), padding is on the right
        longest, fewest = torch.stack([ends.max(), mask.sum(1).min()]).tolist()  # one wait for the device
        return hidden[:, :longest][rows], None if fewest == longest else mask[:, :longest]

    def join(self, parts: Sequence[Running]) -> Running:
        """Texts in order, padded to the longest."""
        return join_padded(parts)

    def probe(self, length: int) -> Batch:
        """One text of `length` tokens, none of them padding."""
        ids = torch.full((1, length), int(self.tokenizer.pad_token_id == 0), device=self.word_embeddings.device)
        ones = torch.ones_like(ids)
        return Batch({"input_ids": ids, "attention_mask": ones}, ones.sum(1))

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Cumulative MACs of one text of `length` tokens to each exit (E,), by a formula."""
        encoder = self.encoder
        entry, layer = encoder.entry_macs(length), encoder.layer_macs(length)
        cumulative, heads = [], 0
        for depth, head in zip(self.layers, self.heads, strict=True):
            heads += cast(ExitHead, head).closed_form_macs()
            cumulative.append(entry + depth * layer + heads)
        return tuple(cumulative)

    def trainable_state(self) -> dict[str, Tensor]:
        """What training changes and a checkpoint holds: heads, and low-rank updates or the backbone."""
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
    pretrained_pooler: bool = False,
) -> MultiExitBert:
    """A multi-exit encoder.

    Args:
        backbone: an asset name ("minilm"), a hub id or a local folder; not used if the checkpoint is a
            released one that brings its own configuration and tokenizer.
        layers: where the exits are, 1-based; empty for all.
        low_rank: rank of the updates that the checkpoint holds; 0 where it holds the backbone itself.
        checkpoint: a name in `benchmark/weights`, a file, a folder or a hub id: what `exitbench train` wrote, or a
            checkpoint as DeeBERT's, BERxiT's, PABEE's or ElasticBERT's authors released them (`released_bert.py`);
            empty for an untrained model.
        pretrained_pooler: untrained heads start from the pooler that the backbone was pre-trained with.
    """
    file = checkpoint_file(checkpoint) if checkpoint else None
    state = read_tensors(file, split_choice(checkpoint)[1]) if file else {}
    whole = layout(state) not in ("", "ours")
    if whole and low_rank:
        raise ExitbenchError(f"model.low_rank: expected 0, as {checkpoint} holds the backbone itself, got {low_rank}")
    source = text_backbone.released(file, list(state), backbone) if file and whole else text_backbone.named(backbone)
    depth: int = source.encoder.config.num_hidden_layers
    listed = tuple(layers) or tuple(range(1, depth + 1))
    model = MultiExitBert(
        source.encoder, source.tokenizer, num_classes, listed, pooling, pooler, max_length, dropout, learn_to_exit
    )
    if pretrained_pooler and not file:
        init_poolers(model.heads, listed, source.poolers)
    merge = add_low_rank(model.backbone, low_rank) if low_rank else lambda: None
    if file is not None:
        if whole:
            state = renamed(state, listed, depth, learn_to_exit)
        check_state(dict(model.named_parameters()) if whole else model.trainable_state(), state, file.name)
        model.load_state_dict(state, strict=False)
        merge()
        backbone_hash = [] if source.file is None else [sha256_file(source.file)]
        hashes = [*backbone_hash, weights_id(file, checkpoint)]
        model.weights_hash = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return model.eval()
