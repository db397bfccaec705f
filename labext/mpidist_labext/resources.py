"""Sessions and jobs, by the same Python that notebooks use."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

import mpidist
import mpidist_slurm
from mpidist import holder
from mpidist.errors import WorldError
from mpidist_slurm.checks import minutes
from mpidist_slurm.commands import SlurmUnavailable
from mpidist_slurm.job import WAITS
from mpidist_slurm.jobs import cancel_mine
from mpidist_slurm.notebook.output import log_of_job

from . import files, forms
from .feeds import Feed
from .kernels import tell, told_of_sessions
from .root import below, root, within
from .routes import Missing, Route
from .schema.common import Done, Nothing
from .schema.resources import (
    AddRequest,
    Files,
    FilesRequest,
    Held,
    Job,
    JobRequest,
    Node,
    ReleaseRequest,
    Request,
    Resources,
    Session,
    SessionForm,
    SessionRequest,
    SlurmState,
    SyncRequest,
    WithdrawRequest,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpidist.world.registry import SessionInfo
    from mpidist_slurm.jobs import Entry

__all__ = ["ROUTES", "feeds", "session_state", "slurm_state"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def resources(_: Nothing) -> Resources:
    """What this user has now."""
    slurm = slurm_state()
    jobs = {job.id: job for job in slurm.jobs}
    found = mpidist.sessions()
    told = told_of_sessions({info.records[-1].kernel.pid for info in found})
    sessions = tuple(session_state(info, jobs, told.get(info.id, {})) for info in found)
    held = tuple(
        Held(note.session, note.place, note.asked, note.state, note.words, note.over)
        for note in holder.notes()
    )
    return Resources(sessions, slurm, os.cpu_count() or 1, held)


def slurm_state() -> SlurmState:
    """The jobs of this user, or why they cannot be told."""
    try:
        return SlurmState(present=True, problem="", jobs=tuple(map(_job, mpidist_slurm.queue())))
    except SlurmUnavailable as error:
        return SlurmState(present=forms.slurm_is_here(), problem=str(error), jobs=())
    except WorldError as error:
        return SlurmState(present=True, problem=str(error), jobs=())


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


def session_state(info: SessionInfo, jobs: dict[str, Job], told: Mapping[str, Any] = _NOTHING) -> Session:
    """What is known of a session; `jobs`: by number; `told`: by its kernel (see `mpidist.desk.seats`), if it was asked."""
    worlds = []
    known = {each["name"]: each for each in told.get("worlds", ())}
    for record in info.records:
        number = record.label.removeprefix("job ") if record.label.startswith("job ") else ""
        job = jobs.get(number)
        world = known.get(record.name, {"state": "", "usage": ()})
        words = "" if job is None else " ".join(filter(None, (job.state, job.words)))
        if world["state"] == "ended":  # the kernel goes on, and so does the session
            words = "its ranks have ended"
        worlds.append(
            World(
                record.place,
                record.size,
                record.started,
                number,
                words,
                None if job is None else _end(job),
                record.name,
                tuple(msgspec.convert(each, Node) for each in world["usage"]),
            )
        )
    kernel = info.records[-1].kernel.pid
    return Session(
        info.id,
        info.size,
        tuple(worlds),
        kernel,
        _notebook(kernel) if info.in_use and not info.held else "",
        not info.in_use,
        info.held,
        tuple(msgspec.convert(each, Request) for each in told.get("requests", ())),
        _files(told["files"]) if told.get("files") else None,
    )


def _files(told: Mapping[str, Any]) -> Files:
    """The folder that a session keeps in step, as JupyterLab names it, with what has come back from ranks."""
    found = msgspec.convert({**told, "results": ()}, Files)
    results = files.newest(Path(found.folder, str(told.get("results", "results"))))
    return msgspec.structs.replace(found, folder=below(found.folder), results=results)


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


def start(request: SessionForm) -> Done:
    """Ask for ranks, and have them kept until a notebook connects."""
    note = holder.hold(request.place, _asked(request), root())
    return Done(f"session {note.session} is asked for: {note.place}")


def _asked(request: SessionForm) -> dict[str, Any]:
    """What is asked for, as the launcher takes it. Raises WorldError if something is wrong with the form."""
    if request.place == "local":
        return {"ranks": request.ranks}
    checked = forms.script(request.form)
    if checked.problem:
        raise WorldError(f"{checked.field}: {checked.problem}")
    return forms.values_of(request.form)


def add(request: AddRequest) -> Done:
    """Ask for further ranks for a session, while its runs go on."""
    question = {"do": "add", "session": request.id, "kind": request.place, "values": _asked(request)}
    return Done(tell(_kernel_of(request.id), question))


def release(request: ReleaseRequest) -> Done:
    """End some of a session's ranks; the others go on with their work."""
    return Done(
        tell(_kernel_of(request.id), {"do": "release", "session": request.id, "world": request.world})
    )


