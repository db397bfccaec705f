"""The process that reads files: ``python -m mpidist_labext.data.worker PROCESSOR_SECONDS MEGABYTES IDLE_SECONDS``.

Questions and answers are lines of JSON on standard input and output: {"do": "contents" | "columns" | "glance" | "page", "path": as the user says it, "name": for
the system, "top": the folder that it may not refer out of, ...} is answered by {"ok": ...} or {"error": "a sentence"}. Whoever asks kills it when an answer takes too long.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import select
import signal
import sys
import time
from typing import IO, Any

__all__ = ["answer", "main"]


def main(processor_seconds: float, megabytes: int, idle: float) -> None:
    """Answer until nobody asks any more."""
    bytes_ = megabytes << 20
    resource.setrlimit(resource.RLIMIT_DATA, (bytes_, bytes_))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the server's terminal
    os.nice(5)
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what libraries print is no answer
        _work(sys.stdin.buffer, out, processor_seconds, idle)


def _work(questions: IO[bytes], out: IO[bytes], processor_seconds: float, idle: float) -> None:
    while select.select([questions], [], [], idle)[0]:
        line = questions.readline()
        if not line:
            return
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + processor_seconds), resource.RLIM_INFINITY))
        out.write(_line(answer(json.loads(line))))
        out.flush()


def _line(found: dict[str, Any]) -> bytes:
    """JSON in UTF-8, also if names or values in a file are not."""
    return json.dumps(found, ensure_ascii=False).encode(errors="replace") + b"\n"


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question; never raises."""
    try:
        from mpidist.datasets import stamp_of
        from mpidist.datasets.opening import is_hdf5
        from mpidist.datasets.storage import is_remote

        from .contents import columns_of, contents_of
        from .references import require_within
        from .sample import glance_at
        from .saved import page_of

        path, name = str(question["path"]), str(question["name"])
        with contextlib.redirect_stdout(sys.stderr):
            if "top" in question and not is_remote(name) and is_hdf5(name):
                require_within(name, str(question["top"]))
            if question["do"] == "contents":
                return {"ok": {"path": path, **contents_of(name), "stamp": stamp_of(name)}}
            if question["do"] == "page":
                return {"ok": page_of(name)}
            tree = str(question["tree"])
            if question["do"] == "columns":
                return {"ok": columns_of(name, tree, str(question["find"]), int(question["start"]))}
            return {"ok": glance_at(name, tree, str(question["access"]))}
    except MemoryError:
        return {
            "error": f"{question.get('path')} needs more memory than may be used for a glance. Hint: md.open in a notebook has no such limit."
        }
    except Exception as error:  # noqa: BLE001 (whatever readers stumble over in damaged files is an answer)
        words = str(error).strip() or type(error).__name__
        return {"error": words.replace(str(question.get("name")), str(question.get("path")))}


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
