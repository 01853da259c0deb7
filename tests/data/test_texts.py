"""Texts: the snippets' rules, local folders in the place of the hub, and errors that name the columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from attack_doubles import reader

from benchmark.config.compose import build, compose
from benchmark.data import texts
from benchmark.data.sources import assets
from benchmark.data.sources.assets import Asset
from benchmark.run.trace import full_depth
from benchmark.types import Dataset, ExitbenchError

NAMES = ["negative", "positive"]


@dataclass(frozen=True)
class Text:
    """A source that serves one text."""

    content: str
    label: str = "text"

    def fetch(self, folder: Path) -> None:
        (folder / "snippets.txt").write_bytes(self.content.encode())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))


def load_snippets(content: str, monkeypatch: pytest.MonkeyPatch, **overrides: Any) -> Any:
    monkeypatch.setitem(assets.ASSETS, "tiny", Asset("tiny", (Text(content),)))
    fixed = {"name": "tiny", "version": 1, "asset": "tiny", "class_names": NAMES, "min_abs_mean": 0.5}
    return texts.snippets(**{**fixed, "test": 10, "test_seed": 0, "calibration": 5, **overrides})


def lines(count: int = 60) -> str:
    means = [(-1) ** i * (i % 7) / 2 for i in range(count)]
    return "\r\n".join(f"{i + 1}\t{mean}\t sentence\u2028number {i // 2}  " for i, mean in enumerate(means))


def splits_overlap(data: Any) -> bool:
    seen = [{sample.texts for sample in split} for split in (data.train, data.calibration, data.test)]
    return any(seen[a] & seen[b] for a, b in ((0, 1), (0, 2), (1, 2)))


def test_snippets_keep_strip_and_label(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_snippets(lines(), monkeypatch)
    samples = sorted([*data.train, *data.calibration, *data.test], key=lambda s: s.index)
    kept = [i for i in range(60) if i % 7]
    assert [s.index for s in samples] == [i + 1 for i in kept]
    assert [s.label for s in samples] == [int(i % 2 == 0) for i in kept]
    assert samples[0].texts == ("sentence\u2028number 0",), "stripped, and no other separator cuts a line"
    assert (len(data.calibration), len(data.test)) == (5, 10)


def test_no_sentence_is_on_two_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    unique = lines().replace("number", "n").replace("sentence", "s")
    rows = [row + str(i) for i, row in enumerate(unique.split("\r\n"))]
    data = load_snippets("\r\n".join(rows), monkeypatch)
    assert not splits_overlap(data)
    leaking = Dataset("x", 1, "text", 2, ("a", "b"), data.train, data.train[:1], data.test, "")
    assert splits_overlap(leaking), "the check must see a leak"


def test_test_split_ignores_the_calibration_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (load_snippets(lines(), monkeypatch, seed=seed) for seed in (0, 1))
    assert first.test == second.test
    assert first.calibration != second.calibration
    assert first.fingerprint == second.fingerprint
    assert load_snippets(lines(), monkeypatch, test_seed=1).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"min_abs_mean": 5}, "min_abs_mean: expected a number above 0, at most 4, got 5"),
        ({"min_abs_mean": "half"}, "min_abs_mean: expected a number above 0, at most 4, got 'half'"),
        ({"test": 10_000}, "test: expected a whole number in 0 … "),
        ({"fingerprint": "0" * 64}, "tiny: expected content with fingerprint 0000"),
    ],
)
def test_snippet_errors(overrides: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExitbenchError, match=message):
        load_snippets(lines(), monkeypatch, **overrides)


def test_broken_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExitbenchError, match=r"snippets.txt, line 2: expected id, mean and sentence"):
        load_snippets("1\t2.0\tgood\n2 2.0 bad", monkeypatch)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A local folder in the place of a hub dataset, with labels 0 and 1 and one column of words."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (folder := tmp_path / "pairs").mkdir()
    for split, count in (("train", 20), ("test", 4)):
        rows = [{"one": f" a{i} ", "two": f"b{i}", "label": i % 2, "word": "no"} for i in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder)


def load_local(path: str, **overrides: Any) -> Any:
    fixed = {"name": "pairs", "version": 1, "path": path, "columns": ["one", "two"], "class_names": NAMES}
    return texts.hub(**{**fixed, "calibration": 5, **overrides})


def test_folder_of_pairs_loads_like_the_hub(local: str) -> None:
    data = load_local(local)
    assert (len(data.train), len(data.calibration), len(data.test)) == (15, 5, 4)
    assert data.test[1].texts == ("a1", "b1")
    assert [s.index for s in data.test] == [0, 1, 2, 3]
    assert {len(s.texts) for s in load_local(local, columns=["two"]).train} == {1}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"columns": ["one", "three"]}, "expected columns three, got one, two, label, word"),
        ({"columns": "one"}, "columns: expected a list of 1 or 2 names, got 'one'"),
        ({"label": "word"}, "word: expected integer labels, got 'no'; columns: one, two, word"),
        ({"class_names": ["only"]}, "class_names: expected two names or more"),
        ({"test": "validation"}, "split 'validation'"),
        ({"subset": "nothing"}, "subset 'nothing'"),
    ],
)
def test_hub_errors_name_the_columns(overrides: dict[str, Any], message: str, local: str) -> None:
    with pytest.raises(ExitbenchError, match=message) as caught:
        load_local(local, **overrides)
    assert "\n" not in str(caught.value)


def test_label_out_of_range_is_named(local: str) -> None:
    rows = [{"one": "a", "two": "b", "label": -1, "word": "no"}]
    (Path(local) / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ExitbenchError, match=r"pairs, test: expected labels in 0 … 1, got \[-1\]"):
        load_local(local)


def test_absent_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ExitbenchError, match=r"does not answer \(connection refused\); connect, set HF_ENDPOINT"):
        load_local("nobody/nothing")


def test_real_snippets_keep_their_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    monkeypatch.delenv("EXITBENCH_CACHE")
    if not list((assets.cache_dir() / "assets").glob("movie_snippets-*")):
        pytest.skip("the snippets are not in the cache")
    data = instantiate(OmegaConf.load(Path(__file__).parents[2] / "conf/dataset/movie_snippets.yaml"))
    assert (len(data.train), len(data.calibration), len(data.test)) == (7_572, 1_000, 1_500)
    assert not splits_overlap(data)


def write(folder: Path, form: str, splits: dict[str, dict[str, list[Any]]]) -> str:
    """A folder of tables, one file a split."""
    folder.mkdir()
    for split, columns in splits.items():
        frame = pd.DataFrame(columns)
        if form == "csv":
            frame.to_csv(folder / f"{split}.csv", index=False)
        elif form == "jsonl":
            frame.to_json(folder / f"{split}.jsonl", orient="records", lines=True)
        else:
            frame.to_parquet(folder / f"{split}.parquet")
    return str(folder)


def own(path: str, **overrides: Any) -> Dataset:
    fixed = {"name": "own", "version": 1, "path": path, "columns": ["text"], "class_names": ["bad", "good"]}
    return texts.hub(**{**fixed, "calibration": 2, **overrides})


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_users_own_table_loads_with_labels_as_numbers_or_names(form: str, tmp_path: Path) -> None:
    words = [f"text {n}" for n in range(8)]
    for labels in ([0, 1] * 4, ["bad", "good"] * 4):
        columns = {"text": words, "label": labels}
        data = own(write(tmp_path / f"{form}-{labels[0]}", form, {"train": columns, "test": columns}))
        assert [sample.label for sample in data.test] == [0, 1] * 4
        assert [sample.texts for sample in data.test] == [(word,) for word in words]
        assert data.metric == "accuracy"


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", None], "label": [0, 1]}, r"test: expected a text in column text of row 1, got None; a CSV"),
        ({"text": [3, 4], "label": [0, 1]}, r"train: expected a text in column text of row 0, got 3$"),
        ({"text": ["a", "b"], "label": [0, 2]}, r"own, test: expected labels in 0 … 1, got \[0, 2\]$"),
        ({"text": ["a", "b"], "label": [0, -1]}, r"got \[-1, 0\]; -1 marks hidden labels"),
        ({"text": ["a", "b"], "label": [0, None]}, r"label: expected integer labels, got "),
        ({"text": ["a", "b"], "label": ["good", "fair"]}, r"got 'fair'; columns: text, label; row 1; .* class_names"),
        ({"words": ["a", "b"], "label": [0, 1]}, r"expected columns text, got words, label; name the right ones"),
    ],
    ids=["missing", "number", "beyond", "secret", "unlabelled", "unnamed", "column"],
)
def test_what_is_no_sample_is_refused_with_its_place(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    good = {"text": ["c", "d", "e"], "words": ["c", "d", "e"], "label": [0, 1, 0]}
    if columns["label"][0] == "good":
        good["label"] = ["bad", "good", "bad"]
    if 3 in columns.get("text", []):
        good["text"] = [3, 4, 5]
    train = {name: good[name] for name in columns}
    path = write(tmp_path / "own", "parquet", {"train": train, "test": columns})
    with pytest.raises(ExitbenchError, match=message) as caught:
        own(path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("cached")
def test_an_empty_text_stays_and_the_model_sees_its_special_tokens(tmp_path: Path) -> None:
    columns = {"text": ["", " \n ", "great film"], "label": [0, 1, 1]}
    data = own(write(tmp_path / "own", "jsonl", {"train": columns, "test": columns}), calibration=1)
    assert [sample.texts for sample in data.test] == [("",), ("",), ("great film",)]
    model = reader()
    batch = model.collate(data.test)
    assert batch.lengths.tolist() == [2, 2, 4]
    assert torch.isfinite(full_depth(model, batch)).all()


GLUE = {"sst2": "accuracy", "rte": "accuracy", "mrpc": "f1", "cola": "matthews", "qnli": "accuracy", "qqp": "f1",
        "mnli": "accuracy", "mnli_mm": "accuracy", "ag_news": "accuracy", "imdb": "accuracy"}  # fmt: skip


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("name", GLUE)
def test_the_fields_datasets_read_their_columns_splits_and_metric(name: str, tmp_path: Path) -> None:
    """A made-up table under the names that the hub's own has."""
    node = compose("config", [f"dataset={name}", "dataset.calibration=3"]).dataset
    (folder := tmp_path / "own" / "data").mkdir(parents=True)
    rows = {column: [f"{column} {n}" for n in range(9)] for column in node.columns}
    rows |= {"label": [n % len(node.class_names) for n in range(9)], "idx": list(range(9))}
    for split in (node.train, node.test):
        pd.DataFrame(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    data = build(node, path=str(folder.parent), subset="")
    assert (len(data.train), len(data.calibration), len(data.test)) == (6, 3, 9)
    assert data.test[4].texts == tuple(f"{column} 4" for column in node.columns)
    assert (data.metric, data.name) == (GLUE[name], name)
    assert "test" not in node.test or name in ("ag_news", "imdb"), "GLUE's own test labels are secret"


def test_a_metric_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExitbenchError, match=r"metric: expected one of .* or a function .* got 'auc'"):
        own(str(tmp_path), metric="auc")
    with pytest.raises(ExitbenchError, match=r"metric: expected accuracy or matthews for more than two classes"):
        own(str(tmp_path), metric="f1", class_names=["a", "b", "c"])
