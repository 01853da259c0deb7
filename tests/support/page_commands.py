"""Commands shown on documentation pages: collect them, check names and choices, and shrink them to run quickly."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

from make_records import make_sweep

from benchmark.cli import bench
from benchmark.cli.main import _parse
from benchmark.config import choices as folders
from benchmark.config import sweep_points
from benchmark.config.validation import check_nodes
from benchmark.records import derived_tables, leaderboard
from benchmark.types import ExitbenchError

ROOT = Path(__file__).parents[2]
CHOICES = ("model", "dataset", "workload", "policy", "hardware")
# Folders that only users have: such commands are composed, never run.
PLACEHOLDERS = {"my/conf": "MY_CONF"}


def collect(page: str) -> list[str]:
    """Every `exitbench …` and `make …` in a page's code blocks, and in inline code that is more than a name."""
    page = page.replace("\\\n", " ")
    blocks = re.findall(r"^```(?:sh|bash|console)?\n(.+?)^```", page, re.M | re.S)
    lines = re.findall(r"^ {4}(.+)$", page, re.M) + [line.strip() for block in blocks for line in block.splitlines()]
    inline = [" ".join(code.split()) for code in re.findall(r"(?<!`)`((?:exitbench|make) [^`]+)`(?!`)", page)]
    inline = [code for code in inline if len(code.split()) > 2 and "…" not in code and "NAME" not in code]
    return list(dict.fromkeys(one for one in lines + inline if one.split()[:1] in (["exitbench"], ["make"])))


def faults(command: str, my_conf: Path | None = None) -> list[str]:
    """What is wrong with a command, without running it; empty for one that would start."""
    program, *words = shlex.split(command, comments=True)
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
        return [f"make has no target {word}" for word in words if "=" not in word and word not in targets]
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            arguments = _parse([str(my_conf) if word in PLACEHOLDERS else word for word in words])
    except SystemExit as stopped:
        return [said.getvalue().strip().splitlines()[-1]] if stopped.code else []
    check = globals().get(f"_{arguments.command}")
    try:
        return check(arguments) if check else []
    except ExitbenchError as error:
        return [str(error)]


def _run(arguments) -> list[str]:
    params = dict(override.split("=", 1) for override in arguments.overrides)
    if arguments.config_dir:
        folders.roots(arguments.config_dir)
    axes = sweep_points.axes(params)
    swept = [key for key, values in axes.items() if len(values) > 1]
    if swept and not arguments.multirun:
        return [f"{swept[0]} has several values, and there is no -m"]
    points = sweep_points.points(axes)
    composed = points if len(points) <= 8 else sweep_points.cover(axes)
    return [fault for point in composed for fault in check_nodes("config", point, arguments.config_dir, CHOICES)]


def _train(arguments) -> list[str]:
    return check_nodes("train", arguments.overrides, arguments.config_dir, ("model", "dataset", "recipe"))


def _leaderboard(arguments) -> list[str]:
    leaderboard.where(leaderboard.frame(make_sweep()), arguments.where)
    known = derived_tables.described()
    return [] if not arguments.table or arguments.table in known else [f"no table {arguments.table}"]


def _bench(arguments) -> list[str]:
    if not arguments.name:
        return []
    if arguments.name not in bench.described():
        return [f"no bench {arguments.name}"]
    takes = importlib.import_module(f"benchmark.benches.{arguments.name}").DEFAULTS if arguments.overrides else {}
    return [
        f"bench {arguments.name} takes no {word}" for word in arguments.overrides if word.split("=")[0] not in takes
    ]


def _ls(arguments) -> list[str]:
    folders.roots(arguments.config_dir)
    return [] if arguments.group in ("", *folders.GROUPS) else [f"no group {arguments.group}"]


# Words of commands that cannot run with the small models of tests/conf.
NOT_SMALL = (
    "+experiment",
    "--config-dir",
    "model.",
    "dataset",
    "policy.gmacs",
    "policy=official",
    "hardware.",
    "hydra",
)


def shrunk(command: str) -> list[str] | None:
    """The same command on small models and few samples, untimed; None for one that is only checked."""
    program, *words = shlex.split(command, comments=True)
    if program != "exitbench" or not words or "--help" in words:
        return None
    if words[0] in ("ls", "bench") and "--check" not in words and not set(PLACEHOLDERS) & set(words):
        return words if words[0] == "ls" or len(words) == 1 else None
    if words[0] == "leaderboard" and "--table" not in words:
        return words
    if words[0] != "run" or any(word.startswith(NOT_SMALL) for word in words):
        return None
    kept = [
        _small(word) for word in words[1:] if not word.startswith(("limit", "timing", "hardware", "seed", "records"))
    ]
    if any("patience" in word for word in kept) and not any(word.startswith("policy.threshold") for word in kept):
        kept.append("policy.threshold=2")
    if any(word == "workload=random" for word in kept):
        kept.append("workload.meaning=none")
    return ["run", "--config-dir", str(ROOT / "tests" / "conf"), *kept, "limit=8", "timing.samples=0"]


def _small(word: str) -> str:
    key, _, value = word.partition("=")
    if key == "model":
        small = ["small_bert" if re.search("bert|minilm", name) else "small_dvt" for name in value.split(",")]
        return f"model={','.join(dict.fromkeys(small))}"
    if key == "workload" and "," in value:
        return "workload=clean,same_quick"
    if key == "workload" and value == "same":
        return "workload=same_quick"
    return "offline.batch=4" if key == "offline.batch" else word
