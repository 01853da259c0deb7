"""What README tells people to do works; its commands and links are checked with those of docs, in tests/docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cache import cache_dir

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs():
    if not list((cache_dir() / "assets").glob("fashion_mnist-*")):
        pytest.skip("Fashion-MNIST is not in the cache; make demo fetches it")
    (code,) = re.findall(r"```python\n(.+?)```", README, re.S)
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=300)
    assert re.fullmatch(r"mean exit \d\.\d\d of 3\n", answer.stdout), answer.stderr


def test_make_runs_what_readme_shows():
    makefile = (ROOT / "Makefile").read_text()
    for word in re.findall(r"exitbench run -m (.+)", README)[0].split():
        assert word in makefile or word.replace("200", "$(DEMO_LIMIT)") in makefile
    assert "DEMO_LIMIT ?= 200" in makefile
