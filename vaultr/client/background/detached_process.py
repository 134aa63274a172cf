"""Starts the processes that outlive a command: the unlock process, what clears a clipboard."""

import json
import subprocess
import sys
from collections.abc import Mapping


def started(module: str, handed: Mapping[str, object]) -> bool:
    """Start a module as a process of its own, and hand it what it needs by its standard input.

    :return: whether it said that it is ready; it then runs on after this process has ended.
    """
    # -P: no module of the present folder can take the place of one of the library's.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as process:
        said, _ = process.communicate(json.dumps(handed).encode() + b"\n")
    return said == b"ready\n"
