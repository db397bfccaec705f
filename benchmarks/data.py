"""NanoAOD-like files for the benchmarks: real events, drawn again and again and smeared a little.

The 1000 real events of `examples/data/singlemu.root` are drawn with replacement; momenta are smeared by 5 % and angles
turned, so that the files compress like data. TTree, zlib level 1, clusters of 100 000 events, as the ADL benchmark's files.
"""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

SOURCE = Path(__file__).parents[1] / "examples" / "data" / "singlemu.root"
COLLECTIONS = {
    "Muon": ("pt", "eta", "phi", "mass", "charge"),
    "Jet": ("pt", "eta", "phi", "mass", "btag"),
}
FLAT = ("MET_pt", "MET_phi")
CLUSTER = 100_000


def make(folder: Path, files: int = 4, events: int = 500_000) -> list[Path]:
    """Files with `events` events each, made once and kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"nano-{events}-{number}.root" for number in range(files)]
    with uproot.open(SOURCE) as source:
        columns = [f"{name}_{field}" for name, fields in COLLECTIONS.items() for field in fields]
        real = source["Events"].arrays([*columns, *FLAT])
    for number, path in enumerate(paths):
        if not path.exists():
            _write(path, real, events, np.random.default_rng(number))
    return paths


def _write(path: Path, real: ak.Array, events: int, random: np.random.Generator) -> None:
    partial = path.with_suffix(".part")
    with uproot.recreate(partial, compression=uproot.ZLIB(1)) as file:
        types = {
            name: {field: real[f"{name}_{field}"] for field in fields} for name, fields in COLLECTIONS.items()
        }
        first = True
        for start in range(0, events, CLUSTER):
            drawn = real[random.integers(0, len(real), min(CLUSTER, events - start))]
            batch: dict[str, object] = {name: _smeared(drawn[name], name, random) for name in FLAT}
            for name, fields in types.items():
                zipped = {field: _smeared(drawn[f"{name}_{field}"], field, random) for field in fields}
                batch[name] = ak.zip(zipped)
            if first:
                file.mktree(
                    "Events",
                    {
                        key: ak.type(value).content if isinstance(value, ak.Array) else value
                        for key, value in batch.items()
                    },
                )
                first = False
            file["Events"].extend(batch)
    partial.rename(path)


def _smeared(values: ak.Array, field: str, random: np.random.Generator) -> ak.Array:
    counts = ak.num(values) if values.ndim > 1 else None
    flat = ak.to_numpy(ak.flatten(values, axis=None))
    if field.endswith("pt"):
        flat = (flat * random.normal(1, 0.05, len(flat))).astype(np.float32)
    elif field.endswith("phi"):
        flat = ((flat + random.uniform(-np.pi, np.pi, len(flat))) % (2 * np.pi) - np.pi).astype(np.float32)
    return ak.Array(flat) if counts is None else ak.unflatten(flat, counts)