def withdraw(request: WithdrawRequest) -> Done:
    """Take back a request for further ranks."""
    return Done(
        tell(_kernel_of(request.id), {"do": "withdraw", "session": request.id, "request": request.request})
    )


def move_files(request: FilesRequest) -> Done:
    """Bring files of the folder that a session keeps in step to its ranks, or results back, or end that."""
    act = "unsync" if request.act == "stop" else request.act
    return Done(tell(_kernel_of(request.id), {"do": act, "session": request.id}))


def sync(request: SyncRequest) -> Done:
    """Have a session keep a folder in step."""
    folder = within(request.folder)
    if not folder.is_dir():
        raise Missing(f"{request.folder} is no folder")
    return Done(tell(_kernel_of(request.id), {"do": "sync", "session": request.id, "folder": str(folder)}))


def _kernel_of(session: str) -> int:
    """The process that has this session."""
    for info in mpidist.sessions():
        if info.id == session and info.in_use:
            return info.records[-1].kernel.pid
    raise Missing(f"there is no session {session!r} that a kernel has")


def end(request: SessionRequest) -> Done:
    """End a session, also one that is only asked for; what runs there keeps what it has."""
    if any(note.session == request.id for note in holder.notes()):
        holder.drop(request.id)
        return Done(f"session {request.id} is ended")
    found = [info for info in mpidist.sessions() if info.id == request.id]
    if not found:
        raise Missing(f"there is no session {request.id!r} any more")
    if found[0].in_use:
        return Done(tell(_kernel_of(request.id), {"do": "close", "session": request.id}))
    found[0].end()
    return Done(f"session {request.id} is ended")


ROUTES = (
    Route("GET", "resources", resources, Nothing, Resources, "sessions and jobs of this user"),
    *forms.ROUTES,
    Route("GET", "resources/jobs/{id}/log", log, JobRequest, Done, "the last lines that a job wrote"),
    Route("DELETE", "resources/jobs/{id}", cancel, JobRequest, Done, "cancel a job"),
    Route(
        "POST",
        "resources/sessions",
        start,
        SessionForm,
        Done,
        "ask for ranks that are kept until a notebook connects",
        limit=60.0,
    ),
    Route(
        "DELETE",
        "resources/sessions/{id}",
        end,
        SessionRequest,
        Done,
        "end a session",
        limit=60.0,
    ),
    Route("POST", "resources/sessions/{id}/add", add, AddRequest, Done, "ask for further ranks", limit=60.0),
    Route(
        "POST",
        "resources/sessions/{id}/release",
        release,
        ReleaseRequest,
        Done,
        "end some ranks of a session",
        limit=60.0,
    ),
    Route(
        "POST",
        "resources/sessions/{id}/withdraw",
        withdraw,
        WithdrawRequest,
        Done,
        "take back a request for further ranks",
    ),
    Route(
        "POST",
        "resources/sessions/{id}/files",
        move_files,
        FilesRequest,
        Done,
        "bring files to the ranks, or results back",
    ),
    Route(
        "POST",
        "resources/sessions/{id}/sync",
        sync,
        SyncRequest,
        Done,
        "keep a folder in step with the ranks of a session",
    ),
)


def feeds() -> tuple[Feed, ...]:
    """What the panel is told as it changes."""
    return (Feed("resources", lambda: resources(Nothing()), period=3.0),)
