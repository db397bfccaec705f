"""Sessions of this user, jobs, and what could be had."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "AddRequest",
    "Choices",
    "Estimate",
    "EstimateRequest",
    "Files",
    "FilesNode",
    "FilesRequest",
    "Held",
    "Job",
    "JobRequest",
    "Node",
    "Offer",
    "Partition",
    "Preset",
    "ReleaseRequest",
    "Request",
    "Resources",
    "ResultFile",
    "Script",
    "Session",
    "SessionForm",
    "SessionRequest",
    "SlurmForm",
    "SlurmState",
    "SyncRequest",
    "WithdrawRequest",
    "World",
]

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Text = Annotated[str, Meta(max_length=200)]
SessionId = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z-]{1,64}$")]


class Node(Struct, frozen=True):
    """What ranks take of a host: see `mpidist.world.usage.NodeUse`. `memory` and `total`: bytes; `cpu`: processors in use."""

    host: str
    ranks: int
    silent: int
    memory: int
    cpu: float
    total: int


class World(Struct, frozen=True):
    """Ranks of a session that were started together; `started`: s since the epoch; `job`: its number in Slurm, "" for none.

    `ends`: when the job's time is over, s since the epoch; None if that is not known. `words`: how its job is, "" without one.
    `name`: for its release; `nodes`: what it takes of each, empty if its kernel does not say.
    """

    place: str
    ranks: int
    started: float
    job: str
    words: str
    ends: float | None
    name: str = ""
    nodes: tuple[Node, ...] = ()


class Request(Struct, frozen=True):
    """Further ranks that a session waits for, and why."""

    name: str
    place: str
    words: str


class FilesNode(Struct, frozen=True):
    """How far a node is in step: `state` as in `mpidist.sync.status`, `words` with its numbers."""

    host: str
    state: str
    words: str


class ResultFile(Struct, frozen=True):
    """What ranks have sent back: its name for JupyterLab, bytes, and when it was changed, s since the epoch."""

    path: str
    size: int
    changed: float


class Files(Struct, frozen=True):
    """A folder with `count` files that a session keeps in step. `problem`: what went wrong last, "" for nothing.

    `results`: the newest files that ranks have sent back.
    """

    folder: str
    count: int
    state: str
    problem: str
    nodes: tuple[FilesNode, ...]
    results: tuple[ResultFile, ...] = ()


class FilesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Files to the ranks of a session ("push"), results back from them ("pull"), or the end of that ("stop")."""

    id: SessionId
    act: Literal["push", "pull", "stop"]


class SyncRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A folder, below the one that the server shows, that a session is to keep in step."""

    id: SessionId
    folder: Annotated[str, Meta(max_length=4096)]


class Session(Struct, frozen=True):
    """A session on this machine. `kernel`: the process that has it, `notebook`: its file, "" if that is not known.

    `orphaned`: that has ended, and the ranks go on for a while. `held`: no kernel has it yet, `kernel` only keeps it.
    `requests`: further ranks that it waits for. `files`: the folder that it keeps in step, None for none.
    """

    id: str
    ranks: int
    worlds: tuple[World, ...]
    kernel: int
    notebook: str
    orphaned: bool
    held: bool = False
    requests: tuple[Request, ...] = ()
    files: Files | None = None


class Held(Struct, frozen=True):
    """A session that was asked for without a notebook (see `mpidist.holder.Note`). `over`: there is nothing to connect to any more.

    `asked`: s since the epoch; `state`: "starting", "waiting", "ready", "failed" or "ended"; `words`: why.
    """

    session: str
    place: str
    asked: float
    state: str
    words: str
    over: bool


class Job(Struct, frozen=True):
    """A job of this user; `session` is "" if it is none of mpidist. Times as Slurm writes them, "" if unknown."""

    id: str
    name: str
    partition: str
    state: str
    waits: bool
    nodes: int
    used: str
    limit: str
    start: str
    words: str
    session: str


class SlurmState(Struct, frozen=True):
    """Whether Slurm is there; `problem` says why not, or why it does not answer, "" if all is well."""

    present: bool
    problem: str
    jobs: tuple[Job, ...]


class Resources(Struct, frozen=True):
    """What this user has: sessions, oldest first, those that wait for a notebook, and jobs. `processors`: of this machine."""

    sessions: tuple[Session, ...]
    slurm: SlurmState
    processors: int
    held: tuple[Held, ...] = ()


class Partition(Struct, frozen=True):
    """See `mpidist_slurm.partitions`."""

    name: str
    up: bool
    default: bool
    longest_time: str
    default_time: str
    idle: int
    allocated: int
    nodes: int
    processors: str
    megabytes: str


class Choices(Struct, frozen=True):
    """What a form may offer. `accounts` is empty where the site keeps none or says none; `problem` as in `SlurmState`.

    `presets`: forms that the site, or the user, has filled in; `wrong`: what is not valid in the files that have them.
    """

    present: bool
    problem: str
    partitions: tuple[Partition, ...]
    accounts: tuple[str, ...]
    qos: tuple[str, ...]
    presets: tuple[Preset, ...] = ()
    wrong: tuple[str, ...] = ()


class SlurmForm(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of Slurm; "" is the site's default. `modules`: names with blanks between; `prologue`: lines of shell before the ranks start."""

    partition: Text = ""
    account: Text = ""
    qos: Text = ""
    nodes: Count = 1
    ranks_per_node: Count = 1
    cpus_per_rank: Count = 1
    time: Text = ""
    mem_per_rank: Text = ""
    cache: Text = ""
    spill: Text = ""
    constraint: Text = ""
    reservation: Text = ""
    modules: Text = ""
    prologue: Annotated[str, Meta(max_length=4000)] = ""


class Preset(Struct, frozen=True):
    """A form that is filled in."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    hint: Text
    form: SlurmForm


class SessionForm(Struct, frozen=True, forbid_unknown_fields=True):
    """Ranks that are to be had without a notebook: `ranks` on this machine, or what the form asks of Slurm."""

    place: Literal["local", "slurm"]
    ranks: Count = 1
    form: SlurmForm = SlurmForm()


class Script(Struct, frozen=True):
    """The batch script, and the Python that asks for the same; or `field` and `problem` that keep it from being one."""

    script: str = ""
    code: str = ""
    field: str = ""
    problem: str = ""


class EstimateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A form, with the numbers of nodes and the times ("" for the form's) to ask about: at most 16 pairs."""

    form: SlurmForm
    nodes: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=8)]
    times: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=8)]


class Offer(Struct, frozen=True):
    """When a job of this size would start (Slurm's estimate, local time) and where, or why it would not."""

    nodes: int
    time: str
    start: str
    where: str
    refused: str


class Estimate(Struct, frozen=True):
    """What could be had now."""

    offers: tuple[Offer, ...]


class JobRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A job of this user."""

    id: Annotated[str, Meta(pattern=r"^[0-9]{1,12}$")]


class AddRequest(SessionForm, frozen=True, kw_only=True):
    """Further ranks for a session."""

    id: SessionId


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A world of a session that is to be ended."""

    id: SessionId
    world: Text


class WithdrawRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Further ranks that are not to be waited for any more."""

    id: SessionId
    request: Text


class SessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A session of this user on this machine."""

    id: SessionId
