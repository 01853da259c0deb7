"""Where the files that a choice requires are: on this machine, on the hub, on a package mirror, or still to be made.

Nothing is fetched, and no network request is made unless `probe` is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.requirements import MISSING, Requirement
from benchmark.data.sources.assets import ASSETS, asset_entry, decoded_asset_entry
from benchmark.data.sources.hub import decoded_images_entry, endpoint, table_entry, unreachable
from benchmark.data.sources.providers import DebianPackage, HubFile, PyPIFile
from benchmark.data.sources.registry import DEBIAN_MIRROR, python_indexes
from benchmark.utils.cache import MANIFEST, cache_dir
from benchmark.utils.project_root import WEIGHTS

HERE, TRAIN, BRING, FILE_MISSING = "here", "to train", "to bring", "file missing"
EITHER = "to bring or train"  # a model whose yaml names no weights
NO_ANSWER = "no answer"
PROBE_S = 4.0
_FILES = (".safetensors", ".bin", ".pth", ".pt", ".tar")


@dataclass(frozen=True)
class Remote:
    """One source of a file that is not here: "hub" or "mirror", and addresses of which at least one must respond."""

    kind: str
    addresses: tuple[str, ...]


def locate(need: Requirement) -> str | list[Remote]:
    """HERE, TRAIN, BRING, EITHER, FILE_MISSING, or the remote sources in the order in which a run tries them."""
    name = need.name
    if name in (MISSING, ""):
        return BRING if name or need.kind == "data" else EITHER
    if need.kind == "weights" and (WEIGHTS / f"{name}.safetensors").is_file():
        return HERE
    if Path(name).expanduser().exists():
        return HERE
    if name in ASSETS:
        return HERE if _in_cache(asset_entry(ASSETS[name])) or _decoded(need) else _sources(name)
    if name.count("/") != 1 or name.startswith((".", "~", "/")) or name.endswith(_FILES):
        return TRAIN if need.kind == "weights" and "/" not in name and not name.endswith(_FILES) else FILE_MISSING
    data = need.kind == "data"
    if _tables(need) if data else _snapshot(name):
        return HERE
    return [Remote("hub", (f"{endpoint()}/api/{'datasets' if data else 'models'}/{name}",))]


def status(found: Iterable[str | list[Remote]]) -> str:
    """One status for all that a choice requires: the worst of them, as `exitbench ls` prints it."""
    states = list(found)
    for state in (FILE_MISSING, BRING, EITHER, TRAIN, NO_ANSWER):
        if state in states:
            return state
    away = [place for place in states if isinstance(place, list)]
    if not away:
        return HERE if states else ""
    return " or ".join(dict.fromkeys(place.kind for place in max(away, key=lambda remotes: -len(remotes))))


def probe(found: Iterable[str | list[Remote]]) -> dict[str, bool]:
    """Which addresses of these sources respond; all are tried in parallel, within a few seconds."""
    addresses = sorted(
        {url for state in found if isinstance(state, list) for place in state for url in place.addresses}
    )
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(addresses, pool.map(_responds, addresses), strict=True))


def responding(state: str | list[Remote], answers: dict[str, bool]) -> str | list[Remote]:
    """The same with only the sources that responded; NO_ANSWER where none did."""
    if isinstance(state, str):
        return state
    left = [place for place in state if any(answers[url] for url in place.addresses)]
    return left or NO_ANSWER


def _responds(url: str) -> bool:
    """Whether the address exists; a page behind a log-in counts."""
    import requests

    try:
        return requests.head(url, timeout=PROBE_S, allow_redirects=True).status_code in (200, 401, 403)
    except requests.exceptions.SSLError:
        return not unreachable(url, PROBE_S)
    except requests.RequestException:
        return False


def _sources(asset: str) -> list[Remote]:
    """An asset's sources in order."""
    found = []
    for source in ASSETS[asset].sources:
        if isinstance(source, HubFile):
            found.append(Remote("hub", (f"{endpoint()}/api/{source.repo_type}s/{source.repo}",)))
        elif isinstance(source, PyPIFile):
            found.append(Remote("mirror", tuple(f"{url.rstrip('/')}/{source.project}/" for url in python_indexes())))
        elif isinstance(source, DebianPackage):
            found.append(Remote("mirror", (DEBIAN_MIRROR,)))
    return found


def _in_cache(entry: str) -> bool:
    return (cache_dir() / entry / MANIFEST).is_file()


def _decoded(need: Requirement) -> bool:
    return need.kind == "data" and _in_cache(decoded_asset_entry(need.name, str(need.node.get("fingerprint", ""))))


def _tables(need: Requirement) -> bool:
    """Whether both splits of a hub dataset are cached with the columns and revision that this choice reads."""
    node: dict[str, Any] = {
        "subset": "", "image": "image", "label": "label", "train": "train", "test": "test", "revision": "main",
        "fingerprint": "unpinned", **need.node,
    }  # fmt: skip
    if str(node.get("_target_")).endswith("photos.load"):  # in the cache of the library `datasets`
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        datasets = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets")
        return any((datasets / need.name.replace("/", "___").lower()).glob("*"))
    columns = node.get("columns") or [node["image"]]
    if not isinstance(columns, list):
        return False
    settings = (node[key] for key in ("subset", "image", "label", "train", "test", "revision", "fingerprint"))
    if _in_cache(decoded_images_entry(need.name, *settings)):
        return True
    return all(
        _in_cache(table_entry(need.name, node["subset"], node[split], [*columns, node["label"]], node["revision"]))
        for split in ("train", "test")
    )


def _snapshot(repo: str) -> bool:
    """Whether the hub client's cache has weights of a repository."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    found = (cache / f"models--{repo.replace('/', '--')}" / "snapshots").glob("*/*")
    return any(file.name in ("model.safetensors", "pytorch_model.bin") for file in found)
