"""What other versions of Slurm print. Each sample says where it is from; "here" is Slurm 22.05.8 of Debian 12.

SchedMD/slurm is Slurm's source at github.com; numbers with # are issues and pull requests there. Records of 2026 are outputs which
users have kept in public repositories; they do not name the version, which is newer than 22.05.
"""

from __future__ import annotations

import pytest

from mpidist.errors import WorldError
from mpidist_slurm import reasons
from mpidist_slurm.flavour import fitting, listed
from mpidist_slurm.job import WAITS, Job, number, remembered
from mpidist_slurm.offers import START

HERE = "MPI plugin types are...\n\tpmix\n\tnone\n\tcray_shasta\n\tpmi2\nspecific pmix plugin versions available: pmix_v4\n"
# slurm.schedmd.com/mpi_guide.html, version 25.11
GUIDE = "MPI plugin types are...\n\tcray_shasta\n\tnone\n\tpmi2\n\tpmix\nspecific pmix plugin versions available: pmix_v3,pmix_v4\n"
# pyiron/executorlib #761 (2025): PMIx is listed, though its library cannot be loaded
CANNOT_LOAD = """\
MPI plugin types are...
	none
	pmix
	cray_shasta
	pmi2
specific pmix plugin versions available: pmix_v5
srun: error:  mpi/pmix_v5: init: (null) [0]: mpi_pmix.c:193: pmi/pmix: can not load PMIx library
srun: error: Couldn't load specified plugin name for mpi/pmix: Plugin init() callback failed
srun: error: MPI: Cannot create context for mpi/pmix
"""
# openpmix/prrte #1635 (2023)
NO_PMIX = "MPI plugin types are...\n\tcray_shasta\n\tnone\n\tpmi2\n"
# NVIDIA/deepops #494 (2020), as errors
OLD = "srun: MPI types are...\nsrun: none\nsrun: openmpi\nsrun: pmi2\nsrun: pmix_v3\nsrun: pmix\n"


@pytest.mark.parametrize(
    ("text", "types"),
    [
        (HERE, {"pmix", "none", "cray_shasta", "pmi2"}),
        (GUIDE, {"pmix", "none", "cray_shasta", "pmi2"}),
        (CANNOT_LOAD, {"pmix", "none", "cray_shasta", "pmi2"}),
        (NO_PMIX, {"none", "cray_shasta", "pmi2"}),
        (OLD, {"none", "openmpi", "pmi2", "pmix", "pmix_v3"}),
        ("", set()),
    ],
)
def test_what_srun_offers(text: str, types: set[str]) -> None:
    assert listed(text) == types


UBUNTU = "Open MPI v4.1.6, package: Debian OpenMPI, ident: 4.1.6, repo rev: v4.1.6, Sep 30, 2023"


@pytest.mark.parametrize(
    ("library", "text", "launcher"),
    [
        ("MPICH Version: 5.0.2", HERE, "pmi2"),  # here
        # MPI_Get_library_version in records of builds (2023)
        ("MPI VERSION : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)", NO_PMIX, "cray_shasta"),
        ("Intel(R) MPI Library 2021.8 for Linux* OS", GUIDE, "pmi2"),
        # the same of Ubuntu 24.04
        (UBUNTU, GUIDE, "pmix"),
        (UBUNTU, NO_PMIX, "mpiexec"),
    ],
)
def test_which_way_fits(library: str, text: str, launcher: str) -> None:
    choice = fitting(library, listed(text))
    assert choice.launcher == launcher
    assert library in choice.why


def test_a_library_that_is_not_known() -> None:
    with pytest.raises(
        WorldError, match=r"does not know how SomeMPI 1.0 is started under Slurm\. Hint: Slurm\(launcher="
    ):
        fitting("SomeMPI 1.0", listed(HERE))


