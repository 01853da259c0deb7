"""Whole commands in processes that start warm: one interpreter imports torch once, every command is a fork of it.

As a script it is that interpreter: it reads a line of JSON for each command and answers with a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CONF = str(ROOT / "tests" / "conf")


class Warm:
    """Starts `exitbench` commands in a folder, each a process group of its own whose output goes to a file."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self._started = folder, 0
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        surroundings = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
                        "EXITBENCH_CACHE": str(folder / "cache"), **environment}  # fmt: skip
        words = [sys.executable, "-W", "ignore", __file__]
        self._server = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=surroundings
        )
        assert self._server.stdout is not None
        self._server.stdout.readline()  # it has imported everything

    def start(self, *words: str, limit_file_bytes: int = 0) -> Command:
        """Begin a command; limit_file_bytes: no file that it writes can be larger, as when a disk is full."""
        self._started += 1
        output = self.folder / f"output-{self._started}.txt"
        output.touch()
        pid = self._ask({"start": list(words), "output": str(output), "limit": limit_file_bytes})
        return Command(self, pid, output)

    def _ask(self, what: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)
        if self._server.stdout is not None:
            self._server.stdout.close()


class Command:
    """A command under way."""

    def __init__(self, warm: Warm, pid: int, output: Path) -> None:
        self._warm, self.pid, self._output = warm, pid, output

    @property
    def output(self) -> str:
        """What it has said so far, stdout and stderr together."""
        return self._output.read_text()

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return self._warm._ask({"wait": self.pid})

    def said(self, *words: str, within: float = 120) -> None:
        """Wait until it says one of some words."""
        end = time.monotonic() + within
        while not any(word in self.output for word in words):
            assert time.monotonic() < end, self.output
            time.sleep(0.01)

    def kill(self) -> int:
        """kill -9 of the whole process group, as when a node is lost."""
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()


IMPORTS = ("benchmark.run", "benchmark.transfer", "benchmark.combination", "benchmark.workloads.adversarial",
           "benchmark.searches.words", "benchmark.searches.pixels", "benchmark.commands.run", "benchmark.sweep.launch",
           "benchmark.sweep.point", "small_models", "small_data", "peft")  # fmt: skip


def serve() -> None:
    for name in IMPORTS:
        importlib.import_module(name)
    from benchmark.quiet import quiet_libraries

    quiet_libraries()  # imports the rest
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
        else:
            answer = os.fork() or command(asked["start"], asked["output"], asked["limit"])
        print(json.dumps(answer), flush=True)


def command(words: list[str], output: str, limit: int) -> int:
    """The child: never returns."""
    from benchmark.cli import main

    os.setpgid(0, 0)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(target, stream)
    try:
        code = main(words)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
