"""Checks of a finished command."""

import subprocess


def refused(answer: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a call that was refused."""
    assert answer.returncode == 2, answer
    assert "Traceback" not in answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line.startswith("exitbench: ")]
    assert len(lines) == 1, answer.stderr
    return lines[0]