@pytest.mark.parametrize(
    ("said", "start", "where"),
    [
        (  # here
            "sbatch: Job 9428469 to start at 2026-11-27T12:59:23 using 1 processors on nodes n1 in partition debug",
            "2026-11-27T12:59:23",
            "n1",
        ),
        (  # ARCHER2-HPC/archer2-docs #350 (2021)
            "sbatch: Job 639625 to start at 2021-11-13T04:47:02 using 256 processors on nodes nid001294 in partition standard",
            "2021-11-13T04:47:02",
            "nid001294",
        ),
        (  # a record of August 2026; the same form in eight others until September
            "sbatch: Job 153117 to start at 2026-08-06T21:52:42 a using 8 processors on nodes gpu-51 in partition cscc-gpu-p",
            "2026-08-06T21:52:42",
            "gpu-51",
        ),
        (  # the documentation of Andes at OLCF (2019)
            "sbatch: Job 1375 to start at 2019-08-06T10:54:01 using 64 processors on nodes andes[499-500] in partition batch",
            "2019-08-06T10:54:01",
            "andes[499-500]",
        ),
        (  # SchedMD/slurm src/api/allocate.c: slurm_job_will_run for controllers of 17.11, and its line of jobs that would be preempted
            "sbatch: Job 7 to start at 2019-08-06T10:54:01 using 64 processors on nodes n[1-2]\nsbatch:   Preempts: 5,6",
            "2019-08-06T10:54:01",
            "n[1-2]",
        ),
    ],
)
def test_when_a_job_would_start(said: str, start: str, where: str) -> None:
    found = START.search(said)
    assert found is not None
    assert (found[1], found[3]) == (start, where)


# nipy/nipype #1330 (2016) and llnl/maestrowf #441 (2024): sbatch of TACC prints more; the last line as with --parsable
WELCOME = """\

-----------------------------------------------------------------
          Welcome to the Stampede3 Supercomputer
-----------------------------------------------------------------

No reservation for this job
--> Verifying valid submit host (login4)...OK
--> Verifying that quota for filesystem /work2/02661/bwibking/stampede3 is at  0.00% allocated...OK
519605
"""


@pytest.mark.parametrize(
    ("said", "job"),
    [
        ("4711\n", "4711"),
        ("4711;mpidist\n", "4711"),
        (WELCOME, "519605"),
    ],  # sbatch(1): "separated by a semicolon"
)
def test_the_number_of_a_job(said: str, job: str) -> None:
    assert number(said) == job


def test_a_job_without_a_number() -> None:
    for said in ("", "Submitted batch job 519605\n", "Welcome to the Stampede3\n"):
        with pytest.raises(WorldError, match=r"has not said which number the job has, but .*Hint: "):
            number(said)


# A record of August 2026 (Hyak Tillicum), which waits
WAITING = (
    "JobId=248197 JobName=mmu_medrec_v1 JobState=PENDING Reason=JobHeldUser Dependency=(null) Requeue=0 Restarts=0 BatchFlag=1 "
    "Reboot=0 ExitCode=0:0 StartTime=Unknown EndTime=Unknown Deadline=N/A SuspendTime=None SecsPreSuspend=0 "
    "LastSchedEval=2026-08-19T00:20:17 Scheduler=Main Partition=gpu-h200 AllocNode:Sid=tillicum-login02:337974 "
    "ReqNodeList=(null) ExcNodeList=(null) NodeList= NumNodes=1-1 NumCPUs=8 NumTasks=1 CPUs/Task=8 ReqB:S:C:T=0:0:*:* "
    "LicensesAlloc=(null) Network=(null) SubmitLine=sbatch --parsable --hold --export=NONE --job-name=mmu_medrec_v1 x.sbatch"
)
# mknoxnv/ubuntu-slurm #5 (2018), in one line
FAILED = (
    "JobState=FAILED Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=1:0 "
    "StartTime=2018-11-01T14:54:03 EndTime=2018-11-01T14:54:03 Deadline=N/A ReqNodeList=(null) ExcNodeList=(null) NodeList=asus"
)


def test_jobs_as_scontrol_shows_them() -> None:
    waiting = remembered("248197", WAITING)
    assert waiting == Job("248197", "PENDING", "JobHeldUser", exit_code="0:0")
    assert waiting.waits
    failed = remembered("7", FAILED)
    assert failed is not None
    assert failed.over
    assert str(failed) == "Slurm job 7 has ended: it failed (FAILED, exit code 1:0), on asus"
    # A command of the user's may look like a field; several flags of a state are joined (job_state_string_complete).
    assert remembered("7", f"{FAILED} SubmitLine=sbatch --wrap=x JobState=RUNNING") == failed
    assert remembered("7", FAILED.replace("FAILED", "CANCELLED,COMPLETING", 1)) == Job(
        "7", "CANCELLED", "NonZeroExitCode", "2018-11-01T14:54:03", "2018-11-01T14:54:03", "asus", "1:0"
    )
    assert remembered("7", "slurm_load_jobs error: Invalid job id specified") is None


