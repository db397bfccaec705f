"""Sessions, jobs and what could be had, by the same Python that notebooks use."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import mpidist
import mpidist_slurm
from mpidist.errors import WorldError
from mpidist_slurm import Slurm
from mpidist_slurm.checks import beyond, minutes, problem
from mpidist_slurm.commands import SlurmUnavailable
from mpidist_slurm.job import WAITS
from mpidist_slurm.jobs import cancel_mine
from mpidist_slurm.notebook.output import log_of_job

from .feeds import Feed
from .routes import Forbidden, Missing, Route
from .schema.common import Done, Nothing
from .schema.resources import (
    Choices,
    Estimate,
    EstimateRequest,
    Job,
    JobRequest,
    Offer,
    Partition,
    Resources,
    Script,
    Session,
    SessionRequest,
    SlurmForm,
    SlurmState,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.world.registry import SessionInfo
    from mpidist_slurm.jobs import Entry

__all__ = ["ROUTES", "feeds", "session_state", "slurm_state"]

FIELDS = (
    "partition",
    "nodes",
    "ranks_per_node",
    "cpus_per_rank",
    "time",
    "mem_per_rank",
    "account",
    "qos",
    "cache",
    "spill",
)


def resources(_: Nothing) -> Resources:
    """What this user has now."""
    slurm = slurm_state()
    jobs = {job.id: job for job in slurm.jobs}
    sessions = tuple(session_state(info, jobs) for info in mpidist.sessions())
    return Resources(sessions, slurm, os.cpu_count() or 1)


def slurm_state() -> SlurmState:
    """The jobs of this user, or why they cannot be told."""
    try:
        return SlurmState(present=True, problem="", jobs=tuple(map(_job, mpidist_slurm.queue())))
    except SlurmUnavailable as error:
        return SlurmState(present=_present(), problem=str(error), jobs=())
    except WorldError as error:
        return SlurmState(present=True, problem=str(error), jobs=())


def _present() -> bool:
    return shutil.which("squeue") is not None


def _job(entry: Entry) -> Job:
    return Job(
        id=entry.id,
        name=entry.label,
        partition=entry.partition,
        state=entry.state.lower(),
        waits=entry.state in WAITS,
        nodes=entry.nodes,
        used=entry.used,
        limit=entry.limit,
        start=entry.start.replace("T", " ") if entry.state in WAITS else "",
        words=entry.words,
        session=entry.session,
    )


def session_state(info: SessionInfo, jobs: dict[str, Job]) -> Session:
    """What is known of a session; `jobs`: by number."""
    worlds = []
    for record in info.records:
        number = record.label.removeprefix("job ") if record.label.startswith("job ") else ""
        job = jobs.get(number)
        words = "" if job is None else " ".join(filter(None, (job.state, job.words)))
        worlds.append(
            World(
                record.place, record.size, record.started, number, words, None if job is None else _end(job)
            )
        )
    kernel = info.records[-1].kernel.pid
    return Session(
        info.id, info.size, tuple(worlds), kernel, _notebook(kernel) if info.in_use else "", not info.in_use
    )


def _notebook(kernel: int) -> str:
    """The name of the notebook whose kernel this process is; "" for a script, or what is not ours to see."""
    try:
        return Path(psutil.Process(kernel).environ().get("JPY_SESSION_NAME", "")).name
    except (psutil.Error, OSError):
        return ""


def _end(job: Job) -> float | None:
    """When the time of a running job is over, s since the epoch."""
    used, limit = minutes(job.used), minutes(job.limit)
    if job.waits or used is None or limit is None:
        return None
    return round(time.time() + 60 * (limit - used))


def choices(_: Nothing) -> Choices:
    """Partitions and accounts for a form."""
    try:
        found = mpidist_slurm.partitions()
    except WorldError as error:
        return Choices(_present(), str(error), (), (), ())
    try:
        accounts = tuple(mpidist_slurm.accounts())
    except WorldError:  # a form without proposals is a form
        accounts = ()
    qos = dict.fromkeys(name for each in accounts for name in each.qos)
    partitions = tuple(
        Partition(
            each.name, each.up, each.default, each.longest_time, each.default_time, each.idle, each.allocated, each.nodes,
            each.processors, each.megabytes,
        )
        for each in found
    )  # fmt: skip
    names = tuple(dict.fromkeys(each.account for each in accounts))
    return Choices(present=True, problem="", partitions=partitions, accounts=names, qos=tuple(qos))


def script(form: SlurmForm) -> Script:
    """The batch script of a form, or what is wrong with it and in which field."""
    values = _values(form)
    for name, value in values.items():
        if words := problem(name, value):
            return Script(field=name, problem=words)
    chosen = [
        each
        for each in mpidist_slurm.partitions()
        if each.name == form.partition or (not form.partition and each.default)
    ]
    for name, words in (
        beyond({"time": None, **_sizes(form), **values}, chosen[0]) if chosen else {}
    ).items():
        return Script(field=name, problem=words)
    if form.partition and not chosen:
        return Script(field="partition", problem=f"Slurm has no partition {form.partition!r} here")
    return Script(script=str(Slurm(**values)), code=_code(values))


def _values(form: SlurmForm) -> dict[str, Any]:
    """What is given, as `Slurm` takes it."""
    given = ((name, getattr(form, name)) for name in FIELDS)
    return {name: value for name, value in given if value not in ("", 1)}


def _sizes(form: SlurmForm) -> dict[str, int]:
    return {name: getattr(form, name) for name in ("nodes", "ranks_per_node", "cpus_per_rank")}


def _code(values: dict[str, Any]) -> str:
    """The Python that asks for the same."""
    given = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return f"import mpidist as md\nfrom mpidist_slurm import Slurm\n\nsession = md.connect(Slurm({given}))\nsession"


def estimate(request: EstimateRequest) -> Estimate:
    """When jobs of some sizes would start; nothing is submitted."""
    slurm = Slurm(**_values(request.form))
    times: Sequence[Any] = [each or slurm.time for each in request.times]
    if None in times:
        times = [None]
        found = mpidist_slurm.estimate(slurm, nodes=request.nodes)
    else:
        found = mpidist_slurm.estimate(slurm, nodes=request.nodes, time=times)
    return Estimate(
        tuple(
            Offer(each.nodes, str(each.time or ""), each.start.replace("T", " "), each.where, each.refused)
            for each in found
        )
    )


def cancel(request: JobRequest) -> Done:
    """Cancel one of this user's jobs."""
    _require_mine(request.id)
    return Done(cancel_mine(request.id))


