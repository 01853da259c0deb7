"""The command line: `exitbench run | train | export | leaderboard | plots | site | ls | validate | bench | doctor`.

Parses the arguments and calls the command. Each command is one file in `benchmark/cli`, imported only when called.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from benchmark import __version__
from benchmark.types import ExitbenchError

EPILOG = """examples:
  exitbench run model=dvt_fashion workload=clean hardware=cpu_1t
  exitbench run -m model=dvt_fashion,minilm_exits workload=clean,same hardware=cpu_1t,cpu_2t limit=200
  exitbench leaderboard
  exitbench plots
exit codes: 0 done, 1 a combination of a sweep failed, 2 a mistake in the command (one line says which)
"""


def parser() -> argparse.ArgumentParser:
    """The command line, without importing anything heavy."""
    top = argparse.ArgumentParser(
        prog="exitbench", description="What early exit really saves, clean and under attack, measured.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"exitbench {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    run = commands.add_parser("run", help="measure one combination, or a sweep with -m")
    run.add_argument("-m", "--multirun", action="store_true", help="every combination of comma-separated choices")
    train = commands.add_parser("train", help="train a model's exits and write weights and card")
    export = commands.add_parser("export", help="a model and its exit rule as ONNX graphs that run without torch")
    for command in (run, train, export):
        command.add_argument("--config-dir", default="", help="a folder with your own choices, laid out as conf/")
        command.add_argument("overrides", nargs="*", help="key=value, for example model=dvt_fashion limit=200")

    board = commands.add_parser("leaderboard", help="records -> results/leaderboard.csv and .md, printed")
    board.add_argument("--records", nargs="+", default=["results/records"], help="folders of records")
    board.add_argument("--table", default="", help="write a derived table instead: results/NAME.csv and .md")
    board.add_argument("--out", default="", help="results/leaderboard.csv, or results/NAME.csv of a table")
    board.add_argument("--where", default="", help="keep rows, for example \"model=='dvt_fashion'\"")
    board.add_argument("--validate", action="store_true", help="recompute an existing CSV and fail on a difference")

    plots = commands.add_parser("plots", help="records -> figures in plots/out, PNG and PDF")
    plots.add_argument("--records", nargs="+", default=["results/records"], help="folders of records")
    plots.add_argument("--out", default="plots/out")
    plots.add_argument("--paper", action="store_true", help="LaTeX-like fonts, without LaTeX")

    site = commands.add_parser("site", help="records -> a static web board, opened from a file")
    site.add_argument("--records", nargs="+", default=["results/records"], help="folders of records")
    site.add_argument("--out", default="site", help="the folder to write, new or an earlier site")

    submission = commands.add_parser("check-submission", help="a folder of records and a card, before it is sent in")
    submission.add_argument("folder", help="results/submissions/NAME, with card.yaml and records/")

    rerun = commands.add_parser("rerun", help="measure a record again and say which figures agree")
    rerun.add_argument("record", help="a record's file, RECORDS/ID.json")
    rerun.add_argument("--config-dir", default="", help="the folder of choices that the record was made with")

    comparing = commands.add_parser("compare", help="two sets of records: what changed, and did anything get worse")
    comparing.add_argument("before", help="A: a folder of records, or REVISION:FOLDER of this git repository")
    comparing.add_argument("after", help="B: the same")
    comparing.add_argument("--all", action="store_true", help="print what did not change too")
    comparing.add_argument("--out", default="", help="a folder for compare.csv and compare.html")

    listing = commands.add_parser("ls", help="list the choices, with a line about each")
    listing.add_argument("group", nargs="?", default="", help="one config group, for example model")
    listing.add_argument("--check", action="store_true", help="ask hub and mirrors for missing files")
    checking = commands.add_parser("validate", help="compose every choice and every sweep, and report what is wrong")
    for command in (listing, checking):
        command.add_argument("--config-dir", default="", help="a folder with your own choices, laid out as conf/")
    bench = commands.add_parser("bench", help="the comparison measurements behind the documentation's claims")
    bench.add_argument("name", nargs="?", default="", help="its name; without one, all are listed")
    bench.add_argument("overrides", nargs="*", help="key=value, as the bench's description says")
    doctor = commands.add_parser("doctor", help="versions, cores, noise, and which sources of data answer")
    doctor.add_argument("--stopwatch", action="store_true", help="time known work instead, and compare with the truth")
    doctor.add_argument("--repeats", type=int, default=0, help="with --stopwatch: repeat real measurements so often")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on stderr and exit code 2."""
    arguments = _parse(argv)
    try:
        return importlib.import_module(f"benchmark.cli.{arguments.command.replace('-', '_')}").run(arguments)
    except ExitbenchError as error:
        print(f"exitbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("exitbench: interrupted; finished records are kept, the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options may stand anywhere among the overrides."""
    arguments, rest = parser().parse_known_args(argv)
    options = [word for word in rest if word.startswith("-")]
    if options or not hasattr(arguments, "overrides"):
        if rest:
            parser().error(f"unrecognized arguments: {' '.join(rest)}")
    else:
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
