"""What README tells people to do works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cache import cache_dir
from benchmark.cli import parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs():
    if not list((cache_dir() / "assets").glob("fashion_mnist-*")):
        pytest.skip("Fashion-MNIST is not in the cache; make demo fetches it")
    (code,) = re.findall(r"```python\n(.+?)```", README, re.S)
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=300)
    assert re.fullmatch(r"mean exit \d\.\d\d of 3\n", answer.stdout), answer.stderr


def test_every_command_parses():
    lines = re.findall(r"^ {4}exitbench (.+?)(?: +#.*)?$", README, re.M)
    assert len(lines) > 8
    for line in lines:
        words = [word.strip('"') for word in re.findall(r'"[^"]+"|\S+', line)]
        parser().parse_known_args(words)


def test_make_runs_what_readme_shows():
    makefile = (ROOT / "Makefile").read_text()
    for word in re.findall(r"exitbench run -m (.+)", README)[0].split():
        assert word in makefile or word.replace("200", "$(DEMO_LIMIT)") in makefile
    assert "DEMO_LIMIT ?= 200" in makefile


def test_files_that_readme_points_to_are_there():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
