"""Start processes that outlive a command: the agent, and the one that clears the clipboard."""

import json
import subprocess
import sys
from collections.abc import Mapping


def started(module: str, job: Mapping[str, object]) -> bool:
    """Start a module as a separate process, and send it its input through standard input.

    :return: whether it printed ``ready``; if so, it keeps running after this process has ended.
    """
    # -P: modules in the current folder cannot replace those of the library.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as process:
        output, _ = process.communicate(json.dumps(job).encode() + b"\n")
    return output == b"ready\n"
