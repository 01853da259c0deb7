"""Downloads from the Hugging Face hub: files, model folders, and columns of datasets.

The hub's own client retries for minutes; here an endpoint that does not answer fails within a few seconds. Files that
the client has already cached are used without a request. HF_ENDPOINT names another hub.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmark.types import ExitbenchError
from benchmark.utils.cache import cached_folder

if TYPE_CHECKING:
    from datasets import Dataset
    from pyarrow import Table

CONNECT_S = 4.0
MODEL_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # without the weights of other frameworks
TORCH_FILE = "pytorch_model.bin"  # downloaded only if there are no safetensors; loaded with weights_only=True
T = TypeVar("T")


def endpoint() -> str:
    """The hub's address."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def unreachable(url: str, seconds: float = CONNECT_S) -> str:
    """Why `url` does not answer an HTTP request within `seconds`; empty if it answers."""
    reasons = [f"no answer within {seconds:g} s"]

    def probe() -> None:
        import requests

        try:
            requests.head(url, timeout=seconds)
            reasons[0] = ""
        except requests.exceptions.SSLError:
            reasons[0] = ""  # it answers; the download itself verifies the certificate, with pip's settings
        except requests.RequestException as error:
            reasons[0] = one_line(error)

    # In a thread, because the timeout of requests does not cover the DNS look-up.
    worker = threading.Thread(target=probe, daemon=True)
    worker.start()
    worker.join(seconds)
    return reasons[0]


def one_line(error: BaseException) -> str:
    """An exception as one short line."""
    text = str(error)
    if any(sign in text for sign in ("Failed to resolve", "Name or service not known", "getaddrinfo")):
        return "its name cannot be resolved"
    if "Connection refused" in text:
        return "connection refused"
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"


def download(repo: str, filename: str, repo_type: str = "model", revision: str = "main") -> Path:
    """One file of a repository, from the hub client's own cache or from the hub."""
    from huggingface_hub import hf_hub_download

    def get(local: bool) -> str:
        return hf_hub_download(
            repo, filename, repo_type=repo_type, revision=revision, endpoint=endpoint(), local_files_only=local
        )

    return Path(_cached_or_remote(get))


def snapshot(repo: str, revision: str = "main") -> Path:
    """A model's folder: configuration, tokenizer and weights, as safetensors or else as pytorch_model.bin."""
    from huggingface_hub import snapshot_download

    def get(local: bool, *more: str) -> Path:
        files = [*MODEL_FILES, *more]
        folder = snapshot_download(
            repo, revision=revision, endpoint=endpoint(), allow_patterns=files, local_files_only=local
        )
        return Path(folder)

    # The client cannot tell an interrupted download from a complete one, so the hub is asked first. The local copy is
    # used without a check only if the hub cannot be reached.
    if reason := unreachable(endpoint()):
        try:
            return get(True)
        except Exception:
            raise ExitbenchError(f"{endpoint()}: {reason}") from None
    folder = _with_one_line_errors(lambda: get(False))
    return folder if any(folder.glob("*.safetensors")) else _with_one_line_errors(lambda: get(False, TORCH_FILE))


def _cached_or_remote(get: Callable[[bool], T]) -> T:
    try:
        return get(True)
    except Exception:  # the client's errors for "not cached" differ between its versions
        if reason := unreachable(endpoint()):
            raise ExitbenchError(f"{endpoint()}: {reason}") from None
    return _with_one_line_errors(lambda: get(False))


def _with_one_line_errors(get: Callable[[], T]) -> T:
    """Turn any error of the client into a one-line ExitbenchError."""
    try:
        return get()
    except Exception as error:
        raise ExitbenchError(f"{endpoint()}: {one_line(error)}") from error


def table(path: str, subset: str, split: str, columns: Sequence[str], revision: str = "main") -> Table:
    """The named columns of one split of a hub dataset, or of a local folder of parquet, JSON or CSV files.

    Hub tables are cached, so that the hub is asked once. Images stay encoded: structs with `bytes`.

    Raises:
        ExitbenchError: the dataset cannot be loaded, or lacks a column (the message lists its columns).
    """
    import pyarrow.parquet

    if Path(path).expanduser().is_dir():
        return _load(str(Path(path).expanduser()), subset, split, columns, revision)

    def build(folder: Path) -> None:
        if reason := unreachable(endpoint()):
            raise ExitbenchError(
                f"{path}: not in the cache, and the hub {endpoint()} does not answer ({reason}); connect, set "
                "HF_ENDPOINT to a mirror, or copy a filled cache and set EXITBENCH_CACHE"
            )
        pyarrow.parquet.write_table(_load(path, subset, split, columns, revision), folder / "table.parquet")

    name = table_entry(path, subset, split, columns, revision)
    return pyarrow.parquet.read_table(cached_folder(name, build) / "table.parquet")


def table_entry(path: str, subset: str, split: str, columns: Sequence[str], revision: str = "main") -> str:
    """The name of the cache folder for what `table` downloads."""
    key = hashlib.sha256(repr((endpoint(), path, subset, split, list(columns), revision)).encode()).hexdigest()[:12]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{path}-{subset}-{split}").strip("-")
    return f"tables/{slug}-{key}"


def decoded_images_entry(
    path: str, subset: str, image: str, label: str, train: str, test: str, revision: str, fingerprint: str
) -> str:
    """The name of the cache folder with both splits of a hub dataset as decoded images."""
    identity = repr((endpoint(), path, subset, image, label, train, test, revision, fingerprint))
    return f"decoded/{path.replace('/', '-')}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def rows(path: str, subset: str, split: str, columns: Sequence[str], revision: str = "main") -> Dataset:
    """The same split as a memory-mapped table of the datasets library, for datasets larger than memory.

    Images stay encoded. The library caches its downloads itself (HF_HOME).
    """
    local = Path(path).expanduser()
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")  # the library then reads its cache only
    if not local.is_dir() and not offline and (reason := unreachable(endpoint())):
        raise ExitbenchError(
            f"{path}: the hub {endpoint()} does not answer ({reason}); connect, set HF_ENDPOINT to a mirror, set "
            "HF_HUB_OFFLINE=1 if HF_HOME already holds it, or give a local folder as dataset.path"
        )
    return _columns(str(local) if local.is_dir() else path, subset, split, columns, revision)


def _load(path: str, subset: str, split: str, columns: Sequence[str], revision: str) -> Table:
    table: Table = _columns(path, subset, split, columns, revision).with_format("arrow")[:]  # pyright: ignore[reportAssignmentType]
    return table


def _columns(path: str, subset: str, split: str, columns: Sequence[str], revision: str) -> Dataset:
    import datasets

    local = Path(path).is_dir()
    try:
        loaded = datasets.load_dataset(path, subset or None, split=split, revision=None if local else revision)
    except Exception as error:
        raise ExitbenchError(f"{path}, subset {subset!r}, split {split!r}: {one_line(error)}") from error
    assert isinstance(loaded, datasets.Dataset)
    if missing := [name for name in columns if name not in loaded.column_names]:
        raise ExitbenchError(
            f"{path}: expected columns {', '.join(missing)}, got {', '.join(loaded.column_names)}; name the right ones"
        )
    return loaded.select_columns(list(columns))
