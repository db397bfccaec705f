"""What a node sees: run there by the job of `visit`, as a file, with nothing but the standard library.

    python probe.py HOST PORT WORD PACKAGE...

Connects to HOST:PORT, sends WORD and the node's name, and prints what it found as JSON.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import socket
import subprocess
import sys

SECONDS = 10.0
# Told without starting MPI: that may only be done by ranks.
ASK = (
    "import ipyparallel, mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; "
    "print(MPI.Get_library_version().strip(chr(0)).splitlines()[0])"
)


def reach(host: str, port: int, word: str) -> str:
    """Connect and send; "" or why not."""
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as connection:
            connection.sendall(f"{word} {platform.node()}\n".encode())
    except OSError as error:
        return str(error)
    return ""


def version(package: str) -> str:
    """Its version; "" if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def imports() -> tuple[str, str]:
    """The MPI library, and why it cannot be imported; in another process, for a wrong library may end it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode == 0:
        return " ".join(done.stdout.split()), ""
    said = done.stderr.strip().splitlines()
    return "", said[-1] if said else f"exit code {done.returncode}"


def main(host: str, port: str, word: str, *packages: str) -> None:
    """Print what was found."""
    library, problem = imports()
    found = {
        "host": platform.node(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "mpi": library,
        "import_problem": problem,
        "reach_problem": reach(host, int(port), word),
    }
    print(json.dumps(found))  # noqa: T201 (that is what it is for)


if __name__ == "__main__":
    main(*sys.argv[1:])
