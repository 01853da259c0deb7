"""Which code, packages, weights and data a number came from."""

from __future__ import annotations

import importlib.metadata
import subprocess
from functools import cache

from benchmark import __version__
from benchmark.records.schema import Section
from benchmark.utils.project_root import project_root

PACKAGES = ("torch", "transformers", "peft", "datasets", "hydra-core", "numpy")


def provenance(**hashes: str) -> Section:
    """Versions, the clone's commit (None outside a clone), whether it had uncommitted changes, and the hashes given."""
    commit, dirty = git_state()
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"exitbench": __version__, "git_commit": commit, "git_dirty": dirty, "versions": versions, **hashes}


@cache
def git_state() -> tuple[str | None, bool | None]:
    """(commit, dirty) of the code's clone; results and figures do not count as changes."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    changed = _git("status", "--porcelain", "--", "benchmark", "conf", "plots", "pyproject.toml")
    return commit, bool(changed)


def _git(*words: str) -> str | None:
    if not (project_root() / ".git").exists():
        return None
    # Without optional locks: else `git status` writes the index, and a run on a full disk leaves .git/index.lock.
    command = ["git", "--no-optional-locks", "-C", str(project_root()), *words]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
