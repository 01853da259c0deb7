"""A stand-in for Slurm with one node: sbatch, srun, squeue, sacct and scancel, as far as submitit uses them.

    python slurm_standin.py COMMAND WORDS…

Its state is in the folder that SLURM_STANDIN names: one file per task of an array, with the process id.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel")


def install(folder: Path) -> Path:
    """Write the commands into a folder, for PATH."""
    folder.mkdir()
    for command in COMMANDS:
        script = folder / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{__file__}" {command} "$@"\n')
        script.chmod(0o755)
    return folder


def sbatch(words: list[str]) -> None:
    """Start every task of the array in the background, and print the job's number."""
    script = Path(words[-1]).read_text()
    state = Path(os.environ["SLURM_STANDIN"])
    number = str(1000 + len(list(state.glob("*_0"))))
    array = re.search(r"^#SBATCH --array=0-(\d+)", script, re.M)
    (state / f"{number}.sh").write_text(script)
    for task in range(int(array[1]) + 1 if array else 1):
        environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS": "1",
                       "SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                       "SLURM_JOB_NODELIST": "localhost"}  # fmt: skip
        if array:
            environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": str(task)}
        # Its own session without our pipes: the job outlives the command that submitted it.
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        words = ["sh", str(state / f"{number}.sh")]
        process = subprocess.Popen(words, env=environment, start_new_session=True, **silent)
        (state / f"{number}_{task}").write_text(str(process.pid))
    print(f"Submitted batch job {number}")


def srun(words: list[str]) -> None:
    """Run the command after the options, with its output in the named files."""
    number, task = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_TASK_ID", "0")
    files = {}
    while words[0].startswith("--"):
        option = words.pop(0)
        if option in ("--output", "--error"):
            name = words.pop(0).replace("%A", number).replace("%a", task).replace("%j", number).replace("%t", "0")
            files[option] = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(files["--output"], 1)
    os.dup2(files.get("--error", files["--output"]), 2)
    os.execvp(words[0], words)


def squeue(words: list[str]) -> None:
    """Print the running tasks."""
    print("\n".join(task for task, alive in tasks().items() if alive))


def sacct(words: list[str]) -> None:
    """Print every task and its state."""
    print("JobID|State|NodeList")
    for task, alive in tasks().items():
        print(f"{task}|{'RUNNING' if alive else 'COMPLETED'}|localhost")


def scancel(words: list[str]) -> None:
    """Kill a task, or all tasks of a job."""
    for file in Path(os.environ["SLURM_STANDIN"]).glob(f"{words[0].partition('_')[0]}_*"):
        if words[0] in (file.name, file.name.partition("_")[0]):
            os.killpg(int(file.read_text()), signal.SIGKILL)


def tasks() -> dict[str, bool]:
    """Whether each task is still running."""
    files = Path(os.environ["SLURM_STANDIN"]).glob("*_*")
    return {file.name: Path(f"/proc/{file.read_text()}").exists() for file in files}


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
