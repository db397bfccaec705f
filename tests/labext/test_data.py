"""What is in data files, asked for through the server; and the process that reads them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

import mpidist as md
from mpidist.errors import DatasetError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_labext import data
from mpidist_labext.data.reading import Reading
from mpidist_labext.data.sample import counted
from mpidist_labext.data.worker import answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Ask = Callable[..., Awaitable[Any]]

FILES = Path(__file__).parents[1] / "data"
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture(autouse=True)
def _end_readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A process that begins on a busy machine, with less right to it than others, is not what these tests are about.
    monkeypatch.setitem(data.area._readers, "local", Reading(seconds=85))
    yield
    data.close()


@pytest.fixture
def folder(jp_root_dir: Path) -> Path:
    """The folder that the server shows."""
    for name in ("nano_dy.root", "uproot-nesteddirs.root", "uproot-Zmumu-zlib.root", "tree_cycles_hist.root"):
        shutil.copy(FILES / name, jp_root_dir)
    (jp_root_dir / "work").mkdir()
    shutil.copy(DIMUON, jp_root_dir / "work")
    with h5py.File(jp_root_dir / "events.h5", "w") as file:
        events = file.create_group("Events")
        events.create_dataset("pt", data=np.linspace(0, 10, 1000), compression="gzip")
        muons = events.create_group("Muon")
        muons["counts"] = np.full(1000, 2)
        muons["eta"] = np.linspace(-2, 2, 2000)
        file["other"] = np.arange(7)
    return jp_root_dir


async def say(ask: Ask, what: str, code: int = 200, **body: Any) -> Any:
    response = await ask("data", what, method="POST", body=json.dumps(body), request_timeout=100)
    answer = json.loads(response.body)
    assert response.code == code, answer
    return answer if code == 200 else answer["message"]


# ------------------------------------------------------------------------------- contents


async def test_a_root_file_with_folders(ask: Ask, folder: Path) -> None:
    told = await say(ask, "contents", path="uproot-nesteddirs.root")
    assert (told["format"], told["size"]) == ("ROOT", (folder / "uproot-nesteddirs.root").stat().st_size)
    objects = {each["name"]: each for each in told["objects"]}
    assert objects["one"]["kind"] == "TDirectory"
    tree = objects["one/two/tree"]
    assert (tree["kind"], tree["tree"], tree["entries"], tree["columns"]) == ("TTree", True, 100, 20)
    assert tree["stored"] > 0


async def test_histograms_and_the_newest_cycle(ask: Ask, folder: Path) -> None:
    told = await say(ask, "contents", path="tree_cycles_hist.root")
    assert [each["name"] for each in told["objects"]][:2] == ["Events", "myTH1F"]
    assert (told["objects"][1]["kind"], told["objects"][1]["tree"]) == ("TH1F", False)
    assert told["objects"][1]["raw"] > 0
    assert told["compression"] == "ZLIB 1"


async def test_an_hdf5_file(ask: Ask, folder: Path) -> None:
    told = await say(ask, "contents", path="events.h5")
    objects = {each["name"]: each for each in told["objects"]}
    assert told["format"] == "HDF5"
    assert [name for name, each in objects.items() if each["tree"]] == ["Events", "other"]
    pt = objects["Events/pt"]
    assert (pt["type"], pt["entries"], pt["raw"], pt["compression"]) == ("float64", 1000, 8000, "gzip 4")
    found = await say(ask, "columns", path="events.h5", tree="Events", find="eta")
    assert [(each["name"], each["access"]) for each in found["columns"]] == [("Muon/eta", ".Muon.eta")]
    glance = await say(ask, "glance", path="events.h5", tree="Events", access=".Muon.eta")
    assert (glance["entries"], glance["values"], sum(glance["counts"])) == (1000, 2000, 2000)


async def test_data_sets_that_have_nothing_to_do_with_each_other(ask: Ask, folder: Path) -> None:
    with h5py.File(folder / "lhe.h5", "w") as file:
        file["events"] = np.arange(10.0)
        file["particles"] = np.arange(40.0).reshape(20, 2)
        file["version"] = 3
    told = await say(ask, "contents", path="lhe.h5")
    assert [each["name"] for each in told["objects"] if each["tree"]] == ["events", "particles"]
    found = await say(ask, "columns", path="lhe.h5", tree="particles")
    access = found["columns"][0]["access"]
    assert (await say(ask, "glance", path="lhe.h5", tree="particles", access=access))["values"] == 40


async def test_hdf5_that_is_no_plain_numbers(ask: Ask, folder: Path) -> None:
    with h5py.File(folder / "odd.h5", "w") as file:
        file["Events/x"] = np.arange(3.0)
        file["Events/none"] = h5py.Empty("f4")
        file["type"] = np.dtype("f8")
        file[b"no utf-8 \xff"] = np.arange(3.0)
        file["away"] = h5py.ExternalLink("nowhere.h5", "/x")
        bits = h5py.h5t.STD_B16BE.copy()
        h5py.h5d.create(file.id, b"bits", h5py.h5t.array_create(bits, (2,)), h5py.h5s.create_simple((3,)))
    told = await say(ask, "contents", path="odd.h5")
    objects = {each["name"]: each for each in told["objects"]}
    assert (objects["Events/none"]["entries"], objects["Events/none"]["type"]) == (None, "float32")
    assert objects["type"]["kind"] == "datatype"
    assert objects["no utf-8 \ufffd"]["entries"] == 3
    assert "bits" in objects
    assert (await say(ask, "columns", path="odd.h5", tree="Events", find="x"))["total"] == 1


@pytest.mark.parametrize("packing", ["zlib", "lz4", "lzma", "zstd"])
def test_compression_is_what_baskets_have(packing: str) -> None:
    tree = answer(question(FILES / f"uproot-Zmumu-{packing}.root"))["ok"]["objects"][0]
    assert tree["compression"] == packing


def test_compression_that_headers_do_not_tell() -> None:
    tree = answer(question(FILES / "uproot-Zmumu-uncompressed.root"))["ok"]["objects"][0]
    assert tree["compression"] == "none"
    (tree,) = answer(question(DIMUON))["ok"]["objects"]  # uproot writes 0 into its branches
    assert tree["compression"] == "zstd"


def test_of_many_trees_some_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with uproot.recreate(tmp_path / "x.root") as file:
        file["a/h"] = np.histogram([1.0])
        for name in ("a/one", "a/b/two"):
            file.mktree(name, {"x": "f4"}).extend({"x": [1.0, 2.0]})
    objects = answer(question(tmp_path / "x.root"))["ok"]["objects"]
    assert [(each["name"], each["entries"]) for each in objects[:2]] == [("a/one", 2), ("a/b/two", 2)]
    histogram = next(each for each in objects if each["name"] == "a/h")
    assert histogram["raw"] > histogram["stored"] > 0
    monkeypatch.setattr("mpidist_labext.data.contents.TREE_SECONDS", 0.0)
    objects = answer(question(tmp_path / "x.root"))["ok"]["objects"]
    assert [(each["tree"], each["entries"]) for each in objects[:2]] == [(True, None)] * 2


def test_each_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with uproot.recreate(tmp_path / "x.root") as file:
        for number in range(30):
            file[f"a/b/h{number}"] = np.histogram([1.0])
    folders: list[object] = []
    read = uproot.reading.ReadOnlyDirectory.__init__

    def count(self: Any, *args: Any, **keys: Any) -> None:
        folders.append(self)
        read(self, *args, **keys)

    monkeypatch.setattr(uproot.reading.ReadOnlyDirectory, "__init__", count)
    told = answer(question(tmp_path / "x.root"))["ok"]
    assert len(told["objects"]) == 32
    assert len(folders) < 12  # each for its names, for the trees in it, and for what is in it


async def test_results_that_were_saved_are_known(ask: Ask, folder: Path) -> None:
    run = Run(make_plan({"n": md.count(md.open(f"{DIMUON}:Events").nMuon)}), ThreadWorld(1))
    run.result()
    run.save(folder / "out.h5")
    told = await say(ask, "contents", path="out.h5")
    assert told["format"] == "results of mpidist"
    assert ("results/n", "json") in [(each["name"], each["kind"]) for each in told["objects"]]
    assert not any(each["tree"] for each in told["objects"])


async def test_saved_results_are_a_page_and_what_is_none_is_told(ask: Ask, folder: Path) -> None:
    run = Run(make_plan({"pt": md.hist(md.open(f"{DIMUON}:Events").Muon.pt, bins=20)}), ThreadWorld(1))
    run.result()
    run.save(folder / "out.h5")
    before = (await say(ask, "contents", path="out.h5"))["stamp"]
    html = (await say(ask, "page", path="out.h5"))["html"]
    assert html.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert "100000 of 100000 events" in html or "100 000" in html
    run.save(folder / "out.h5")
    assert (await say(ask, "contents", path="out.h5"))["stamp"] != before
    assert "events.h5" in await say(ask, "page", 409, path="events.h5")
    assert "is hidden" in await say(ask, "page", 403, path=".x/out.h5")


# --------------------------------------------------------------------------------- columns


async def test_columns_are_named_as_in_the_notebook_and_found(ask: Ask, folder: Path) -> None:
    told = await say(ask, "columns", path="work/dimuon.root", tree="Events")
    assert (told["entries"], told["total"]) == (100_000, 6)
    pt = next(each for each in told["columns"] if each["name"] == "Muon_pt")
    assert (pt["access"], pt["type"]) == (".Muon.pt", "var * float32")
    assert 0 < pt["stored"] < pt["raw"]
    found = await say(ask, "columns", path="work/dimuon.root", tree="Events", find="PT muon")
    assert [each["name"] for each in found["columns"]] == ["Muon_pt"]


async def test_many_columns_come_in_pieces(ask: Ask, folder: Path) -> None:
    first = await say(ask, "columns", path="nano_dy.root", tree="Events")
    assert (len(first["columns"]), first["total"]) == (200, 1499)
    last = await say(ask, "columns", path="nano_dy.root", tree="Events", start=1400)
    assert len(last["columns"]) == 99
    assert {each["name"] for each in first["columns"]}.isdisjoint(each["name"] for each in last["columns"])


# ---------------------------------------------------------------------------------- glance


async def test_a_glance_is_what_the_events_have(ask: Ask, folder: Path) -> None:
    told = await say(ask, "glance", path="work/dimuon.root", tree="Events", access=".Muon.pt")
    pt = np.asarray(ak.flatten(md.open(f"{DIMUON}:Events").Muon.pt.head(100_000), axis=None))
    assert (told["entries"], told["total"], told["values"]) == (100_000, 100_000, len(pt))
    assert told["counts"] == np.histogram(pt, told["edges"])[0].tolist()
    assert told["below"] + sum(told["counts"]) + told["above"] == len(pt)
    assert told["mean"] == pytest.approx(float(pt.astype(float).mean()))


def test_what_values_are_counted_in() -> None:
    whole = counted(ak.Array([[1, 2], [], [2, None, 4]]))
    assert (whole["edges"], whole["counts"]) == ([0.5, 1.5, 2.5, 3.5, 4.5], [1, 2, 0, 1])
    assert (whole["values"], whole["missing"]) == (5, 1)
    words = counted(ak.Array(["b", "a", "b"]))
    assert (words["labels"], words["counts"], words["edges"]) == (["b", "a"], [2, 1], [])
    many = counted(ak.Array([[str(number)] for number in range(50)]))
    assert (len(many["labels"]), many["above"]) == (20, 30)
    truth = counted(ak.Array([True, False, True]))
    assert (truth["labels"], truth["counts"]) == (["True", "False"], [2, 1])
    odd = counted(ak.Array([np.nan, np.inf, 1.0]))
    assert (odd["missing"], sum(odd["counts"]), odd["mean"]) == (2, 1, 1.0)
    none = counted(ak.Array(np.array([], np.float32)))
    assert (sum(none["counts"]), none["mean"]) == (0, None)
    far = counted(ak.Array(np.append(np.linspace(0, 1, 10_000), 1e9)))
    assert far["edges"][-1] < 2
    assert far["above"] + far["below"] + sum(far["counts"]) == 10_001


@pytest.mark.parametrize(
    "values",
    [
        np.full(9, 2**64 - 1, np.uint64),
        np.arange(2**62, 2**62 + 90),
        np.array([-(2**63), 2**63 - 1]),
        np.array([-1.7e308, 0.0, 1.7e308]),
        np.full(9, 1e300),
        np.full(9, 5e-324),
    ],
)
def test_large_and_small_numbers_have_bins_too(values: Any) -> None:
    told = counted(ak.Array(values))
    assert len(told["edges"]) == len(told["counts"]) + 1
    assert np.all(np.diff(told["edges"]) > 0)
    assert told["below"] + sum(told["counts"]) + told["above"] == len(values)
    assert told["missing"] == 0


def test_a_tree_stays_open_for_further_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    path = FILES / "nano_dy.root"
    first = answer(question(path, "glance", tree="Events", access=".Muon.pt"))
    assert first["ok"]["values"] == 18
    monkeypatch.setattr("mpidist.datasets.reader.open_file", None)
    assert answer(question(path, "glance", tree="Events", access=".run"))["ok"]["values"] == 40


@pytest.mark.parametrize(
    "access", ["", ".Muon.pt.x", ".Muon(1)", "; import os", ".__class__", '["x"', ".Muon.pz"]
)
async def test_what_is_no_column(ask: Ask, folder: Path, access: str) -> None:
    words = await say(ask, "glance", 409, path="work/dimuon.root", tree="Events", access=access)
    assert "no column" in words


# ---------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("what", ["contents", "columns", "glance", "page"])
@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "token wrong"}])
async def test_strangers_read_nothing(ask: Ask, folder: Path, what: str, headers: dict[str, str]) -> None:
    body = json.dumps({"path": "events.h5", "tree": "", "access": ".x"})
    assert (await ask("data", what, method="POST", body=body, headers=headers)).code in (401, 403)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret.root", 403),
        ("/../secret.root", 403),
        ("work/../../secret.root", 403),
        ("link.root", 403),
        ("loop.root", 403),
        ("linked/secret.root", 403),
        (".hidden/x.root", 403),
        ("file:///etc/passwd", 403),
        ("gopher://host/x.root", 403),
        ("https://host/x.root::file:///etc/passwd", 403),
        ("pipe.root", 403),
        ("a\0b.root", 403),
        ("nothing.root", 404),
        ("work", 404),
        ("", 400),
        ("x" * 5000, 400),
    ],
)
async def test_names_outside_of_the_folder(ask: Ask, folder: Path, path: str, code: int) -> None:
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    shutil.copy(DIMUON, outside / "secret.root")
    shutil.copy(DIMUON, folder.parent / "secret.root")
    for link, target in (
        ("link.root", outside / "secret.root"),
        ("linked", outside),
        ("loop.root", "loop.root"),
    ):
        if not (folder / link).is_symlink():
            (folder / link).symlink_to(target)
    if not (folder / "pipe.root").exists():
        os.mkfifo(folder / "pipe.root")
    (folder / ".hidden").mkdir(exist_ok=True)
    shutil.copy(DIMUON, folder / ".hidden" / "x.root")
    await say(ask, "contents", code, path=path)


@pytest.mark.parametrize("what", ["columns", "glance"])
async def test_a_list_of_files_leads_nowhere(ask: Ask, folder: Path, what: str) -> None:
    (folder / "list.txt").write_text(str(DIMUON))
    more = {"access": ".Muon.pt"} if what == "glance" else {}
    assert "by its name" in await say(ask, what, 409, path="list.txt", tree="Events", **more)


async def test_a_link_inside_of_the_folder(ask: Ask, folder: Path) -> None:
    (folder / "inside.root").symlink_to(folder / "work" / "dimuon.root")
    assert (await say(ask, "contents", path="inside.root"))["objects"][0]["name"] == "Events"


async def test_files_that_are_damaged_are_told_by_the_name_that_was_given(ask: Ask, folder: Path) -> None:
    whole = (folder / "work" / "dimuon.root").read_bytes()
    (folder / "cut.root").write_bytes(whole[:2000])
    (folder / "empty.root").write_bytes(b"")
    (folder / "page.root").write_text("<!DOCTYPE html>")
    (folder / "cut.h5").write_bytes((folder / "events.h5").read_bytes()[:900])
    (folder / "noise.root").write_bytes(b"root" + os.urandom(5000))
    expected = {
        "empty.root": "it is empty",
        "page.root": "begins with b'<!DOCTYP'",
        "cut.root": "",
        "cut.h5": "",
        "noise.root": "",
    }
    for name, words in expected.items():
        said = await say(ask, "contents", 409, path=name)
        assert words in said
        assert str(folder) not in said
    shutil.copy(FILES / "dimuon5k-zlib-bytes_flipped_in_Muon_pt_basket3.root", folder / "flipped.root")
    said = await say(ask, "glance", 409, path="flipped.root", tree="Events", access=".Muon.pt")
    assert "column 'Muon_pt', entries 3000-4000, cannot be read" in said
    assert (await say(ask, "contents", path="events.h5"))["format"] == "HDF5"  # the process is well


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:  # tests may run as root, who may read everything
        raise PermissionError(13, "Permission denied", "/data/x.root")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    told = answer({"do": "contents", "path": "x.root", "name": str(DIMUON)})
    assert "Permission denied" in told["error"]


async def test_a_file_that_changes_is_read_anew(ask: Ask, folder: Path) -> None:
    assert (await say(ask, "columns", path="events.h5", tree="Events"))["entries"] == 1000
    with h5py.File(folder / "events.h5", "w") as file:
        file["Events/pt"] = np.arange(5.0)
    assert (await say(ask, "columns", path="events.h5", tree="Events"))["entries"] == 5


async def test_a_big_file_is_only_looked_into(ask: Ask, folder: Path) -> None:
    with h5py.File(folder / "big.h5", "w") as file:
        file.create_dataset(
            "Events/x", (300_000_000,), "f8", fillvalue=1.0
        )  # 2.4 GB of which nothing is stored
        file["Events/x"][-1] = 2.0
    assert (folder / "big.h5").stat().st_size > 2_000_000_000
    told = await say(ask, "glance", path="big.h5", tree="Events", access=".x")
    assert (told["entries"], told["total"]) == (200_000, 300_000_000)


# ------------------------------------------------------------------------- the process itself


def question(path: Path | str, what: str = "contents", **more: Any) -> dict[str, Any]:
    return {"do": what, "path": str(path), "name": str(path), **more}


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x.root"


def test_a_host_that_does_not_answer_is_given_up_and_the_next_question_answered(silent: str) -> None:
    reading = Reading(seconds=1)
    try:
        with pytest.raises(DatasetError, match="not read within 1 s"):
            reading.ask(question(silent))
        reading._seconds = 60  # to start anew takes long on a busy machine
        assert reading.ask(question(DIMUON))["format"] == "ROOT"
    finally:
        reading.close()


@pytest.fixture
def leading_away() -> Iterator[str]:
    """A web server that leads to a file on the disk."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            away = self.path == "/away.root"
            self.send_response(302 if away else 404)
            if away:
                self.send_header("Location", DIMUON.as_uri())
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_host_leads_to_no_file_on_the_disk(leading_away: str) -> None:
    assert "cannot be opened" in answer(question(f"{leading_away}/away.root"))["error"]
    assert "it is not there" in answer(question(f"{leading_away}/none.root"))["error"]
    assert "from disks only" in answer(question(f"{leading_away}/x.h5"))["error"]


