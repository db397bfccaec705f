"""`%slurm`: jobs, partitions, estimates, and sessions on nodes, from a cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

import mpidist
from mpidist.errors import MpidistError
from mpidist.session import Session
from mpidist_slurm.commands import call
from mpidist_slurm.description import Slurm
from mpidist_slurm.jobs import cancel_mine, queue
from mpidist_slurm.offers import estimate, partitions

from .options import COMMANDS, HelpAsked, explain, launcher, parse, place
from .output import Text, log_of_job, log_of_session
from .variables import define, request_of, sessions, taken, world_of

if TYPE_CHECKING:
    import argparse

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["SlurmMagic", "load"]

NAMES_SECONDS = 60.0
"""How long the names of partitions are remembered for the Tab key."""
TAB_SECONDS = 2.0
"""How long the Tab key waits for Slurm at most."""


class SlurmMagic:
    """Ranks on a Slurm cluster: `%slurm help` lists the subcommands."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._names: tuple[str, ...] = ()
        self._asked_at = float("-inf")

    @property
    def _namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = self._shell.user_ns
        return namespace

    def __call__(self, line: str) -> Any:
        """Do what `line` says; gives what the cell shows. Raises UsageError for everything that a user can put right."""
        try:
            given = parse(line)
        except HelpAsked as asked:
            return Text(str(asked))
        try:
            if given.command is None:
                return Text(explain())
            return getattr(self, given.command)(given)
        except MpidistError as error:
            raise UsageError(str(error)) from error

    # ---------------------------------------------------------------------- looking

    def help(self, given: argparse.Namespace) -> Text:
        """What there is."""
        return Text(explain(given.topic))

    def queue(self, _: argparse.Namespace) -> Any:
        """The jobs of this user."""
        return queue()

    def partitions(self, _: argparse.Namespace) -> Any:
        """All partitions."""
        return partitions()

    def estimate(self, given: argparse.Namespace) -> Any:
        """When it could start."""
        asked = Slurm(ranks_per_node=given.ranks_per_node, **place(given))
        try:
            return estimate(asked, nodes=given.nodes, time=given.time)
        except ValueError as error:  # too many questions
            raise UsageError(f"{error} Hint: fewer of -N or -t.") from error

    def script(self, given: argparse.Namespace) -> Text:
        """What would be submitted."""
        return Text(str(launcher(given)).rstrip())

    def log(self, given: argparse.Namespace) -> Text:
        """What the ranks wrote."""
        session = self._namespace.get(given.job)
        if isinstance(session, Session):
            return log_of_session(given.job, session)
        if given.job == "session":
            raise UsageError(
                "there is no `session` here. Hint: %slurm log JOB, or the name of another variable."
            )
        return log_of_job(given.job)

    def form(self, _: argparse.Namespace) -> Any:
        """The form."""
        from mpidist_slurm import allocation_form

        try:
            return allocation_form()
        except ImportError as error:
            raise UsageError(str(error)) from error

    # ---------------------------------------------------------------------- sessions

    def connect(self, given: argparse.Namespace) -> Session:
        """Start ranks and define the session."""
        if reason := taken(self._namespace, given.name):
            raise UsageError(reason)
        session = mpidist.connect(launcher(given))
        define(self._namespace, given.name, session)
        print(f"`{given.name}` has {session.size} ranks, and %px works on them")  # noqa: T201 (a magic's way to tell)
        return session

    def add(self, given: argparse.Namespace) -> Session:
        """Start further ranks."""
        session = self._namespace.get(given.name)
        if not isinstance(session, Session):
            known = ", ".join(sessions(self._namespace))
            hint = f"--name with one of {known}" if known else "%slurm connect makes one"
            raise UsageError(f"`{given.name}` is no session. Hint: {hint}.")
        asked = [each.launcher for each in session.worlds if isinstance(each.launcher, Slurm)]
        world = session.add(launcher(given, asked[-1] if asked else None))
        session.activate()
        number = [each for each in session.worlds if each.alive].index(world)
        px = f"%px{number or ''}"
        print(f"`{given.name}` has {session.size} ranks now; {px} works on the {world.size} new ones")  # noqa: T201
        return session

    def cancel(self, given: argparse.Namespace) -> Text:
        """End a job; one of a session here in the session's own way, so that runs are told."""
        request = request_of(self._namespace, given.job)
        if request is not None:
            request.cancel()
            return Text(f"the request for job {given.job} is taken back, which cancels the job")
        found = world_of(self._namespace, given.job)
        if found is None:
            return Text(cancel_mine(given.job))
        name, session, world = found
        if any(other.alive for other in session.worlds if other is not world):
            session.release(world)
            return Text(
                f"job {given.job} is cancelled: `{name}` has released its {world.size} ranks, and keeps {session.size}"
            )
        session.close()
        return Text(f"job {given.job} is cancelled: it had all ranks of `{name}`, which is closed")

    # ---------------------------------------------------------------------- the Tab key

    def complete(self, _: InteractiveShell, event: Any) -> list[str]:
        """What could come next: subcommands, partitions, sessions."""
        words = event.line.split()
        if not event.line[-1:].isspace():
            words = words[:-1]
        if len(words) < 2:
            return list(COMMANDS)
        if words[-1] in ("-p", "--partition"):
            return list(self._partition_names())
        if words[-1] == "--name" or words[1:] == ["log"]:
            return list(sessions(self._namespace))
        return list(COMMANDS) if words[1:] == ["help"] else []

    def _partition_names(self) -> tuple[str, ...]:
        if time.monotonic() - self._asked_at > NAMES_SECONDS:
            self._asked_at = time.monotonic()
            try:
                self._names = tuple(
                    dict.fromkeys(call(["sinfo", "-h", "--format=%R"], seconds=TAB_SECONDS).split())
                )
            except MpidistError:  # nothing to offer is no error
                self._names = ()
        return self._names


def load(shell: InteractiveShell) -> None:
    """Give `shell` the magic `%slurm`, with completion."""
    magic = SlurmMagic(shell)
    shell.magics_manager.register_function(magic, magic_name="slurm")
    shell.set_hook("complete_command", magic.complete, str_key="%slurm")  # type: ignore[no-untyped-call]
