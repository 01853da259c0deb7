"""`exitbench compare A B`: what changed between two sets of records, and whether anything got worse."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmark.types import ExitbenchError


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison; exit code 1 where a figure got worse beyond doubt."""
    from benchmark.records import comparison, comparison_report, record

    sets = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, place in enumerate((arguments.before, arguments.after)):
            records, problems = record.read_all([_folder(place, Path(scratch) / str(number))])
            for problem in problems:
                print(f"exitbench: left out: {problem}", file=sys.stderr)
            sets.append(records)
    found = comparison.compare(*sets)
    print(comparison_report.render(found, arguments.all))
    if arguments.out:
        paths = comparison_report.write(found, arguments.before, arguments.after, Path(arguments.out))
        print(f"wrote {', '.join(map(str, paths))}")
    return 1 if found.worse else 0


def _folder(place: str, scratch: Path) -> Path:
    """A folder as it is, or REVISION:FOLDER of this git repository unpacked into `scratch`.

    Raises:
        ExitbenchError: neither a folder nor a folder of a revision.
    """
    if Path(place).is_dir():
        return Path(place)
    revision, colon, folder = place.partition(":")
    if not colon or revision.startswith("-"):
        raise ExitbenchError(f"compare: expected a folder of records or REVISION:FOLDER, got {place}")
    command = ["git", "archive", "--format=tar", f"{revision}:{folder.rstrip('/')}"]
    try:
        answer = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise ExitbenchError(f"compare: {place} needs git, which is not installed ({error.strerror})") from error
    if answer.returncode:
        reason = answer.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ExitbenchError(f"compare: git has no folder {place} ({reason[-1]})")
    scratch.mkdir()
    with tarfile.open(fileobj=io.BytesIO(answer.stdout)) as archive:
        for member in archive:  # only plain files of the folder itself: records have no subfolders
            if member.isfile() and "/" not in member.name and (content := archive.extractfile(member)):
                (scratch / member.name).write_bytes(content.read())
    return scratch
