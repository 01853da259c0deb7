"""Texts: the snippets' rules, local folders in the place of the hub, and errors that name the columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmark import assets
from benchmark.assets import Asset
from benchmark.data import texts
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
