"""What this user may use: accounts, qualities of service and partitions, as Slurm's accounting has them.

Slurm calls a row of it an association. Many sites let everybody ask for his own; where accounting is disabled or
does not answer, nothing is known, and nothing is refused.
"""

from __future__ import annotations

import getpass
import os
import pwd
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpidist.errors import WorldError, near_names

from .commands import SlurmRefused, SlurmUnavailable, call
from .tables import columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Accounts", "Association", "accounts", "check_account"]

FIELDS = "Cluster,Account,Partition,QOS,DefaultQOS,MaxJobs,MaxSubmit,MaxWall"
SECONDS = 10.0
DISABLED = re.compile("accounting storage is disabled|supported accounting_storage plugin", re.IGNORECASE)
NO_ACCOUNTS = (
    "this cluster keeps no accounts (Slurm's accounting storage is disabled), so none needs to be given"
)
WEAK = frozenset({"", "none", "nojobs", "nosteps"})
"""Words of AccountingStorageEnforce with which any account is taken."""
SETTING = re.compile(r"^(ClusterName|AccountingStorageEnforce)\s*=\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Association:
    """An account that the user has, with the limits of his own there ("" for none).

    `partition`: the only one in which it is so, "" for all. `qos`: names of qualities of service that may be asked for.
    """

    account: str
    partition: str = ""
    qos: tuple[str, ...] = ()
    default_qos: str = ""
    most_jobs: str = ""
    most_submitted: str = ""
    longest_time: str = ""


@dataclass(frozen=True, slots=True)
class Accounts:
    """What `user` may use on this cluster; `str` of it is a table.

    `unknown` says in words why nothing is known, else it is "". `enforced`: what Slurm refuses if it is not in the table
    ("associations", "qos", ...).
    """

    user: str
    rows: tuple[Association, ...] = ()
    unknown: str = ""
    enforced: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Association]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        if self.unknown:
            return self.unknown
        if not self.rows:
            return (
                f"Slurm's accounting has no account of user {self.user} here. "
                "Hint: if jobs are refused, ask your site's support for one."
            )
        rows = [
            (
                each.account,
                each.partition or "all",
                ", ".join(f"{name} (default)" if name == each.default_qos else name for name in each.qos),
                each.most_jobs or "-",
                each.most_submitted or "-",
                each.longest_time or "-",
            )
            for each in self.rows
        ]
        return columns(
            ("account", "partitions", "qos", "jobs at once", "jobs submitted", "longest time"), rows
        )

    __repr__ = __str__


def accounts() -> Accounts:
    """What this user may use on this cluster; never raises because accounting does not answer."""
    user = _user()
    asked = ["show", "associations", f"user={user}", f"format={FIELDS}"]
    try:
        text = call(["sacctmgr", "--noheader", "--parsable2", *asked], seconds=SECONDS)
    except SlurmRefused as error:
        if DISABLED.search(error.said):
            return Accounts(user, unknown=NO_ACCOUNTS)
        reason = f"sacctmgr says: {error.brief}"
    except SlurmUnavailable as error:
        reason = str(error)
    else:
        settings = _settings()
        enforced = set(settings.get("AccountingStorageEnforce", "").lower().split(","))
        return Accounts(user, _rows(text, settings.get("ClusterName")), enforced=frozenset(enforced - WEAK))
    return Accounts(user, unknown=f"which accounts {user} may use is not known: {reason}")


def check_account(account: str | None, qos: str | None, partition: str | None) -> None:
    """Raise WorldError, with near names, for what Slurm would refuse this user; says nothing where it is not known."""
    if account is None and qos is None:
        return
    found = accounts()
    if not found.rows or not found.enforced:
        return
    rows = list(found)
    if account is not None:
        rows = [each for each in rows if each.account.lower() == account.lower()]
        if not rows:
            raise _unknown(found.user, "account", account, (each.account for each in found))
        wanted = partition.split(",") if partition else [each.partition for each in rows]
        if not any(each.partition in ("", *wanted) for each in rows):
            only = ", ".join(sorted({each.partition for each in rows}))
            raise WorldError(
                f"user {found.user} has account {account!r} in partition {only} only, not in {partition!r}. "
                "Hint: mpidist_slurm.accounts() lists what you may use."
            )
    allowed = {name for each in rows for name in each.qos}
    if (
        qos is not None
        and found.enforced & {"qos", "all"}
        and allowed
        and qos.lower() not in map(str.lower, allowed)
    ):
        raise _unknown(
            found.user, "qos", qos, sorted(allowed), f" with account {account!r}" if account else ""
        )


def _unknown(user: str, kind: str, name: str, known: Iterable[str], where: str = "") -> WorldError:
    names = list(dict.fromkeys(known))
    near = near_names(name, names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}."
    return WorldError(f"Slurm has no {kind} {name!r} for user {user}{where}. Hint: {hint}")


def _rows(text: str, cluster: str | None) -> tuple[Association, ...]:
    """The associations of `cluster` (None: of all), sorted by name."""
    found = set()
    for line in text.splitlines():
        fields = [part.strip() for part in line.split("|")]
        if len(fields) != FIELDS.count(",") + 1 or not fields[1]:
            continue
        where, account, partition, qos, *rest = fields
        # One accounting database often serves several clusters.
        if cluster is None or where.lower() == cluster.lower():
            names = tuple(sorted(name for name in qos.split(",") if name))
            found.add(Association(account, partition, names, *rest))
    return tuple(sorted(found, key=lambda each: (each.account, each.partition)))


def _settings() -> dict[str, str]:
    """Name of the cluster and what it enforces; {} if Slurm does not say."""
    try:
        return dict(SETTING.findall(call(["scontrol", "show", "config"], seconds=SECONDS)))
    except (SlurmRefused, SlurmUnavailable):
        return {}


def _user() -> str:
    """The name by which Slurm knows this user; variables such as USER may be another's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container
        return getpass.getuser()