# SchedMD/slurm src/common/slurm_protocol_defs.c (2026): job_state_string
BASE = ("CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED")  # fmt: skip
GOES_ON = (
    "RUNNING",
    "SUSPENDED",
    "COMPLETING",
    "STAGE_OUT",
    "RESIZING",
    "STOPPED",
    "SIGNALING",
    "EXPEDITING",
)
BACK = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")


def test_states() -> None:
    for state in BASE:
        job = Job("7", state, nodes="n1")
        assert (job.over, job.waits) == (True, False)
        assert "Slurm says" not in str(job)
    for state in (*GOES_ON, "A_STATE_OF_2030"):
        job = Job("7", state, nodes="n1")
        assert (job.over, job.waits) == (False, False), state
        assert str(job) == f"job 7 is {state.lower()} on n1"
    for state in BACK:
        assert (Job("7", state).over, Job("7", state).waits) == (False, True), state
    assert set(BACK) == WAITS
    assert "mem_per_rank" in str(Job("7", "OUT_OF_MEMORY", nodes="n1", exit_code="0:125"))


# SchedMD/slurm src/common/job_state_reason.c: all that are not of the families Assoc..., QOS...
REASONS = """
None Prolog Priority Dependency Resources PartitionNodeLimit PartitionTimeLimit PartitionDown PartitionInactive JobHeldAdmin
JobHeldUser BeginTime Licenses AssociationJobLimit AssociationResourceLimit AssociationTimeLimit Reservation ReqNodeNotAvail
FrontEndDown SchedDefer NodeDown BadConstraints SystemFailure JobLaunchFailure NonZeroExitCode RaisedSignal TimeLimit InactiveLimit
InvalidAccount InvalidQOS QOSUsageThreshold QOSJobLimit QOSNotAllowed Cleaning AccountNotAllowed DependencyNeverSatisfied
QOSGrpCpuLimit QOSMaxCpuPerUserLimit QOSMinCpuNotSatisfied AssocGrpCpuLimit AssocMaxJobsLimit JobHoldMaxRequeue JobArrayTaskLimit
BurstBufferResources BurstBufferStageIn BurstBufferOperation PowerNotAvail PowerReserved AssocGrpBilling QOSMaxBillingPerUser
DeadLine MaxBBPerAccount MaxCpuPerAccount MaxGRESPerAccount MaxNodePerAccount MaxMemoryPerAccount MaxJobsPerAccount
MaxSubmitJobsPerAccount MaxBillingPerAccount PartitionConfig AccountingPolicy FedJobLock OutOfMemory MaxMemPerLimit
ReservationDeleted ReservationInvalid Constraints
"""


@pytest.mark.parametrize("reason", REASONS.split())
def test_reasons(reason: str) -> None:
    meaning = reasons.pending(reason)
    assert not meaning.text.startswith("Slurm says")
    assert str(Job("7", "PENDING", reason)).startswith(
        f"job 7 is pending: {meaning.text}" + f" ({reason})" * (reason != "None")
    )
    assert ("never start" in meaning.text) == (reason in reasons.NEVER)


def test_reasons_with_more_in_them() -> None:
    for reason, begin in (
        (
            "ReqNodeNotAvail, UnavailableNodes:r34n5",
            "nodes that it needs are",
        ),  # reframe-hpc/reframe #2411 (2022)
        ("ReqNodeNotAvail, May be reserved for other job", "nodes that it needs are"),  # the same
        ("RaisedSignal:53(Real-time_signal_19)", "it was ended by a signal"),  # records of 2025 and 2026
        # rivosinc/prometheus-slurm-exporter #106 (2024)
        (
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            "nodes that",
        ),
    ):
        assert reasons.pending(reason).text.startswith(begin)
