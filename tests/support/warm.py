"""Run whole commands without import time: one interpreter imports torch once, and every command is a fork of it.

Each command is still its own process, with the arguments, folder, environment, streams and exit code of one that starts
cold. A cold start costs seconds of imports; a few tests start cold, so that the imports are tested too. Run as a
script, this file is that interpreter: it reads a line of JSON for each command and answers with a line of JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONF = str(ROOT / "tests" / "conf")
LONGEST_S = 600  # a command that hangs is ended by SIGALRM


def watch_briefly() -> None:
    """Watch the machine's noise for a tenth of the time in this process: no test needs the result."""
    from benchmark.hardware import machine

    machine.noise.__defaults__ = (0.02,)


class Warm:
    """Starts `exitbench` commands, each as its own process group with its output in a file."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self._started = folder, 0
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        surroundings = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
                        "EXITBENCH_CACHE": str(folder / "cache"), **environment}  # fmt: skip
        words = [sys.executable, "-W", "ignore", __file__]
        self._server = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=surroundings
        )
        assert self._server.stdout is not None
        self._server.stdout.readline()  # it has imported everything

    def start(self, *words: str, limit_file_bytes: int = 0) -> Command:
        """Start a command in `folder`; limit_file_bytes: the largest file it can write, as if the disk were full."""
        (output,) = self._files("output")
        return Command(self, self._begin(words, [output, output], limit=limit_file_bytes), output)

    def call(self, *words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in any folder and wait for it, as `subprocess.run` does; stdout and stderr are separate.

        With -c as its first word, the second is Python in place of a command.
        """
        streams = self._files("stdout", "stderr")
        status = self._ask({"wait": self._begin(words, streams, cwd=str(cwd), environment=environment)})
        return subprocess.CompletedProcess(words, status, *(file.read_text() for file in streams))

    def _files(self, *names: str) -> list[Path]:
        self._started += 1
        files = [self.folder / f"{name}-{self._started}.txt" for name in names]
        for file in files:
            file.touch()
        return files

    def _begin(self, words: Sequence[str], streams: Sequence[Path], **surroundings: Any) -> int:
        """The process id of a command; streams: the files for its stdout and stderr."""
        return self._ask({"start": list(words), "streams": [str(file) for file in streams], **surroundings})

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
    """A running command."""

    def __init__(self, warm: Warm, pid: int, output: Path) -> None:
        self._warm, self.pid, self._output = warm, pid, output

    @property
    def output(self) -> str:
        """Its output so far, stdout and stderr together."""
        return self._output.read_text()

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return self._warm._ask({"wait": self.pid})

    def said(self, *words: str, within: float = 120) -> None:
        """Wait until its output contains one of some words."""
        end = time.monotonic() + within
        while not any(word in self.output for word in words):
            assert time.monotonic() < end, self.output
            time.sleep(0.01)

    def kill(self) -> int:
        """kill -9 of the whole process group, as when a node is lost."""
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()


IMPORTS = ("benchmark.cli.run", "benchmark.cli.train", "benchmark.cli.leaderboard",
           "benchmark.cli.plots", "benchmark.config.compose", "benchmark.sweep.launch", "benchmark.sweep.job",
           "benchmark.config.experiments", "hydra.core.override_parser.overrides_parser", "small_models",
           "small_data")  # fmt: skip


def serve() -> None:
    gc.disable()
    for name in IMPORTS:
        importlib.import_module(name)
    from benchmark.utils.library_logging import silence_libraries

    silence_libraries()  # imports more
    watch_briefly()
    importlib.import_module("benchmark.sweep.preload")  # the rest, and all of it out of the collectors' way
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
        else:
            answer = os.fork() or command(asked.pop("start"), **asked)
        print(json.dumps(answer), flush=True)
    os._exit(0)  # the server that forks combinations ends the same way, for the same reason


def command(
    words: list[str], streams: list[str], cwd: str = ".", environment: dict[str, str] | None = None, limit: int = 0
) -> int:
    """The child: never returns."""
    from benchmark.cli import main as cli

    os.setpgid(0, 0)
    signal.alarm(LONGEST_S)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # our own stdin carries the next command
    for stream, file in enumerate(streams, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(cwd)
    os.environ.update(environment or {})
    sys.path[1:1] = [folder for folder in (environment or {}).get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = [cli.__file__, *words]
    try:
        code = cli.main(words) if words[0] != "-c" else exec(compile(words[1], "-c", "exec"), {}) or 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
