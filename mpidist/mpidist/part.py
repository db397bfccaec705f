"""One lease of a run as the kernel sees it: takes its ranks' messages apart into exact states."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Failure, WorldError
from .ledger import Table
from .snapshot import PartState
from .spmd.failing import complete
from .spmd.header import Headers
from .spmd.lease import Lease
from .spmd.packing import Lengths, Objects, totals_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .plan import Plan
    from .spmd.task import Start

__all__ = ["Part"]


@dataclass
class Part:
    """The kernel's side of one task: its latest state, and the words about it for the user.

    Messages come in order. A state replaces the one before it; failures and payloads that did not travel with it are
    kept from earlier ones (a payload only if it still belongs to the state: else the result is left out).
    """

    task: Start
    hosts: Sequence[str] = ()
    table: Table | None = None
    plan: Plan | None = None
    probed: Mapping[str, object] = field(default_factory=dict)
    state: PartState | None = None
    scanned: tuple[int, int] = (0, 0)
    _failures: tuple[Failure, ...] = ()

    def receive(self, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take in one message of a rank."""
        kind = meta["kind"]
        if kind == "scan":
            self.scanned = (int(meta["done"]), int(meta["total"]))
        elif kind == "begin":
            self._begin(meta, buffers)
        elif self.table is not None and self.plan is not None:
            self._receive_state(self.plan, meta, buffers)

    def _begin(self, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        # Pickled by our own ranks, on a channel whose messages are signed with this session's key.
        self.probed = pickle.loads(buffers[0])
        self.hosts = list(meta["hosts"])
        plan = self.task.plan
        self.plan = plan.settle(self.probed) if self.probed else plan
        samples = tuple(sample.name for sample in plan.dataset.samples)
        self.table = Table((), (), samples, tuple(meta["expected"]))

    def _grown(self, meta: Mapping[str, Any], growth: bytes) -> Table | None:
        """The table that a state is about; None if a message before it is missing (the last one brings the whole table)."""
        table, size = self.table, tuple(meta["table"])
        assert table is not None
        if (len(table.files), len(table.chunks)) != size and growth:
            files, chunks = pickle.loads(growth)  # as above
            if (len(files), len(chunks)) == size:
                table = replace(table, files=(), chunks=())
            table = table.extended(files, chunks)
        return table if (len(table.files), len(table.chunks)) == size else None

    def _file_failures(self, table: Table) -> tuple[Failure, ...]:
        return tuple(
            Failure(
                file=info.ref.path,
                sample=table.samples[info.ref.sample],
                start=0,
                stop=0,
                rank=0,
                host=self.hosts[0],
                kind=str(info.problem_kind),
                message=str(info.problem),
            )
            for info in table.problems
        )

    def _receive_state(self, plan: Plan, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if self.state is not None and meta["sequence"] < self.state.sequence:
            return
        table = self._grown(meta, bytes(buffers[4]))
        if table is None:
            return
        sums, maxima = (np.frombuffer(buffer, dtype=np.int64) for buffer in buffers[:2])
        headers = Headers(np.frombuffer(buffers[2], dtype=np.int64).reshape(meta["ranks"], -1))
        objects = Objects.loads(bytes(buffers[3])) if len(buffers[3]) else None
        keys = tuple((int(sample), str(name)) for sample, name in meta["keys"])
        lengths = Lengths(keys, *(tuple(numbers) for numbers in meta["lengths"]))
        payloads = objects.payloads if objects is not None and meta["payloads"] else None
        ledger, totals = totals_of(table, lengths, meta["layout"], sums, maxima, payloads, plan.payloads)
        if int(ledger.done.sum()) != headers.total("chunks_done"):
            msg = (
                f"the ranks report {headers.total('chunks_done')} chunks, the ledger has {int(ledger.done.sum())}: "
                "some chunk was counted twice. This is a fault of mpidist; please report it with the plan."
            )
            raise WorldError(msg)
        if objects is not None:
            self._failures = tuple(complete(failure) for failure in objects.failures)
        self.table = table
        self.state = PartState(
            ledger,
            totals,
            headers.statuses(self.hosts),
            self._file_failures(table) + self._failures,
            float(meta["seconds"]),
            int(meta["sequence"]),
            plan,
        )

    @property
    def idle(self) -> bool:
        """Whether no chunk was done: then it can be forgotten, and its task given again."""
        return self.state is None or not self.state.ledger.done.any()

    def remainder(self) -> Lease:
        """What this part lacks: files of which nothing was done, and single chunks of the others."""
        everything = Lease(frozenset(ref.index for ref in self.task.plan.dataset.files), frozenset())
        lease = self.task.lease or everything
        if self.state is None:
            return lease
        ledger = self.state.ledger
        usable = {info.ref.index for info in ledger.table.files if info.problem is None}
        missing = ledger.missing
        done = {chunk.file for chunk in ledger.table.chunks if ledger.done[chunk.index]}
        # Never a whole file of which an earlier part, or this one, has done something: it would be counted twice.
        whole = {file for file in lease.files if file not in usable} | (
            lease.files & {chunk.file for chunk in missing} - done
        )
        single = {Lease.place(chunk) for chunk in missing if chunk.file not in whole}
        unusable = {place for place in lease.chunks if place[0] not in usable}
        return Lease(frozenset(whole), frozenset(single | unusable))
