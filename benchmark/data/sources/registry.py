"""Downloads of archives from Python package indexes and Debian mirrors; nothing is installed or executed.

The Python index is the one that pip is configured to use. Debian packages come from `apt-get download`, or from
Debian's public pool if there is no apt.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.sources.hub import CONNECT_S, one_line, unreachable
from benchmark.types import ExitbenchError
from benchmark.utils.progress import track

if TYPE_CHECKING:
    from requests import Session

PUBLIC_INDEX = "https://pypi.org/simple/"
DEBIAN_MIRROR = "https://deb.debian.org/debian/"
READ_S = 30.0
APT_S = 300


@cache
def pip_settings() -> dict[str, str]:
    """pip's settings without section names. The environment overrides files; a command's section overrides [global]."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        listed = ""
    pairs = [line.partition("=") for line in listed.splitlines() if "=" in line]
    settings: dict[str, str] = {}
    for section in ("global.", "install.", "download.", ":env:."):
        settings |= {_name(key, section): _unquoted(v) for key, _, v in pairs if key.startswith(section)}
    env = {name: os.environ.get(f"PIP_{name.upper()}") for name in ("index_url", "extra_index_url")}
    return settings | {name: value for name, value in env.items() if value}


def _name(key: str, section: str) -> str:
    """A setting's name with underscores; files may write it with hyphens."""
    return key.removeprefix(section).replace("-", "_")


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value


def python_indexes() -> list[str]:
    """The HTTP package indexes that pip is configured to use, in its order."""
    settings = pip_settings()
    urls = [settings.get("index_url", PUBLIC_INDEX), *settings.get("extra_index_url", "").split()]
    return [url for url in urls if url.startswith(("http://", "https://"))]


def _session() -> Session:
    import requests

    session = requests.Session()
    if cert := os.environ.get("PIP_CERT") or pip_settings().get("cert"):
        session.verify = cert
    return session


def from_python_index(project: str, filename: str, folder: Path) -> Path:
    """Download one archive of a project from the first index that has it."""
    from pypi_simple import PyPISimple, tqdm_progress_factory

    reasons = []
    for index in python_indexes():
        if reason := unreachable(index):
            reasons.append(f"{_without_credentials(index)}: {reason}")
            continue
        try:
            with PyPISimple(index, session=_session()) as client:
                page = client.get_project_page(project, timeout=(CONNECT_S, READ_S))
                package = next(package for package in page.packages if package.filename == filename)
                bar = tqdm_progress_factory(desc=filename, unit="B", unit_scale=True, file=sys.stderr)
                # verify=False skips the index's own digest; the caller checks the pinned one.
                client.download_package(
                    package, folder / filename, verify=False, progress=bar, timeout=(CONNECT_S, READ_S)
                )
            return folder / filename
        except StopIteration:
            reasons.append(f"{_without_credentials(index)}: has no {filename}")
        except Exception as error:  # a broken index must not keep the next one from being tried
            reasons.append(f"{_without_credentials(index)}: {one_line(error)}")
    raise ExitbenchError("; ".join(reasons) or "pip is configured with no HTTP index")


def _without_credentials(url: str) -> str:
    """A URL without user name and password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def from_debian(package: str, version: str, pool: str, folder: Path) -> Path:
    """Download one Debian package: with apt-get and the system's package lists, else with fresh private lists.

    The public pool is the last resort, and the only one without apt-get.
    """
    filename = f"{package}_{version}_all.deb"
    reasons = []
    if shutil.which("apt-get"):
        for private in (False, True):
            if not (reason := _apt(package, version, folder, private)):
                return next(folder.glob("*.deb"))
            reasons.append(f"apt-get{' with fresh lists' if private else ''}: {reason}")
    else:
        reasons.append("no apt-get")
    if not (reason := unreachable(DEBIAN_MIRROR)):
        return _download(f"{DEBIAN_MIRROR}{pool}/{filename}", folder / filename)
    raise ExitbenchError("; ".join([*reasons, f"{DEBIAN_MIRROR}: {reason}"]))


def _apt(package: str, version: str, folder: Path, private: bool) -> str:
    """Run `apt-get download`, which needs no root; the reason if it failed, else empty.

    private: update package lists in `folder` first, without touching the system's.
    """
    options = [f"Acquire::{scheme}::Timeout={CONNECT_S:g}" for scheme in ("http", "https")]
    options += ["Acquire::Retries=0", "APT::Sandbox::User=", f"Dir::Cache={folder}/cache"]
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    steps = [["download", f"{package}={version}"]]
    if private:
        (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        options += [f"Dir::State::Lists={folder}/lists", "Acquire::Languages=none"]
        steps.insert(0, ["update"])
    flags = [word for option in options for word in ("-o", option)]
    reason = ""
    for step in steps:  # after a failed update the package may still be listed: the last result counts
        reason = _run_with_progress(["apt-get", "-q", *flags, *step], folder)
    return reason


def _run_with_progress(command: list[str], folder: Path) -> str:
    """Run a command in `folder` with a progress bar of the bytes downloaded; the reason if it failed, else empty."""
    log = folder / "apt.log"
    with log.open("w") as out, track((), f"apt-get {command[-1]}", unit="B") as bar:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "LC_ALL": "C"}
        )
        end = time.monotonic() + APT_S
        while process.poll() is None and time.monotonic() < end:
            bar.update(sum(p.stat().st_size for p in folder.glob("*.deb")) - bar.n)
            time.sleep(0.1)
        process.kill()
        process.wait()
    errors = [line for line in log.read_text().splitlines() if line.startswith("E:")]
    return "" if process.returncode == 0 else one_line(RuntimeError(errors[0] if errors else f"ended after {APT_S} s"))


def _download(url: str, target: Path) -> Path:
    import requests

    try:
        with _session() as session, session.get(url, stream=True, timeout=(CONNECT_S, READ_S)) as response:
            response.raise_for_status()
            size = int(response.headers.get("Content-Length", 0)) >> 20
            with target.open("wb") as out:
                for chunk in track(response.iter_content(1 << 20), target.name, total=size or None, unit="MiB"):
                    out.write(chunk)
    except requests.RequestException as error:
        raise ExitbenchError(f"{url}: {one_line(error)}") from error
    return target
