"""The command ``mpidist``: run an analysis script, look at saved results, try the demo, check the installation.

Exit codes: 0 complete, 1 the run is incomplete (the receipt says what is missing; also after Ctrl-C or SIGTERM), 2 wrong usage or an error on the
user's side (script, files, columns), 3 the ranks could not be started or died, 130 interrupted.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from .batch import INCOMPLETE, NO_RANKS, execute
from .checkpoint import load
from .errors import MpidistError, WorldError, near_names
from .version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

WRONG, INTERRUPTED = 2, 130
CONTRACT = """\b
The script is ordinary Python that opens data and names its results at top level:
\b
    import mpidist as md
    events = md.open("data/*.root:Events")
    cut = md.param("pt_cut", 20.0, unit="GeV")
    results = {"pt": md.hist(events.Muon.pt[events.Muon.pt > cut], bins=100)}
\b
`results` maps names to md.hist(...), md.sum(...) and so on. If it defines a function
`finish(results, folder)`, that is called with the final values and the folder of --out
(plots, fits, ...); the paths that it returns are printed."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mpidist")
def cli() -> None:
    """Interactive, distributed HEP analysis over MPI."""


@cli.command(epilog=CONTRACT)
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--ranks",
    "-n",
    type=click.IntRange(min=0),
    default=None,
    help="MPI ranks; 0: this process, no MPI. Default: one a core.",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Save results and run card to this HDF5 file.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of a md.param of the script; may be repeated.",
)
@click.option("--partial", is_flag=True, help="Exit with 0 also if something failed.")
def run(
    script: Path, ranks: int | None, out: Path | None, settings: tuple[str, ...], *, partial: bool
) -> None:
    """Run the results that a Python SCRIPT defines."""
    values = dict(_setting(text) for text in settings)
    console = Console()
    try:
        with ending_as_by_ctrl_c():
            code = execute(_executed(script, values), ranks=ranks, out=out, console=console)
    except MpidistError as error:
        _name_line(error, script)
        raise
    except Exception as error:
        if not _show_error_of(script, error):
            raise
        code = WRONG
    sys.exit(0 if partial and code == INCOMPLETE else code)


@contextmanager
def ending_as_by_ctrl_c() -> Iterator[None]:
    """Inside, the signals of batch systems and closed terminals stop the run as Ctrl-C does, and leave no ranks behind."""

    def interrupt(number: int, _frame: object) -> None:
        click.echo(f"{signal.Signals(number).name}: stopping the run, keeping what is there", err=True)
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, signal.SIGHUP]
    changed = [each for each in numbers if signal.getsignal(each) is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in changed:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        msg = f"--set takes name=value, not {text!r}"
        raise click.BadParameter(msg)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _executed(script: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The names that the script defines; parameters get `values`."""
    from .lazy import overriding

    sys.path.insert(0, str(script.resolve().parent))
    with overriding(values) as asked:
        namespace = runpy.run_path(str(script), run_name="__mpidist__")
    for name in values:
        if name not in asked:
            near = near_names(name, asked) or sorted(asked)
            hint = f"There are {', '.join(near)}" if near else "It has none"
            msg = f"{script} has no md.param {name!r}. {hint}."
            raise click.UsageError(msg)
    results = namespace.get("results")
    if not isinstance(results, Mapping) or not results:
        msg = f"{script} defines no `results`.\n\n{CONTRACT.replace(chr(8), '')}"
        raise click.UsageError(msg)
    return namespace


def _name_line(error: MpidistError, script: Path) -> None:
    """Note the line of the user's script that the error comes from."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == str(script):
            error.add_note(f"  in {script}, line {frame.lineno}: {frame.line}")
            return


def _show_error_of(script: Path, error: Exception) -> bool:
    """Print an exception of the user's script as Python does, from the script's first line on; False if it is not one."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != str(script):
        trace = trace.tb_next
    if trace is None and not (isinstance(error, SyntaxError) and error.filename == str(script)):
        return False
    click.echo("".join(traceback.format_exception(error.with_traceback(trace))), err=True, nl=False)
    return True


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--card", is_flag=True, help="Print the whole run card as JSON.")
def show(file: Path, *, card: bool) -> None:
    """Show the results and the receipt of a saved FILE.h5."""
    import hist

    from .progress import Progress
    from .terminal import panel

    saved = load(file)
    if card:
        click.echo(json.dumps(saved.card, indent=1))
        return
    console = Console()
    console.print(saved.receipt, markup=False, highlight=False)
    whole = Progress(1, 1, 1, 1, 0, 0.0, 0.0, None, ())
    for name, value in saved.results.items():
        if isinstance(value, hist.Hist) and len(value.axes) == 1:
            console.print(panel(name, value, whole))
        else:
            console.print(f"{name} = {value!r}", markup=False)
    for key in ("dataset", "digest"):
        console.print(f"[dim]{key}: {escape(str(saved.card['plan'].get(key)))}[/]", highlight=False)


@cli.command()
@click.option("--ranks", "-n", type=click.IntRange(min=1), default=2, show_default=True, help="MPI ranks.")
@click.option(
    "--out",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="How often the 100 000 events are read, so that there is something to watch.",
)
def demo(ranks: int, out: Path, repeat: int) -> None:
    """Run the example analysis on real CMS events with local MPI ranks."""
    from .demo import run_demo

    with ending_as_by_ctrl_c():
        code = run_demo(ranks=ranks, out=out, repeat=repeat)
    sys.exit(code)


@cli.command()
@click.option(
    "--ranks",
    "-n",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Ranks of the trial world.",
)
@click.option("--slurm", is_flag=True, help="Check this Slurm cluster instead of ranks on this machine.")
@click.option("--job", is_flag=True, help="With --slurm: submit a job of one node, which looks from there.")
@click.option("--partition", default=None, help="With --slurm: the partition that you will use.")
@click.option("--account", default=None, help="With --slurm: the account that you will use.")
def doctor(ranks: int, *, slurm: bool, job: bool, partition: str | None, account: str | None) -> None:
    """Check this installation: versions, MPI, and whether a world of ranks comes up."""
    from .doctor import examine, site

    if not slurm and (job or partition or account):
        msg = "--job, --partition and --account go with --slurm"
        raise click.UsageError(msg)
    more = site("slurm")(job=job, partition=partition, account=account) if slurm else None
    sys.exit(0 if examine(Console(), ranks=ranks, more=more) else NO_RANKS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command: errors of mpidist are printed as text, without a traceback."""
    try:
        sys.exit(cli.main(None if arguments is None else list(arguments), "mpidist", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(WRONG)
    except WorldError as error:
        _fail(error, NO_RANKS)
    except MpidistError as error:
        _fail(error, WRONG)
    except click.Abort:
        sys.exit(INTERRUPTED)


def _fail(error: MpidistError, code: int) -> None:
    text = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    Console(stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)
