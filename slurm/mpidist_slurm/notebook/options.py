"""What can be written after `%slurm`: an argparse parser for each subcommand, and the `Slurm` that options mean."""

from __future__ import annotations

import argparse
import functools
import shlex
from dataclasses import replace
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from mpidist_slurm.description import Slurm

from .variables import is_name

__all__ = ["COMMANDS", "HelpAsked", "explain", "launcher", "parse", "place"]

COMMANDS = {
    "queue": "your jobs: state, time, why they wait, expected start; which are sessions of mpidist",
    "partitions": "the partitions: idle nodes and limits",
    "estimate": "when jobs of some sizes would start; nothing is submitted",
    "script": "the batch script that connect would submit, with the same options",
    "connect": "start ranks in a job: defines the variable `session`, and %%px works on them",
    "add": "start further ranks, another world of the session; what is left out is as for its newest ranks, but for -N and -n",
    "log": "what the ranks of a job have written, and how they were started",
    "cancel": "cancel one of your jobs; one of a session is released first",
    "form": "the form: the same by mouse",
    "help": "this list, or the options of one subcommand",
}
"""The subcommands and what they do, as argparse wants it (% is doubled)."""
TAKEN_OVER = (
    "partition", "account", "qos", "constraint", "reservation", "cpus_per_rank", "mem_per_rank", "time", "modules", "launcher", "wait",
    "lease", "cache", "spill", "spill_limit",
)  # fmt: skip
"""The options of `add`, named as the fields of `Slurm`, that are those of the session's ranks unless they are given."""


class HelpAsked(Exception):
    """`-h` was given; its text is the help."""


class Parser(MagicArgumentParser):
    """One that never ends the kernel: what is wrong is a UsageError, help is HelpAsked."""

    def error(self, message: str) -> NoReturn:
        name = self.prog.removeprefix("%slurm").strip()
        raise UsageError(
            f"{self.prog}: {message}. Hint: %slurm help{f' {name}' if name else ''} lists what there is."
        )

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 (argparse's)
        raise HelpAsked(self.format_help().rstrip())


@functools.cache
def parser() -> Parser:
    """The parser of the whole line."""
    whole = Parser(  # type: ignore[no-untyped-call]
        prog="%slurm", description="Ranks on a Slurm cluster.", formatter_class=argparse.HelpFormatter
    )
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    made: dict[str, argparse.ArgumentParser] = {}
    for name, words in COMMANDS.items():
        made[name] = commands.add_parser(
            name, help=words, description=words.replace("%%", "%"), prog=f"%slurm {name}", add_help=True, formatter_class=argparse.HelpFormatter
        )  # fmt: skip
    for name in ("estimate", "script", "connect", "add"):
        _add_place(made[name])
    made["estimate"].add_argument("-N", "--nodes", type=_counts, metavar="N[,N...]", help="numbers of nodes")
    made["estimate"].add_argument(
        "-t", "--time", type=_words, metavar="TIME[,TIME...]", help="times, such as 30 or 00:30:00"
    )
    made["estimate"].add_argument("--ranks-per-node", type=int, default=1, metavar="RANKS")
    for name in ("script", "connect", "add"):
        _add_size(made[name])
        made[name].add_argument(
            "--name", type=_variable, default="session", help="the session's variable (default: session)"
        )
    made["add"].set_defaults(**dict.fromkeys(TAKEN_OVER))
    made["log"].add_argument(
        "job", nargs="?", default="session", help="a job's number, or a session's variable (default: session)"
    )
    made["cancel"].add_argument("job", help="the job's number")
    made["help"].add_argument(
        "topic", nargs="?", choices=COMMANDS, metavar="COMMAND", help="one of the subcommands"
    )
    return whole


def parse(line: str) -> argparse.Namespace:
    """What a line asks for. Raises UsageError, and HelpAsked."""
    try:
        # Not IPython's own splitting, which leaves the quotes where they are.
        words = shlex.split(line)
    except ValueError as error:  # a quote that is not closed
        raise UsageError(f"%slurm {line}: {error}. Hint: %slurm help lists what there is.") from error
    return parser().parse_args(words)


def explain(topic: str | None = None) -> str:
    """The help of a subcommand, or of all."""
    try:
        parser().parse_args([topic, "-h"]) if topic else parser().print_help()
    except HelpAsked as asked:
        return str(asked)
    raise AssertionError(topic)


def _add_place(command: argparse.ArgumentParser) -> None:
    """Options that say where, and with what."""
    add = command.add_argument
    add("-p", "--partition", help="default: the site's")
    add("-A", "--account")
    add("-q", "--qos")
    add("-C", "--constraint", help="features that the nodes must have")
    add("--reservation")
    add("-c", "--cpus-per-rank", type=int, default=1, metavar="CPUS")
    add("-m", "--mem-per-rank", metavar="MEM", help="such as 2G")


def _add_size(command: argparse.ArgumentParser) -> None:
    """Options that say how much, and how."""
    add = command.add_argument
    add("-N", "--nodes", type=int, default=1)
    add("-n", "--ranks", type=int, help="all ranks together, as for srun (default: one a node)")
    add("-t", "--time", help='"minutes", "hours:minutes:seconds" or "days-hours:minutes:seconds"')
    add(
        "--module",
        action="append",
        default=[],
        dest="modules",
        help="a module to load before; may be repeated",
    )
    add(
        "--launcher",
        default="auto",
        help="a type of srun --mpi=, or mpiexec (default: what fits the MPI library)",
    )
    add(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="give up, and cancel the job, if it has not begun by then",
    )
    add(
        "--lease",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long the job outlives a killed kernel (default: 600)",
    )
    add("--cache", metavar="BYTES", help='memory of each node for what ranks keep, such as "4 GB"')
    add("--spill", metavar="FOLDER", help="on a disk of each node, for what does not fit")
    add("--spill-limit", metavar="BYTES", help="how much of the disk (default: half of what is free)")


def launcher(given: argparse.Namespace, like: Slurm | None = None) -> Slurm:
    """What the options of `connect`, `add` and `script` ask for; what is not given is as in `like`.

    Raises UsageError, and WorldError as `Slurm` does.
    """
    nodes = given.nodes
    ranks = nodes if given.ranks is None else given.ranks
    if nodes > 0 and (ranks < 1 or ranks % nodes):
        below, above = ranks // nodes * nodes, (ranks // nodes + 1) * nodes
        fitting = f"-n {below} or -n {above}" if below > 0 else f"-n {above}"
        raise UsageError(
            f"-n {ranks} on -N {nodes} nodes: each node gets the same number of ranks. Hint: {fitting} would do."
        )
    said = {name: value for name in TAKEN_OVER if (value := getattr(given, name)) is not None}
    if "modules" in said:
        said["modules"] = tuple(said["modules"])
    size = {"nodes": nodes, "ranks_per_node": max(ranks // max(nodes, 1), 1)}
    return Slurm(**size, **said) if like is None else replace(like, **size, **said)


def place(given: argparse.Namespace) -> dict[str, Any]:
    """The fields of `Slurm` that all subcommands share."""
    names = ("partition", "account", "qos", "constraint", "reservation", "cpus_per_rank", "mem_per_rank")
    return {name: getattr(given, name) for name in names}


def _words(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _counts(text: str) -> tuple[int, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(int(part) for part in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not numbers with commas between them, such as 1,2,4"
        ) from None


def _variable(text: str) -> str:
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a variable")
    return text
