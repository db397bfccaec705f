"""Sessions of this user, jobs, and what could be had."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = [
    "Choices",
    "Estimate",
    "EstimateRequest",
    "Job",
    "JobRequest",
    "Offer",
    "Partition",
    "Resources",
    "Script",
    "Session",
    "SessionRequest",
    "SlurmForm",
    "SlurmState",
    "World",
]

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Text = Annotated[str, Meta(max_length=200)]
SessionId = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z-]{1,64}$")]


class World(Struct, frozen=True):
    """Ranks of a session that were started together; `started`: s since the epoch; `job`: its number in Slurm, "" for none.

    `ends`: when the job's time is over, s since the epoch; None if that is not known. `words`: how its job is, "" without one.
    """

    place: str
    ranks: int
    started: float
    job: str
    words: str
    ends: float | None


class Session(Struct, frozen=True):
    """A session on this machine. `kernel`: the process that has it, `notebook`: its file, "" if that is not known.

    `orphaned`: that has ended, and the ranks go on for a while.
    """

    id: str
    ranks: int
    worlds: tuple[World, ...]
    kernel: int
    notebook: str
    orphaned: bool


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
    """What this user has: sessions, oldest first, and jobs. `processors`: of this machine."""

    sessions: tuple[Session, ...]
    slurm: SlurmState
    processors: int


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
    """What a form may offer. `accounts` is empty where the site keeps none or says none; `problem` as in `SlurmState`."""

    present: bool
    problem: str
    partitions: tuple[Partition, ...]
    accounts: tuple[str, ...]
    qos: tuple[str, ...]


class SlurmForm(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of Slurm; "" is the site's default."""

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


class SessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A session of this user on this machine."""

    id: SessionId
