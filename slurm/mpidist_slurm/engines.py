"""The ranks of a session as one Slurm job, behind the port of ipyparallel's launchers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipyparallel import Cluster
from ipyparallel.cluster.launcher import EngineLauncher
from traitlets import Any as AnyTrait
from traitlets import Dict, Float, Unicode
from traitlets.config import Config

from mpidist.errors import WorldError
from mpidist.world.autopsy import output
from mpidist.world.engines import Controller
from mpidist.world.launcher import CONTROLLER_ARGS, STOP_SECONDS, Otherwise, rank_environment, ranks_of

from . import reasons
from .commands import SlurmRefused, SlurmUnavailable, call, without_options
from .description import cancel_command
from .flavour import MPIEXEC
from .job import Job, cancel, look, number
from .offers import limits
from .place import Place

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from .description import Slurm

__all__ = ["SlurmEngines", "address", "cluster"]

POLL_SECONDS = 1.0
SLOWEST_POLL = 30.0
"""Seconds between looks at the job, when Slurm does not answer."""
HOPELESS_LOOKS = 2
"""How often the scheduler must say that a job will never start: it may be about to change its mind."""
GONE_SECONDS = 10.0
COMPLETING_SECONDS = 3.0
"""How long a cancelled job is waited for once Slurm ends it: an epilogue takes minutes, and so does a node that is cut off."""
QUIET_SECONDS = 11.0
"""A node that is cut off is no news for Slurm before SlurmdTimeout, five minutes as a rule."""
MISSES = "--HeartMonitor.max_heartmonitor_misses"
MOST_MISSES = 100_000
"""Of heart beats, five a second: those of a suspended job stop, and `quiet_seconds` notices what else could stop them."""


class SlurmEngines(EngineLauncher):  # type: ignore[misc,unused-ignore]
    """Submits the job, looks at it every second or so, cancels it."""

    script = Unicode().tag(config=True, to_dict=True)
    job_id = Unicode().tag(to_dict=True)
    output_file = Unicode().tag(to_dict=True)
    patience = Float(allow_none=True, default_value=None).tag(config=True)
    lease = Float(600.0).tag(config=True, to_dict=True)
    configuration = Unicode().tag(to_dict=True)
    """The SLURM_CONF with which it was submitted: another session of this kernel may be on another cluster."""
    more_environment = Dict().tag(config=True)
    otherwise = AnyTrait().tag(config=True)
    """What to ask for if Slurm does not understand the MPI library: the same ranks, started by its mpiexec. None for nothing."""
    starter = Unicode().tag(config=True, to_dict=True)
    node_variable = "SLURMD_NODENAME"
    last_words_seconds = 4.0
    """How long the job may take to end after a rank was lost, and Slurm to say how."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job: Job | None = None
        self.trouble = ""
        self._hopeless = 0
        self._refused = False
        self._has_run = self._requeued = False
        self._starting = False
        self._unheard = ""
        self._watcher: asyncio.Task[None] | None = None
        self._submitted = time.monotonic()

    def find_args(self) -> list[str]:
        return ["sbatch"]

    def get_output(self, remove: bool = False) -> str:  # noqa: ARG002, FBT001, FBT002 (ipyparallel's)
        return ""

    def _log_output(self, stop_data: object = None) -> None:
        """Nothing to the log: it would be printed into the notebook."""

    # ------------------------------------------------------------------ start

    async def start(self, n: int) -> str:
        """Submit the job; returns when Slurm has taken it. Raises WorldError with sbatch's own text if it does not."""
        try:
            said = await asyncio.to_thread(self._submit)
        except SlurmRefused as error:
            self._refused = True
            named = re.search(r"^#SBATCH --partition=(\S+)", self.script, re.MULTILINE)
            allowed = await asyncio.to_thread(limits, named[1] if named else None)
            raise WorldError(
                f"Slurm does not take the job of {ranks_of(n)}: {error.brief}. "
                f"Hint: {allowed}{'; ' if allowed else ''}mpidist_slurm.partitions() lists what each partition allows, "
                "mpidist_slurm.accounts() what you may use."
            ) from error
        self.job_id = number(said)
        self._submitted = time.monotonic()
        self.notify_start(self.job_id)
        self._watch()
        return self.job_id

    def _submit(self) -> str:
        folder = Path(self.profile_dir)  # of mode 0700
        file = folder / "job.sh"
        file.write_text(self.script)
        self.output_file = str(folder / "job.log")
        command = [
            "sbatch",
            "--parsable",
            f"--job-name={self.cluster_id}",
            f"--output={self.output_file}",
            "--export=ALL",  # SBATCH_EXPORT=NONE, as some sites set it, would keep the ranks from finding their session
            str(file),
        ]
        self.configuration = os.environ.get("SLURM_CONF", "")
        given = re.findall(r"^#SBATCH --([a-z-]+)", self.script, re.MULTILINE)
        environment = {**without_options(os.environ, given), **self.more_environment, **self.get_env()}
        return call(command, environment=environment)

    @property
    def _slurm(self) -> dict[str, str]:
        """The environment in which Slurm's programs mean this job's cluster."""
        others = without_options({name: value for name, value in os.environ.items() if name != "SLURM_CONF"})
        return {**others, "SLURM_CONF": self.configuration} if self.configuration else others

    @classmethod
    def from_dict(cls, d: dict[str, Any], **kwargs: Any) -> SlurmEngines:
        """Again, for a kernel that attaches the ranks."""
        launcher: SlurmEngines = super().from_dict(d, **kwargs)
        launcher.state = "running"
        launcher._watch()
        return launcher

    # ------------------------------------------------------------------ watch

    def _watch(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        """Look at the job until it has ended; slower while Slurm does not answer."""
        pause, place = POLL_SECONDS, Place()
        while self.state != "after":
            try:
                job = await asyncio.to_thread(look, self.job_id, self._slurm)
            except (SlurmUnavailable, SlurmRefused) as error:
                self.trouble = str(error)
                pause = min(2 * pause, SLOWEST_POLL)
            else:
                self.trouble, pause = "", POLL_SECONDS
                if job is None:
                    job = Job(self.job_id, "GONE")
                job = replace(job, ahead=await asyncio.to_thread(place.ahead, job, self._slurm))
                await self._note(job)
                if job.over:
                    self.notify_stop({"exit_code": job.exit_code, "job": str(job)})
                    return
            await asyncio.sleep(pause)

    async def _note(self, job: Job) -> None:
        """What the last look has found. A job that waits again is cancelled: its ranks would be others."""
        self._has_run = self._has_run or job.state == "RUNNING"
        if self._starting and job.state == "RUNNING":
            self._unheard = reasons.of_pmi(output(self))
            self._starting = False  # until `waiting` is asked again
        self._hopeless = self._hopeless + 1 if job.hopeless else 0
        if job.waits and self._has_run:
            self._requeued = True
            with contextlib.suppress(SlurmUnavailable, SlurmRefused):  # the next look will
                await asyncio.to_thread(cancel, self.job_id, self._slurm)
        self.job = replace(job, cause="REQUEUED") if self._requeued else job

    def waiting(self) -> str | None:
        """Why the ranks cannot be up yet, in words; None when they should be coming. Raises WorldError when it is too long."""
        job = self.job
        self._starting = True
        waited = time.monotonic() - self._submitted
        if self._unheard:
            what = f"Slurm does not understand the MPI library of the ranks, which would wait for ever: {self._unheard}"
            if self.otherwise is not None:
                raise Otherwise(what, self.otherwise)
            raise WorldError(
                f'{what}. Hint: Slurm(launcher="mpiexec"): the library then talks to its own mpiexec.'
            )
        if self.trouble:
            return f"job {self.job_id}: {self.trouble}"
        if job is not None and not job.waits:
            return None
        words = f"job {self.job_id} is submitted" if job is None else str(job)
        if self._hopeless >= HOPELESS_LOOKS:
            raise WorldError(f"the job would wait for ever, so it was cancelled: {words}")
        if self.patience is not None and waited > self.patience:
            raise WorldError(
                f"the job has waited for {waited:.0f} s, so it was cancelled (Slurm(wait={self.patience:g})). {words}"
            )
        return words

    @property
    def advice(self) -> str:
        """What to try when the ranks do not come up; nothing for a job that has not begun."""
        if self.job is None or not self.job.nodes:
            return ""
        return (
            ' Hint: if the output speaks of PMI or MPI_Init, Slurm(launcher="mpiexec") (or another type of srun --mpi=) starts '
            "ranks in another way; else look at modules and prologue."
        )

    def misplaced(self, hosts: Sequence[str]) -> str:
        """What is wrong with the nodes of the ranks: each node of the job has the same number; "" if nothing is, or Slurm does not say."""
        if self.job is None or not self.job.nodes:
            return ""
        try:
            nodes = call(["scontrol", "show", "hostnames", self.job.nodes], environment=self._slurm).split()
        except (SlurmRefused, SlurmUnavailable):
            return ""
        found = Counter(hosts)
        if not set(nodes) & set(found):  # where nodes have other names than their hosts
            return ""
        if set(found) == set(nodes) and len(set(found.values())) == 1:
            return ""
        told = ", ".join(f"{count} on {host}" for host, count in sorted(found.items()))
        return f"{told}, but the job has {self.job.nodes}, with the same number on each. Hint: Slurm(launcher=...) is another way to start them."

    @property
    def label(self) -> str:
        """The job, as users know it."""
        return f"job {self.job_id}" if self.job_id else ""

    @property
    def quiet_seconds(self) -> float | None:
        """How long a node may not answer; for ever while Slurm has stopped all processes of the job (`scontrol suspend`)."""
        return None if self.job is not None and self.job.halted else QUIET_SECONDS

    @property
    def ends(self) -> float | None:
        """When the job's time is over, in seconds since the epoch; None if it does not run or has no limit."""
        job = self.job
        if job is None or job.state != "RUNNING" or not job.end:  # of one that is completing, it is now
            return None
        return time.mktime(time.strptime(job.end, "%Y-%m-%dT%H:%M:%S"))

    def how_ended(self) -> str | None:
        """What Slurm says of the end of the job; None while it runs."""
        job = self.job
        if job is None or not job.over:
            return None
        if job.state == "FAILED" and reasons.of_memory(output(self)):
            job = replace(job, cause="OUT_OF_MEMORY")  # only sites with cgroups have the state
        return str(job)

    @property
    def failed(self) -> bool:
        """Whether ranks have ended the job, and not Slurm."""
        return self.job is not None and self.job.state == "FAILED"

    @property
    def cancel_command(self) -> tuple[str, ...]:
        """What ends the ranks when their session is lost; no error if they have ended."""
        return () if self._refused else cancel_command(self.cluster_id, self.configuration)

    # ------------------------------------------------------------------ end

    async def stop(self) -> None:
        """Cancel the job; returns when Slurm says that it has ended, or after some seconds when it is about to."""
        if self._watcher is not None:
            self._watcher.cancel()
        if not self.job_id or self.state == "after":
            return
        await asyncio.to_thread(cancel, self.job_id, self._slurm)
        deadline = time.monotonic() + GONE_SECONDS
        while time.monotonic() < deadline:
            job = await asyncio.to_thread(look, self.job_id, self._slurm)
            if job is None or job.over:
                break
            if job.state == "COMPLETING":
                deadline = min(deadline, time.monotonic() + COMPLETING_SECONDS)
            await asyncio.sleep(0.1)
        self.notify_stop({"exit_code": None, "job": "cancelled by its session"})

    async def signal(self, sig: int) -> None:
        """Send a signal to all ranks."""
        await asyncio.to_thread(
            call, ["scancel", f"--signal={int(sig)}", self.job_id], environment=self._slurm
        )


def cluster(slurm: Slurm, name: str, folder: Path, log: logging.Logger) -> Any:
    """The `ipyparallel.Cluster` of a session: the controller on this machine, the engines in a job."""
    here = address(slurm.partition)
    config = Config()
    config.SlurmEngines.script = str(slurm)
    config.SlurmEngines.starter = slurm.starter
    config.SlurmEngines.patience = slurm.wait
    if slurm.launcher == "auto" and not slurm.starter.endswith(MPIEXEC):
        config.SlurmEngines.otherwise = replace(slurm, launcher=MPIEXEC)
    config.SlurmEngines.lease = slurm.lease
    environment = {**rank_environment(folder), "MPIDIST_END_AT_ONCE": "1"}
    if slurm.container or slurm.python:
        del environment["PYTHONPATH"]  # of this interpreter; another would find its modules, and fail
    config.SlurmEngines.more_environment = environment
    config.Controller.stop_seconds_until_kill = STOP_SECONDS
    config.Controller.environment = {"IPYTHONDIR": str(folder)}
    return Cluster(
        cluster_id=name,
        profile_dir=str(folder),
        controller_launcher_class=Controller,
        engine_launcher_class=SlurmEngines,
        controller_ip=here,
        controller_location=here,
        controller_args=[
            *(each for each in CONTROLLER_ARGS if "max_heart" not in each),
            f"{MISSES}={MOST_MISSES}",
        ],
        # The keys are in a file that only the user may read; the variable would be in the job's environment.
        send_engines_connection_env=False,
        n=slurm.size,
        delay=0,
        config=config,
        load_profile=False,
        shutdown_atexit=False,
        log=log,
    )


def address(partition: str | None = None) -> str:
    """The address of this machine by which it reaches the nodes: the one by which they reach it, as a rule.

    Raises SlurmUnavailable or WorldError if there is no node, or its name means nothing here.
    """
    only = [f"--partition={partition}"] if partition else []
    nodes = call(["sinfo", "--noheader", "--Node", *only, "--format=%o"]).split()
    if not nodes:
        raise WorldError(f"Slurm's partition {partition!r} has no nodes")
    for node in dict.fromkeys(nodes[:20]):
        try:
            family, kind, _, _, there = socket.getaddrinfo(node, 9, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as probe:
                probe.connect(there)  # sends nothing
                return str(probe.getsockname()[0])
        except OSError:
            continue
    raise WorldError(f"no route from here to Slurm's nodes ({', '.join(nodes[:3])}, ...)")
