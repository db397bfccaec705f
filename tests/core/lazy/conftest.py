"""Events in memory that count which of their buffers are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "{form_key}-{attribute}"


class Events:
    """An origin of `length` random events; a test may forbid reading any buffer."""

    def __init__(self, length: int = 60, seed: int = 1, name: str = "test.root:Events") -> None:
        self.name = name
        self.digest = f"{seed:08x}{length:08x}"
        packed = ak.to_packed(make_events(length, seed))
        self.form, self.length, self.buffers = ak.to_buffers(packed, buffer_key=KEY)

    def read(self, readable: frozenset[str] | None = None) -> ak.Array:
        """All events; buffers outside `readable` raise when they are looked at."""
        container: dict[str, Any] = dict(self.buffers)
        for key in container.keys() - (container.keys() if readable is None else readable):
            container[key] = forbidden(key)
        return ak.from_buffers(self.form, self.length, container, buffer_key=KEY)

    def why_missing(self, path: str) -> str | None:
        return f"{path} is known to be absent" if path == "Muon.absent" else None

    def head(self, n: int) -> ak.Array:
        return self.read()[:n]


def forbidden(key: str) -> Callable[[], Any]:
    def read() -> Any:
        raise AssertionError(f"{key} was read, but not predicted")

    return read


def make_events(length: int, seed: int) -> ak.Array:
    random = np.random.default_rng(seed)

    def particles(name: str, *, mean: float, **extra: Callable[[int], Any]) -> ak.Array:
        counts = random.poisson(mean, length)
        total = int(counts.sum())
        fields = {
            "pt": random.exponential(30.0, total),
            "eta": random.normal(0.0, 1.5, total),
            "phi": random.uniform(-np.pi, np.pi, total),
            "mass": np.full(total, 0.105),
        } | {key: make(total) for key, make in extra.items()}
        return ak.unflatten(ak.zip(fields, with_name=name), counts)

    muons = particles(
        "Momentum4D",
        mean=1.5,
        charge=lambda n: random.choice([-1, 1], n),
        tight=lambda n: random.random(n) > 0.4,
        hits=lambda n: random.integers(0, 30, n, dtype=np.int32),
    )
    words = np.array(["HLT_Mu", "HLT_Ele", ""])
    columns = {
        "Muon": muons,
        "Electron": particles("Momentum4D", mean=1.0),
        "Jet": particles("Momentum4D", mean=3.0, btag=random.random),
        "MET": ak.zip({"pt": random.exponential(40.0, length), "phi": random.uniform(-np.pi, np.pi, length)}),
        "run": random.integers(1, 4, length),
        "flag": random.random(length) > 0.5,
        "weight": random.normal(1.0, 0.3, length).astype(np.float32),
        "maybe": ak.mask(random.normal(size=length), random.random(length) > 0.3),
        "vertex": random.normal(size=(length, 3)),
        "trigger": ak.Array(list(words[random.integers(0, 3, length)])),
        "nMuon": ak.num(muons),
        "order": ak.argsort(muons.pt, axis=1),
        "fields": random.integers(0, 9, length),
    }
    return ak.zip(columns, depth_limit=1)


@pytest.fixture(scope="session")
def origin() -> Events:
    return Events()


@pytest.fixture(scope="session")
def other_origin() -> Events:
    return Events(seed=2, name="other.root:Events")


@pytest.fixture(scope="session")
def events(origin: Events) -> lazy.Lazy:
    return lazy.source(origin)
