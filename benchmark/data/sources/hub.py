"""The Hugging Face hub, asked only when it answers: files, model folders, and tables of a dataset's columns.

Unlike the hub's own client, which retries for minutes, an endpoint that does not answer costs a few seconds.
What the client has already cached is used without asking anybody. HF_ENDPOINT names another hub.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.types import ExitbenchError
from benchmark.utils.cache import entry

if TYPE_CHECKING:
    from pyarrow import Table

CONNECT_S = 4.0
MODEL_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # no other framework's weights
TORCH_FILE = "pytorch_model.bin"  # asked for only where there are no safetensors, and read as tensors alone
T = TypeVar("T")


def endpoint() -> str:
    """The hub's address."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def unreachable(url: str, seconds: float = CONNECT_S) -> str:
    """Why nothing at `url` answers an HTTP request within `seconds`; empty where something does."""
    reasons = [f"no answer within {seconds:g} s"]

    def ask() -> None:
        import requests

        try:
            requests.head(url, timeout=seconds)
            reasons[0] = ""
        except requests.exceptions.SSLError:
            reasons[0] = (
                ""  # something answers; whether to trust it is up to the download, which knows pip's certificate
            )
        except requests.RequestException as error:
            reasons[0] = one_line(error)

    # A thread, because looking up a name is bounded by no timeout of ours.
    worker = threading.Thread(target=ask, daemon=True)
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
    """A file of a repository, from the hub client's own cache or the hub."""
    from huggingface_hub import hf_hub_download

    def get(local: bool) -> str:
        return hf_hub_download(
            repo, filename, repo_type=repo_type, revision=revision, endpoint=endpoint(), local_files_only=local
        )

    return Path(_local_or_remote(get))


def snapshot(repo: str, revision: str = "main") -> Path:
    """A model's folder: configuration, tokenizer and weights, safetensors before torch's own format."""
    from huggingface_hub import snapshot_download

    def get(local: bool, *more: str) -> Path:
        files = [*MODEL_FILES, *more]
        found = snapshot_download(
            repo, revision=revision, endpoint=endpoint(), allow_patterns=files, local_files_only=local
        )
        return Path(found)

    # An interrupted snapshot also counts as local: only a hub that is not there makes us trust it.
    if reason := unreachable(endpoint()):
        try:
            return get(True)
        except Exception:
            raise ExitbenchError(f"{endpoint()}: {reason}") from None
    folder = _told(lambda: get(False))
    return folder if any(folder.glob("*.safetensors")) else _told(lambda: get(False, TORCH_FILE))


def _local_or_remote(get: Callable[[bool], T]) -> T:
    try:
        return get(True)
    except Exception:  # the client's errors for "not cached" differ between its versions
        if reason := unreachable(endpoint()):
            raise ExitbenchError(f"{endpoint()}: {reason}") from None
    return _told(lambda: get(False))


def _told(get: Callable[[], T]) -> T:
    """Any of the client's many errors as one line."""
    try:
        return get()
    except Exception as error:
        raise ExitbenchError(f"{endpoint()}: {one_line(error)}") from error


def table(path: str, subset: str, split: str, columns: Sequence[str], revision: str = "main") -> Table:
    """The named columns of one split of a hub dataset, or of a local folder of parquet, JSON or CSV files.

    Hub tables are kept in the cache, so that the hub is asked once. Images stay encoded: structs with `bytes`.
    Errors: ExitbenchError with the reason, and with the columns there are where one is missing.
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
    return pyarrow.parquet.read_table(entry(name, build) / "table.parquet")


def table_entry(path: str, subset: str, split: str, columns: Sequence[str], revision: str = "main") -> str:
    """The cache entry in which `table` keeps what it fetched."""
    key = hashlib.sha256(repr((endpoint(), path, subset, split, list(columns), revision)).encode()).hexdigest()[:12]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{path}-{subset}-{split}").strip("-")
    return f"tables/{slug}-{key}"


def decoded_images_entry(
    path: str, subset: str, image: str, label: str, train: str, test: str, revision: str, fingerprint: str
) -> str:
    """The cache entry that holds both splits of a hub dataset as decoded pictures."""
    identity = repr((endpoint(), path, subset, image, label, train, test, revision, fingerprint))
    return f"decoded/{path.replace('/', '-')}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def rows(path: str, subset: str, split: str, columns: Sequence[str], revision: str = "main") -> Any:
    """The same split as the datasets library's memory-mapped table; pictures stay encoded, and where they are.

    For datasets that fit in no memory. The library's own cache holds what it fetches (HF_HOME).
    """
    local = Path(path).expanduser()
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")  # the library then looks in its cache alone
    if not local.is_dir() and not offline and (reason := unreachable(endpoint())):
        raise ExitbenchError(
            f"{path}: the hub {endpoint()} does not answer ({reason}); connect, set HF_ENDPOINT to a mirror, set "
            "HF_HUB_OFFLINE=1 where HF_HOME already holds it, or give a local folder as dataset.path"
        )
    return _columns(str(local) if local.is_dir() else path, subset, split, columns, revision)


def _load(path: str, subset: str, split: str, columns: Sequence[str], revision: str) -> Table:
    return _columns(path, subset, split, columns, revision).with_format("arrow")[:]


def _columns(path: str, subset: str, split: str, columns: Sequence[str], revision: str) -> Any:
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
