"""Uploads in pieces, asked for through the server: interrupted, resumed, refused; and the newest results."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from mpidist.world import state_folder
from mpidist_labext import files
from mpidist_labext.files import uploads
from mpidist_labext.root import set_root
from mpidist_labext.routes import Forbidden
from mpidist_labext.schema.files import MOST_BYTES, UploadForm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Ask = Callable[..., Awaitable[Any]]

CONTENT = bytes(range(256)) * 10
MODIFIED = 1_700_000_000_123
FORM = {"path": "work/new/events.bin", "size": len(CONTENT), "modified": MODIFIED}


async def begin(ask: Ask, code: int = 200, **changed: Any) -> Any:
    return told(await ask("uploads", method="POST", body=json.dumps({**FORM, **changed})), code)


async def put(ask: Ask, upload: str, offset: int, content: bytes, code: int = 200) -> Any:
    params = {"offset": str(offset)}
    return told(await ask("uploads", upload, method="PUT", params=params, body=content), code)


async def unfinished(ask: Ask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(await ask("uploads", method="GET"), 200)["uploads"]
    return found


def told(response: Any, code: int) -> Any:
    answer = json.loads(response.body)
    assert response.code == code, answer
    return answer if code == 200 else answer["message"]


def noted(upload: dict[str, Any]) -> bool:
    """Whether the server remembers it."""
    return (state_folder() / "uploads" / f"{upload['id']}.json").exists()


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith("-part")]


async def test_a_file_comes_in_pieces(ask: Ask, jp_root_dir: Path) -> None:
    upload = await begin(ask)
    assert (upload["done"], upload["state"], upload["path"]) == (0, "part", FORM["path"])
    assert noted(upload)
    file = jp_root_dir / "work" / "new" / "events.bin"
    for start in range(0, len(CONTENT), 1000):
        assert not file.exists()
        upload = await put(ask, upload["id"], start, CONTENT[start : start + 1000])
    assert (upload["done"], upload["state"]) == (len(CONTENT), "done")
    assert file.read_bytes() == CONTENT
    assert file.stat().st_mtime_ns == MODIFIED * 1_000_000
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert parts(jp_root_dir) == []
    assert not noted(upload)
    assert (await begin(ask))["state"] == "done"  # the same file again: nothing is sent
    assert (await begin(ask, modified=5))["state"] == "exists"


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_an_empty_file(ask: Ask, jp_root_dir: Path) -> None:
    assert (await begin(ask, path="empty", size=0))["state"] == "done"
    assert (jp_root_dir / "empty").read_bytes() == b""


async def test_what_has_come_is_not_sent_again(ask: Ask, jp_root_dir: Path) -> None:
    upload = await begin(ask)
    await put(ask, upload["id"], 0, CONTENT[:700])
    # another tab, another browser, another server: all there is, is on disk
    assert await begin(ask) == {**upload, "done": 700}
    assert await unfinished(ask) == [{**upload, "done": 700, "moving": True}]  # by a page, for all one knows
    (part,) = parts(jp_root_dir)
    a_while_ago = time.time() - uploads.MOVING_SECONDS - 1
    os.utime(part, (a_while_ago, a_while_ago))
    assert await unfinished(ask) == [{**upload, "done": 700}]
    for offset in (0, 600, 800):  # a piece that was sent twice, or whose forerunner was lost
        assert (await put(ask, upload["id"], offset, CONTENT[offset : offset + 300]))["done"] == 700
    assert (await put(ask, upload["id"], 700, CONTENT[700:]))["state"] == "done"
    assert (jp_root_dir / "work" / "new" / "events.bin").read_bytes() == CONTENT
    assert await unfinished(ask) == []


async def test_a_file_that_was_changed_meanwhile_is_another_one(ask: Ask, jp_root_dir: Path) -> None:
    first = await begin(ask)
    await put(ask, first["id"], 0, CONTENT[:700])
    second = await begin(ask, modified=MODIFIED + 1)
    assert (second["id"] == first["id"], second["done"]) == (False, 0)
    refusal = await put(ask, second["id"], 0, CONTENT + b"more", code=409)
    assert "has become larger" in refusal
    assert len(await unfinished(ask)) == 2
    for upload in (first, second):
        told(await ask("uploads", upload["id"], method="DELETE"), 200)
    assert parts(jp_root_dir) == []
    assert "choose the file again" in await put(ask, first["id"], 700, b"x", code=404)
    told(await ask("uploads", first["id"], method="DELETE"), 404)


async def test_nothing_is_replaced_unasked(ask: Ask, jp_root_dir: Path) -> None:
    file = jp_root_dir / "events.bin"
    file.write_bytes(b"mine")
    file.chmod(0o640)
    assert (await begin(ask, path="events.bin"))["state"] == "exists"
    assert file.read_bytes() == b"mine"
    assert await unfinished(ask) == []
    upload = await begin(ask, path="events.bin", replace=True)
    assert (await put(ask, upload["id"], 0, CONTENT))["state"] == "done"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (CONTENT, 0o640)


async def test_a_file_that_appears_meanwhile_is_not_replaced_unasked(ask: Ask, jp_root_dir: Path) -> None:
    upload = await begin(ask, path="events.bin")
    (jp_root_dir / "events.bin").write_bytes(b"mine")
    assert (await put(ask, upload["id"], 0, CONTENT))["state"] == "exists"
    assert (jp_root_dir / "events.bin").read_bytes() == b"mine"
    assert (await begin(ask, path="events.bin"))["done"] == len(CONTENT)
    assert (await begin(ask, path="events.bin", replace=True))["state"] == "done"
    assert (jp_root_dir / "events.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../out.bin", 403),
        ("work/../../out.bin", 403),
        (".ssh/authorized_keys", 403),
        ("link/out.bin", 403),
        ("dangling", 403),
        ("round/out.bin", 403),
        ("a\0b", 403),
        ("folder", 409),
        ("file/below.bin", 403),
        ("x" * 300, 403),
        ("", 400),
    ],
)
async def test_where_files_may_not_go(
    ask: Ask, jp_root_dir: Path, tmp_path: Path, path: str, code: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (jp_root_dir / "link").symlink_to(outside)
    (jp_root_dir / "dangling").symlink_to(outside / "new")
    (jp_root_dir / "round").symlink_to("round")
    (jp_root_dir / "folder").mkdir()
    (jp_root_dir / "file").touch()
    assert await begin(ask, code=code, path=path)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "out.bin").exists()
    assert parts(jp_root_dir) == []


async def test_a_folder_that_becomes_a_link_out_meanwhile(
    ask: Ask, jp_root_dir: Path, tmp_path: Path
) -> None:
    upload = await begin(ask)
    (jp_root_dir / "work").rename(tmp_path / "work")
    (jp_root_dir / "work").symlink_to(tmp_path / "work")
    assert "not known any more" in await put(ask, upload["id"], 0, CONTENT, code=404)
    assert not (tmp_path / "work" / "new" / "events.bin").exists()
    assert await unfinished(ask) == []
    assert "leads out of the folder" in await begin(ask, code=403)


async def test_a_part_that_is_a_link_is_not_written(ask: Ask, jp_root_dir: Path, tmp_path: Path) -> None:
    """Its name can be known beforehand."""
    upload = await begin(ask)
    (part,) = parts(jp_root_dir)
    part.unlink()
    (tmp_path / "theirs").touch()
    part.symlink_to(tmp_path / "theirs")
    assert await put(ask, upload["id"], 0, CONTENT, code=403)
    assert await begin(ask, code=403)
    assert (tmp_path / "theirs").read_bytes() == b""


async def test_many_small_files_at_the_same_time(ask: Ask, jp_root_dir: Path) -> None:
    async def send(number: int) -> str:
        upload = await begin(ask, path=f"many/{number}", size=3)
        return str((await put(ask, upload["id"], 0, b"abc"))["state"])

    for start in range(0, 120, 12):
        assert set(await asyncio.gather(*map(send, range(start, start + 12)))) == {"done"}
    assert len(list((jp_root_dir / "many").iterdir())) == 120


async def test_requests_that_are_none(ask: Ask) -> None:
    assert "size" in await begin(ask, code=400, size=-1)
    assert "size" in await begin(ask, code=400, size="many")
    upload = await begin(ask)
    response = await ask("uploads", upload["id"], method="PUT", body=b"x")
    assert "offset" in told(response, 400)
    response = await ask("uploads", "..", method="PUT", params={"offset": "0"}, body=b"x")
    assert response.code in (400, 404)
    assert "is not valid" in await put(ask, upload["id"], 0, bytes(MOST_BYTES + 1), code=400)


async def test_a_full_disk_is_told_before(ask: Ask) -> None:
    refusal = await begin(ask, code=507, size=1 << 52)
    assert "there is no room for work/new/events.bin: 4,503,599,627,370,496 bytes are to come" in refusal


async def test_a_disk_that_becomes_full_keeps_what_has_come(
    ask: Ask, jp_root_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begin(ask)
    write = os.pwrite

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if offset >= 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:500], offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert "make room, and try again" in await put(ask, upload["id"], 0, CONTENT, code=507)
    monkeypatch.undo()
    assert (await begin(ask))["done"] == 500
    assert (await put(ask, upload["id"], 500, CONTENT[500:]))["state"] == "done"
    assert (jp_root_dir / "work" / "new" / "events.bin").read_bytes() == CONTENT


def test_a_folder_without_permission(tmp_path: Path) -> None:
    """In a process without root's rights, which tests may have."""
    (tmp_path / "work").mkdir(mode=0o500)
    set_root(tmp_path)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            uploads.begin(UploadForm("work/events.bin", 10, 5))
        except Forbidden as error:
            os._exit(0 if "cannot be written: Permission denied" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert list((tmp_path / "work").iterdir()) == []


async def test_old_parts_are_removed(ask: Ask, jp_root_dir: Path) -> None:
    upload = await begin(ask)
    await put(ask, upload["id"], 0, CONTENT[:700])
    (part,) = parts(jp_root_dir)
    long_ago = time.time() - uploads.KEPT_SECONDS - 10
    os.utime(part, (long_ago, long_ago))
    assert await unfinished(ask) == []
    assert parts(jp_root_dir) == []


async def test_a_part_that_somebody_removed(ask: Ask, jp_root_dir: Path) -> None:
    upload = await begin(ask)
    await put(ask, upload["id"], 0, CONTENT[:700])
    parts(jp_root_dir)[0].unlink()
    assert "choose the file again" in await put(ask, upload["id"], 700, CONTENT[700:], code=404)
    assert await unfinished(ask) == []
    assert not noted(upload)
    assert (await begin(ask))["done"] == 0


async def test_strangers_are_refused(jp_fetch: Any, jp_base_url: str) -> None:
    for method, path in (("POST", ""), ("PUT", f"/{'a' * 32}"), ("DELETE", f"/{'a' * 32}"), ("GET", "")):
        body = {"body": b"{}"} if method in ("POST", "PUT") else {}
        response = await jp_fetch(
            "mpidist/api/uploads" + path, method=method, raise_error=False,
            headers={"Authorization": "token wrong"}, **body,
        )  # fmt: skip
        assert response.code == 403


def test_the_newest_results(tmp_path: Path) -> None:
    set_root(tmp_path)
    results = tmp_path / "analysis" / "results"
    assert files.newest(results) == ()
    (results / "deep").mkdir(parents=True)
    for number in range(12):
        file = results / ("deep" if number % 2 else "") / f"{number}.h5"
        file.write_bytes(bytes(number))
        os.utime(file, (number, number))
    (results / ".hidden").touch()
    (results / "link").symlink_to("/etc/passwd")
    found = files.newest(results)
    assert [each.path for each in found[:3]] == [
        "analysis/results/deep/11.h5", "analysis/results/10.h5", "analysis/results/deep/9.h5",
    ]  # fmt: skip
    assert (len(found), found[0].size, found[0].changed) == (8, 11, 11.0)
    for number in range(2100):
        (results / "deep" / f"more{number}").touch()
    assert len(files.newest(results)) == 8  # of those that were looked at
    set_root(tmp_path / "analysis" / "results" / "deep")
    assert files.newest(results) == ()


async def test_a_download_can_go_on(jp_fetch: Any, jp_root_dir: Path) -> None:
    """By Jupyter Server itself, on which the panel's buttons rely."""
    (jp_root_dir / "result.h5").write_bytes(CONTENT)
    rest = await jp_fetch("files", "result.h5", headers={"Range": "bytes=1000-"}, params={"download": "1"})
    assert (rest.code, rest.body) == (206, CONTENT[1000:])
