"""What is asked of a real Slurm without a session: accounts, and the place in the queue."""

from __future__ import annotations

import pytest

from mpidist_slurm import Slurm, accounts
from mpidist_slurm.associations import NO_ACCOUNTS

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]


def test_a_cluster_that_keeps_no_accounts() -> None:
    assert str(accounts()) == NO_ACCOUNTS
    Slurm(account="anything", qos="whatever").check()
