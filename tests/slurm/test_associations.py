"""Accounts and qualities of service: what Slurm's accounting printed, and what is refused because of it.

Recorded on Slurm 22.05.8 (Debian 12) with slurmdbd and MariaDB 10.11, which are too much to start in every test: two accounts of
one user, made by `sacctmgr add user ... account=cms partition=debug qos=short,normal` and the like; accounts and
qualities of service that are refused here were refused there by sbatch.
"""

from __future__ import annotations

import os
import pwd
import shlex
from typing import TYPE_CHECKING

import pytest

from mpidist.errors import WorldError
from mpidist_slurm import Slurm, accounts
from mpidist_slurm.associations import check_account

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = """\
mpidist|cms|debug|normal,short||||
mpidist|atlas||long,normal|long|4||
mpidist|root||normal||||
"""
ELSEWHERE = "other|lhcb||normal||||\n"
CONFIG = """\
AccountingStorageEnforce = associations,limits,qos
ClusterName             = mpidist
"""
NOT_ENFORCED = CONFIG.replace("associations,limits,qos", "none")
WITHOUT = """\
You are not running a supported accounting_storage plugin
Only 'accounting_storage/slurmdbd' is supported.
"""
NO_DATABASE = """\
sacctmgr: error: slurm_persist_conn_open_without_init: failed to open persistent connection to host:127.0.0.1:28917: Connection refused
sacctmgr: error: Sending PersistInit msg: Connection refused
"""


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Programs that print what was recorded, as the only ones on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name: str, said: str = "", complaint: str = "", code: int = 0) -> None:
        file = tmp_path / name
        lines = [f"printf %s {shlex.quote(said)}", f"printf %s {shlex.quote(complaint)} >&2", f"exit {code}"]
        file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        file.chmod(0o755)

    return write


@pytest.fixture
def known(replay: Callable[..., None]) -> None:
    replay("sacctmgr", ROWS + ELSEWHERE)
    replay("scontrol", CONFIG)


def test_the_table(known: None) -> None:
    found = accounts()
    assert [each.account for each in found] == ["atlas", "cms", "root"]
    assert found.rows[0].qos == ("long", "normal")
    assert found.rows[0].most_jobs == "4"
    assert found.enforced == {"associations", "limits", "qos"}
    assert str(found).splitlines() == [
        "account  partitions  qos                     jobs at once  jobs submitted  longest time",
        "atlas    all         long (default), normal  4             -               -",
        "cms      debug       normal, short           -             -               -",
        "root     all         normal                  -             -               -",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        (None, None, "regular"),
        ("atlas", None, None),
        ("ATLAS", "LONG", "regular"),  # sbatch takes both
        ("cms", None, None),
        ("cms", "short", "debug"),
        ("cms", None, "regular,debug"),
        (None, "short", None),
    ],
)
def test_what_the_user_has_is_taken(known: None, asked: tuple[str | None, str | None, str | None]) -> None:
    check_account(*asked)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("atlsa", None, None), r"has no account 'atlsa' for user \S+\. Hint: did you mean atlas\?"),
        (("lhcb", None, None), r"has no account 'lhcb' for user \S+\. Hint: there are atlas, cms, root\."),
        (("cms", None, "regular"), r"has account 'cms' in partition debug only, not in 'regular'\. Hint: "),
        (("atlas", "short", None), r"no qos 'short' for user \S+ with account 'atlas'. Hint: there are long, normal"),
        ((None, "shor", None), r"no qos 'shor' for user \S+\. Hint: did you mean short\?"),
    ],
)  # fmt: skip
def test_what_he_has_not_is_refused(
    known: None, asked: tuple[str | None, str | None, str | None], words: str
) -> None:
    with pytest.raises(WorldError, match=words):
        check_account(*asked)


def test_a_wrong_account_is_refused_before_anything_is_submitted(
    known: None, replay: Callable[..., None]
) -> None:
    replay("sbatch", "slurm-wlm 22.05.8\n")
    with pytest.raises(WorldError, match="did you mean atlas"):
        Slurm(account="atlsa").check()


def test_what_is_not_enforced_is_not_refused(known: None, replay: Callable[..., None]) -> None:
    replay("scontrol", NOT_ENFORCED)
    check_account("atlsa", "shor", None)
    replay("scontrol", CONFIG.replace(",qos", ""))
    check_account("atlas", "short", None)
    with pytest.raises(WorldError, match="did you mean atlas"):
        check_account("atlsa", None, None)


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        (WITHOUT, "this cluster keeps no accounts"),
        # what sacct says of the same in 22.05
        ("Slurm accounting storage is disabled\n", "this cluster keeps no accounts"),
        (NO_DATABASE, "may use is not known: sacctmgr says: slurm_persist_conn_open_without_init: failed to"),
        (" Unknown field 'MaxWall'\n", "is not known: sacctmgr says: Unknown field 'MaxWall'"),
    ],
)
def test_where_nothing_is_known_nothing_is_refused(
    replay: Callable[..., None], complaint: str, words: str
) -> None:
    replay("sacctmgr", complaint=complaint, code=1)
    assert words in str(accounts())
    assert len(accounts()) == 0
    check_account("atlsa", "shor", "debug")


def test_without_sacctmgr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "is not known: there is no sacctmgr on PATH" in str(accounts())
    check_account("atlsa", None, None)


def test_a_user_without_accounts(replay: Callable[..., None]) -> None:
    replay("sacctmgr", "")
    replay("scontrol", CONFIG)
    assert "has no account of user" in str(accounts())
    check_account("atlas", None, None)


def test_a_cluster_whose_name_is_not_told(replay: Callable[..., None]) -> None:
    replay("sacctmgr", ROWS + ELSEWHERE)
    assert [each.account for each in accounts()] == ["atlas", "cms", "lhcb", "root"]
    check_account("atlsa", None, None)


def test_the_variables_of_the_user_are_not_believed(known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("USER", "somebody")
    assert accounts().user == pwd.getpwuid(os.getuid()).pw_name != "somebody"
