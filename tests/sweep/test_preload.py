"""The server that forks combinations passes on what it imported, and ends without output."""

import subprocess
import sys

CODE = """
import multiprocessing as mp
context = mp.get_context("forkserver")
context.set_forkserver_preload({preload})
child = context.Process(target=exec, args=("import sys; print('torch' in sys.modules, flush=True); sys.exit(3)",))
child.start()
child.join()
print(child.exitcode)
"""


def ended(preload):
    return subprocess.run(
        [sys.executable, "-c", CODE.format(preload=preload)], capture_output=True, text=True, check=True
    )


def test_it_ends_without_output_and_its_children_keep_their_exit_code():
    done = ended(["benchmark.sweep.preload"])
    assert done.stdout.split() == ["True", "3"]
    assert not done.stderr


def test_without_it_a_child_has_imported_nothing():
    assert ended([]).stdout.split() == ["False", "3"]