async def test_what_nobody_waits_for_is_given_up(
    ask: Ask,
    folder: Path,
    silent: str,
    monkeypatch: pytest.MonkeyPatch,
    jp_http_port: int,
    jp_auth_header: Any,
) -> None:
    await say(ask, "contents", path="events.h5")  # the server is up
    monkeypatch.setattr("mpidist_labext.data.reading.PATIENCE_SECONDS", 0.1)
    reading = data.area._readers["remote"]
    monkeypatch.setattr(reading, "_seconds", 600.0)
    body = json.dumps({"path": silent})
    head = f"POST /a%40b/mpidist/api/data/contents HTTP/1.1\r\nHost: localhost:{jp_http_port}\r\nAuthorization: {jp_auth_header['Authorization']}\r\n"
    _, client = await asyncio.open_connection("localhost", jp_http_port)
    client.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    await client.drain()
    async with asyncio.timeout(60):
        while (process := reading._process) is None:
            await asyncio.sleep(0.05)
        assert process.poll() is None
        client.close()
        while process.poll() is None:
            await asyncio.sleep(0.05)


def test_too_little_memory_is_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file.create_dataset("Events/x", (10, 300_000_000), "f8", fillvalue=1.0, chunks=(1, 1_000_000))
    reading = Reading(megabytes=1500)
    try:
        with pytest.raises(DatasetError, match=r"more memory|want of memory"):
            reading.ask(question(tmp_path / "wide.h5", "glance", tree="Events", access=".x"))
        assert reading.ask(question(DIMUON))["format"] == "ROOT"
    finally:
        reading.close()


