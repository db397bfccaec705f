"""What Slurm's one-word reasons and states mean, and what to do about them.

Source: slurm.schedmd.com, "Job Reason Codes" and the JOB STATE CODES of squeue(1).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Meaning", "ended", "pending"]


class Meaning(NamedTuple):
    """A reason in words, and advice ("" for none)."""

    text: str
    advice: str = ""


PENDING = {
    "None": Meaning("the scheduler has not looked at it yet"),
    "Resources": Meaning("it waits for nodes to become free"),
    "Priority": Meaning("jobs with a higher priority are before it", "ask for less time or fewer nodes"),
    "BeginTime": Meaning("its begin time has not come"),
    "Dependency": Meaning("it waits for another job"),
    "JobHeldUser": Meaning("it is held by its user", "scontrol release the job"),
    "JobHeldAdmin": Meaning("it is held by an administrator", "ask your site's support"),
    "Reservation": Meaning("its reservation has not begun"),
    "ReqNodeNotAvail": Meaning("nodes that it needs are down, drained or reserved", "leave out nodelist or constraint"),
    "PartitionDown": Meaning("the partition is closed", "choose another partition"),
    "PartitionInactive": Meaning("the partition takes no jobs now", "choose another partition"),
    "PartitionNodeLimit": Meaning("it asks for more nodes than the partition allows; it will never start", "ask for fewer nodes"),
    "PartitionTimeLimit": Meaning("it asks for more time than the partition allows; it will never start", "ask for less time"),
    "PartitionConfig": Meaning("the partition cannot give what it asks for; it will never start", "ask for less"),
    "BadConstraints": Meaning("no node can give what it asks for; it will never start", "ask for less, or leave out constraint"),
    "Licenses": Meaning("it waits for a licence"),
    "InvalidAccount": Meaning("the account is not valid", "mpidist_slurm.accounts() lists yours"),
    "InvalidQOS": Meaning("the quality of service is not valid", "mpidist_slurm.accounts() lists yours"),
    "QOSNotAllowed": Meaning("this quality of service is not allowed in the partition", "choose another qos"),
    "AssociationJobLimit": Meaning("the account has as many jobs as it may have", "wait, or end another job"),
    "MaxSubmitLimit": Meaning("there are as many jobs as may be submitted", "wait, or end another job"),
    "NodeDown": Meaning("a node that it needs is down"),
}  # fmt: skip
FAMILIES = (
    ("QOS", Meaning("a limit of the quality of service is reached", "wait, ask for less, or choose another qos")),
    ("Assoc", Meaning("a limit of the account is reached", "wait, or ask for less")),
    ("ReqNodeNotAvail", PENDING["ReqNodeNotAvail"]),
    ("Nodes required for job are DOWN", PENDING["ReqNodeNotAvail"]),
)  # fmt: skip
ENDED = {
    "CANCELLED": Meaning("it was cancelled"),
    "TIMEOUT": Meaning("its time limit was reached", "ask for more time"),
    "PREEMPTED": Meaning("another job took its nodes", "choose a partition or qos that is not preempted"),
    "NODE_FAIL": Meaning("a node failed"),
    "OUT_OF_MEMORY": Meaning("it used more memory than it asked for", "ask for more mem_per_rank, or use fewer ranks a node"),
    "FAILED": Meaning("it failed"),
    "COMPLETED": Meaning("it has ended by itself"),
    "BOOT_FAIL": Meaning("a node did not boot"),
    "DEADLINE": Meaning("its deadline has passed"),
    "REVOKED": Meaning("it was revoked"),
}  # fmt: skip
NEVER = frozenset({"PartitionNodeLimit", "PartitionTimeLimit", "PartitionConfig", "BadConstraints"})
"""Reasons with which a job waits for ever."""


def pending(reason: str) -> Meaning:
    """Why a job waits."""
    if reason in PENDING:
        return PENDING[reason]
    for begin, meaning in FAMILIES:
        if reason.startswith(begin):
            return meaning
    return Meaning(f"Slurm says {reason!r}")


def ended(state: str) -> Meaning:
    """Why a job has ended."""
    return ENDED.get(state, Meaning(f"Slurm says {state!r}"))
