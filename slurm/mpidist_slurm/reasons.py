"""What Slurm's one-word reasons and states mean, and what to do about them.

Source: slurm.schedmd.com, "Job Reason Codes" and the JOB STATE CODES of squeue(1); src/common/job_state_reason.c and
slurm_protocol_defs.c of Slurm.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["NEVER", "Meaning", "ended", "of_memory", "of_pmi", "pending"]


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
    "ReqNodeNotAvail": Meaning("nodes that it needs are in use, down, drained or reserved", "leave out nodelist or constraint"),
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
    "FrontEndDown": Meaning("a front end that it needs is down"),
    "Prolog": Meaning("its nodes are being prepared"),
    "Cleaning": Meaning("it is put back into the queue, and cleaned up"),
    "SchedDefer": Meaning("the scheduler looks at it later"),
    "DependencyNeverSatisfied": Meaning("the job that it waits for has failed; it will never start", "cancel it"),
    "JobHoldMaxRequeue": Meaning("it was put back into the queue too often, and is held", "scontrol release the job"),
    "JobArrayTaskLimit": Meaning("as many tasks of its array run as may"),
    "ReservationDeleted": Meaning("its reservation is gone; it will never start", "leave out reservation"),
    "ReservationInvalid": Meaning("its reservation is not valid; it will never start", "leave out reservation"),
    "AccountNotAllowed": Meaning("its account is not allowed in the partition", "choose another account or partition"),
    "AccountingPolicy": Meaning("a rule of the accounting is in its way", "mpidist_slurm.accounts() lists yours"),
    "Constraints": Meaning("no node can give what it asks for now", "leave out constraint"),
    "BurstBufferResources": Meaning("it waits for a burst buffer"),
    "BurstBufferStageIn": Meaning("its data are copied into a burst buffer"),
    "BurstBufferOperation": Meaning("an operation of its burst buffer has failed", "ask your site's support"),
    "PowerNotAvail": Meaning("there is no power for more nodes"),
    "PowerReserved": Meaning("the power for its nodes is reserved"),
    "MaxMemPerLimit": Meaning("it asks for more memory than the partition allows", "ask for less mem_per_rank"),
    "FedJobLock": Meaning("the clusters of the federation decide where it runs"),
    "DeadLine": Meaning("it cannot end before its deadline", "ask for less time"),
    "InactiveLimit": Meaning("it was inactive for too long"),
    "SystemFailure": Meaning("something in Slurm or a node has failed", "ask your site's support"),
    "JobLaunchFailure": Meaning("it could not be started on its nodes", "ask your site's support"),
    "NonZeroExitCode": Meaning("it has failed before"),
    "RaisedSignal": Meaning("it was ended by a signal before"),
    "TimeLimit": Meaning("its time limit was reached before"),
    "OutOfMemory": Meaning("it was out of memory before", "ask for more mem_per_rank"),
}  # fmt: skip
FAMILIES = (
    ("QOS", Meaning("a limit of the quality of service is reached", "wait, ask for less, or choose another qos")),
    ("Assoc", Meaning("a limit of the account is reached", "wait, or ask for less")),
    ("Max", Meaning("a limit of the account is reached", "wait, or ask for less")),  # MaxJobsPerAccount
    ("RaisedSignal", PENDING["RaisedSignal"]),  # RaisedSignal:9(Killed)
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
    "LAUNCH_FAILED": Meaning("it could not be started on its nodes"),
    "RECONFIG_FAIL": Meaning("a node could not be configured for it"),
    "GONE": Meaning("Slurm does not know it any more"),
    "REQUEUED": Meaning("it was put back into the queue, and cancelled there: it would start ranks for a session that is lost"),
}  # fmt: skip
NEVER = frozenset(
    {"PartitionNodeLimit", "PartitionTimeLimit", "PartitionConfig", "BadConstraints", "DependencyNeverSatisfied",
     "ReservationDeleted", "ReservationInvalid"}
)  # fmt: skip
"""Reasons with which a job waits for ever."""
MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom[-_ ]kill|out of memory", re.IGNORECASE)
"""What Slurm writes into the output of a job that it ends because of its memory."""
PMI = re.compile(r"mpi/pmi2: (value not properly terminated|request not begin with|invalid client request).*")
"""What Slurm writes when it cannot read a line of the MPI library. Its reader of PMI-1 takes 1024 characters; MPICH 5.0, which speaks
PMI-1 under pmi2 too, sends the address of a rank with memory that was never written, as text of which only zeros are shortened. So
the length of its lines depends on what was in memory before. The ranks then wait in MPI_Init for ever.
"""


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


def of_memory(output: str) -> bool:
    """Whether the output of a job that has failed tells of too much memory."""
    return MEMORY.search(output) is not None


def of_pmi(output: str) -> str:
    """The line of the output that says that Slurm does not understand the MPI library; "" for none."""
    found = PMI.search(output)
    return found[0] if found else ""