def test_too_much_work_is_told(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.root").symlink_to(FILES / "nano_dy.root")
    reading = Reading(processor_seconds=0)  # what is left of the second that has begun

    def all_of_them() -> None:
        for number in range(20):
            reading.ask(question(tmp_path / f"{number}.root", "columns", tree="Events", find="", start=0))

    try:
        with pytest.raises(DatasetError, match="more than 0 s of a processor are needed"):
            all_of_them()
    finally:
        reading.close()


def test_one_that_was_not_asked_for_a_while_ends_and_is_started_again() -> None:
    reading = Reading(idle=0.3)
    try:
        assert reading.ask(question(DIMUON))["format"] == "ROOT"
        process = reading._process
        assert process is not None
        assert process.wait(20) == 0
        assert reading.ask(question(DIMUON))["format"] == "ROOT"
    finally:
        reading.close()


def test_it_ends_with_its_server_and_several_may_ask() -> None:
    reading = Reading()
    found: list[str] = []
    askers = [
        threading.Thread(target=lambda: found.append(reading.ask(question(DIMUON))["format"]))
        for _ in range(4)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert found == ["ROOT"] * 4
    process = reading._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0
    reading.close()


def test_one_that_is_killed_is_told_and_replaced() -> None:
    reading = Reading()
    try:
        reading.ask(question(DIMUON))
        assert reading._process is not None
        reading._process.kill()
        time.sleep(0.2)
        assert reading.ask(question(DIMUON))["format"] == "ROOT"
    finally:
        reading.close()


# -------------------------------------------------------------------- files that refer to others


def _linked(file: h5py.File, other: str) -> None:
    file["there"] = h5py.ExternalLink(other, "/Events")


def _raw(file: h5py.File, other: str) -> None:
    file.create_dataset("there", (10,), "u1", external=[(other, 0, 10)])


def _virtual(file: h5py.File, other: str) -> None:
    layout = h5py.VirtualLayout((1000,), "f8")
    layout[:] = h5py.VirtualSource(other, "Events/pt", (1000,))
    file.create_virtual_dataset("there", layout)


@pytest.mark.parametrize("refer", [_linked, _raw, _virtual])
async def test_a_file_that_refers_to_another(
    ask: Ask, folder: Path, tmp_path: Path, refer: Callable[[h5py.File, str], None]
) -> None:
    secret = tmp_path / "secret.h5"
    shutil.copy(folder / "events.h5", secret)
    for name, other in (("in.h5", "events.h5"), ("out.h5", str(secret)), ("up.h5", "../secret.h5")):
        with h5py.File(folder / name, "w") as file:
            refer(file.create_group("deep"), other)
            file["soft"] = h5py.SoftLink("/deep/there")
    with h5py.File(folder / "chain.h5", "w") as file:
        file["more"] = h5py.ExternalLink("out.h5", "/deep")
    assert (await say(ask, "contents", path="in.h5"))["objects"]
    assert (await say(ask, "contents", path="in.h5"))["objects"]  # what is known of it
    for name in ("out.h5", "up.h5", "chain.h5"):
        for what, more in (("contents", {}), ("columns", {"tree": "deep"}), ("page", {})):
            refusal = await say(ask, what, code=409, path=name, **more)
            assert f"{name} refers to {secret}, which is outside of the folder" in refusal
    (folder / "out.h5").unlink()
    with h5py.File(folder / "out.h5", "w") as file:
        refer(file, "events.h5")
    assert (await say(ask, "contents", path="chain.h5"))["format"] == "HDF5"
