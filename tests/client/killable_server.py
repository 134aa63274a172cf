"""A real server that is killed as by a power failure, and starts again."""

import contextlib
import signal

import psutil

from tests.client.local_server import Site


class KillableServer(Site):
    """The server that `make run` starts."""

    def kill(self):
        """End the server and its workers, and start it again."""
        master = psutil.Process(self._process.pid)
        family = [*master.children(recursive=True), master]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(family, timeout=10)
        self.__enter__()
