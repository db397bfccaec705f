"""Files from real HTTP and XRootD servers on this machine: the same results as from the disk, and clear errors."""

from __future__ import annotations

import http.server
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.errors import DatasetError, RunFailed
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_labext.data import area
from mpidist_labext.schema.data import ColumnsRequest, ContentsRequest, GlanceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.remote
ROOT = Path(__file__).parents[3]
NAMES = {
    "dimuon.root": ROOT / "examples" / "data",
    "singlemu.root": ROOT / "examples" / "data",
    "ntpl001_staff_rntuple_v1-0-1-0.root": ROOT / "tests" / "data",
    "uproot-Zmumu-lz4.root": ROOT / "tests" / "data",
    "error_page.root": ROOT / "tests" / "data",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, also parts of them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None or not path.is_file():
            return super().do_GET()
        size = path.stat().st_size
        first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
        with path.open("rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served() -> Iterator[Path]:
    """A folder that the servers may read, whoever they run as."""
    folder = Path(tempfile.mkdtemp())
    try:
        for name, source in NAMES.items():
            shutil.copyfile(source / name, folder / name)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def http_server(served: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def xrootd_server(served: Path) -> Iterator[str]:
    if shutil.which("xrootd") is None:
        pytest.fail("there is no xrootd. Hint: make xrootd (needs root)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = Path(tempfile.mkdtemp())
    (own / "admin").mkdir()
    (own / "xrootd.cfg").write_text(
        f"all.export /\noss.localroot {served}\nxrd.port {port}\nall.adminpath {own}/admin\n"
    )
    command = ["xrootd", "-c", str(own / "xrootd.cfg"), "-l", str(own / "log")]
    if os.getuid() == 0:  # xrootd does not run as root
        shutil.chown(own, "xrootd")
        shutil.chown(own / "admin", "xrootd")
        command += ["-R", "xrootd"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=own) as process:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (own / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"root://127.0.0.1:{port}/"
        process.terminate()
        process.wait(10)
    shutil.rmtree(own, ignore_errors=True)


@pytest.fixture(params=["http_server", "xrootd_server"])
def base(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def results_of(name: str, events: Any) -> dict[str, Any]:
    column = {"ntpl001_staff_rntuple_v1-0-1-0.root": "Age", "uproot-Zmumu-lz4.root": "M"}.get(name)
    array = events[column] if column else events.Muon.pt
    return {"n": md.count(array), "sum": md.sum(array), "h": md.hist(array, bins=20)}


@pytest.mark.parametrize(
    "name", ["dimuon.root", "singlemu.root", "ntpl001_staff_rntuple_v1-0-1-0.root", "uproot-Zmumu-lz4.root"]
)
def test_a_remote_file_gives_what_the_local_one_gives(base: str, served: Path, name: str) -> None:
    remote = md.compute(results_of(name, md.open(f"{base}/{name}")))
    local = md.compute(results_of(name, md.open(served / name)))
    assert remote.n == local.n > 0
    assert remote["sum"] == local["sum"]
    assert remote.h == local.h


def test_several_files_by_several_ranks(base: str, served: Path) -> None:
    for number in range(4):
        shutil.copyfile(served / "singlemu.root", served / f"copy{number}.root")
    events = md.open([f"{base}/copy{number}.root:Events" for number in range(4)])
    run = Run(make_plan({"n": md.count(events)}), ThreadWorld(2))
    assert run.result().n == 4000


def test_files_that_are_not_there_or_no_data(base: str) -> None:
    with pytest.raises(
        DatasetError, match=r"nothere\.root (does not exist|cannot be opened: .*no such file)"
    ):
        md.open(f"{base}/nothere.root:Events")
    with pytest.raises(DatasetError, match=r"error_page\.root cannot be opened"):
        md.open(f"{base}/error_page.root:Events")
    events = md.open([f"{base}/singlemu.root:Events", f"{base}/nothere.root:Events"])
    with pytest.raises(RunFailed, match="1 of 2 files could not be used"):
        md.compute(n=md.count(events))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "fsspec_xrootd" else found(name, *rest),
    )
    with pytest.raises(DatasetError, match=r'root:// needs fsspec-xrootd; pip install "mpidist\[remote\]"'):
        md.open("root://127.0.0.1:1//nothing.root:Events")


def test_the_panel_of_jupyterlab_looks_into_remote_files(base: str) -> None:
    """By the process that reads for the server, with its limits of memory and time."""
    name = f"{base}/dimuon.root"
    try:
        found = area.contents(ContentsRequest(name))
        assert (found.format, found.path) == ("ROOT", name)
        assert [(each.name, each.entries) for each in found.objects] == [("Events", 100_000)]
        columns = area.columns(ColumnsRequest(name, "Events", find="muon pt"))
        assert [each.access for each in columns.columns] == [".Muon.pt"]
        glance = area.glance(GlanceRequest(name, "Events", ".Muon.pt"))
        assert (glance.entries, glance.total) == (100_000, 100_000)
        assert glance.values == md.compute(n=md.count(md.open(name).Muon.pt)).n
        with pytest.raises(DatasetError, match=r"nothing\.root"):
            area.contents(ContentsRequest(f"{base}/nothing.root"))
    finally:
        area.close()