def log(request: JobRequest) -> Done:
    """The last lines that the ranks of one of this user's jobs wrote."""
    _require_mine(request.id)
    return Done(str(log_of_job(request.id)))


def _require_mine(job: str) -> None:
    if all(each.id != job for each in mpidist_slurm.queue()):
        raise Missing(f"job {job} is none of your jobs that wait or run")


def end(request: SessionRequest) -> Done:
    """End a session whose kernel has ended."""
    found = [info for info in mpidist.sessions() if info.id == request.id]
    if not found:
        raise Missing(f"there is no session {request.id!r} any more")
    if found[0].in_use:
        raise Forbidden(
            f"session {request.id} is in use. Hint: session.close() in its notebook, or shut down its kernel."
        )
    found[0].end()
    return Done(f"session {request.id} is ended")


ROUTES = (
    Route("GET", "resources", resources, Nothing, Resources, "sessions and jobs of this user"),
    Route("GET", "resources/choices", choices, Nothing, Choices, "partitions and accounts"),
    Route(
        "POST",
        "resources/script",
        script,
        SlurmForm,
        Script,
        "the batch script of a form, or what is wrong with it",
    ),
    Route(
        "POST",
        "resources/estimate",
        estimate,
        EstimateRequest,
        Estimate,
        "when jobs of some sizes would start",
    ),
    Route("GET", "resources/jobs/{id}/log", log, JobRequest, Done, "the last lines that a job wrote"),
    Route("DELETE", "resources/jobs/{id}", cancel, JobRequest, Done, "cancel a job"),
    Route(
        "DELETE", "resources/sessions/{id}", end, SessionRequest, Done, "end a session whose kernel has ended"
    ),
)


def feeds() -> tuple[Feed, ...]:
    """What the panel is told as it changes."""
    return (Feed("resources", lambda: resources(Nothing()), period=3.0),)
