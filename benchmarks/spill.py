"""Whether a disk for what does not fit into memory pays: a run that reads back, against one that reads its source again.

    .venv/bin/python benchmarks/spill.py [--events N] [--repeat N] [--write]

One rank in this process keeps nothing in memory. It takes the maxima of nine columns of a file: NanoAOD-like data, packed with zlib or zstd, on this
machine's disk, or behind an HTTP server here that answers each request `DELAY` seconds late, at `RATE` bytes a second (a
link of 1 Gbit/s with 20 ms to a storage site). *Warm* is with all bytes in the operating system's memory, *from disk* after
it was told to forget them.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import multiprocessing
import os
import re
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uproot
from run import FOLDER, REPORT

import data
import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY, RATE = 0.02, 125e6
COLUMNS = ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_btag", "Muon_pt", "Muon_eta", "MET_pt", "MET_phi")


class Distant(http.server.SimpleHTTPRequestHandler):
    """Parts of files, as over a long link."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(DELAY)
        path = Path(self.translate_path(self.path))
        size = path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)) if wanted else (0, size - 1)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(first)
            for start in range(first, last + 1, 1 << 18):
                part = file.read(min(1 << 18, last + 1 - start))
                self.wfile.write(part)
                time.sleep(len(part) / RATE)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server with the files of a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Distant, directory=str(folder)))
    # Another process, so that its processor time is not ours; it has the socket that listens already.
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        process.terminate()
        process.join()
        server.server_close()


def repacked(source: Path, compression: Any, name: str) -> Path:
    """The same events packed otherwise; made once."""
    path = source.with_name(f"{name}-{source.name}")
    if not path.exists():
        partial_path = path.with_suffix(".part")
        with uproot.open(source) as file, uproot.recreate(partial_path, compression=compression) as out:
            for number, batch in enumerate(file["Events"].iterate(list(COLUMNS), step_size=data.CLUSTER)):
                columns = {column: batch[column] for column in COLUMNS}
                if number:
                    out["Events"].extend(columns)
                else:
                    out["Events"] = columns
        partial_path.rename(path)
    return path


@dataclass(frozen=True)
class Spent:
    """Seconds of a run, and of processor time."""

    wall: float
    processor: float

    def __or__(self, other: Spent) -> Spent:
        return Spent(min(self.wall, other.wall), min(self.processor, other.processor))


def spent(world: ThreadWorld, events: Any, factor: float) -> tuple[Spent, Run]:
    """A run that needs all columns and does little with them; its results are not known."""
    scale = md.param("scale", 1.0)
    results = {name: md.max(events[name] * scale) for name in COLUMNS}
    wall, processor = time.perf_counter(), time.process_time()
    run = Run(make_plan(results, parameters={"scale": factor}), world).wait()
    assert run.receipt.complete
    return Spent(time.perf_counter() - wall, time.process_time() - processor), run


def forget(file: int) -> None:
    """Let the operating system forget what it has of a file in memory."""
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


def compared(name: str, local: Path, source: str, folder: Path, repeat: int, *, cold: bool) -> str:
    """A line of the table."""
    events = md.open(f"{source}:Events", nanoaod=False)
    nothing, memory = ThreadWorld(1, cache=0), ThreadWorld(1, cache=10**10)
    spent(memory, events, 0.5)
    best: dict[str, Spent] = {}
    size = 0
    for number in range(repeat):
        spilled = ThreadWorld(1, cache=0, spill=folder)
        assert spilled.memories is not None
        spill = spilled.memories[0].spill
        assert spill is not None
        turns = {"read": nothing, "written": spilled, "back": spilled, "memory": memory}
        for kind, world in turns.items():
            if cold:
                with local.open("rb") as file:
                    forget(file.fileno())
                forget(spill._file)
            found, run = spent(world, events, 2.0 + number)
            assert run.snapshot is not None
            assert (run.snapshot.ranks[0].bytes_read > 0) is (kind in ("read", "written"))
            best[kind] = best.get(kind, found) | found
        size = spill.nbytes
    read, written, back = best["read"], best["written"], best["back"]
    walls = " | ".join(f"{best[kind].wall:.2f} s" for kind in ("read", "written", "back", "memory"))
    return (
        f"| {name}, {'from disk' if cold else 'warm'} | {local.stat().st_size / 1e6:.0f} / {size / 1e6:.0f} MB | {walls} "
        f"| {read.wall / back.wall:.1f} | {read.processor / back.processor:.1f} | {written.processor / read.processor:.2f} |"
    )


def main() -> None:
    """Measure, print, and with --write put the table into docs/benchmarks.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    source = data.make(FOLDER, files=1, events=options.events)[0]
    kinds = {"zlib 1": uproot.ZLIB(1), "zstd 5": uproot.ZSTD(5), "lzma 5": uproot.LZMA(5)}
    files = {name: repacked(source, kind, name.replace(" ", "")) for name, kind in kinds.items()}
    rows = []
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, served(FOLDER) as address:
        for name, file in files.items():
            for cold in (False, True):
                row = compared(
                    f"local file, {name}", file, str(file), Path(folder), options.repeat, cold=cold
                )
                rows.append(row)
                print(row, flush=True)
        for name in ("zlib 1", "zstd 5"):
            file = files[name]
            where = f"{address}/{file.name}"
            rows.append(compared(f"HTTP, {name}", file, where, Path(folder), options.repeat, cold=True))
            print(rows[-1], flush=True)
    head = (
        "| source | packed / unpacked | read again | read and written | read back | had in memory "
        "| again / back | the same, processor time | written / again, processor time |"
    )
    table = "\n".join([head, "| --- " * 9 + "|", *rows])
    print(table)
    if options.write:
        before, _, rest = REPORT.read_text().partition("<!-- spill -->")
        _, _, after = rest.partition("<!-- end of spill -->")
        REPORT.write_text(f"{before}<!-- spill -->\n{table}\n<!-- end of spill -->{after}")


if __name__ == "__main__":
    main()
