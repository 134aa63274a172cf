"""A real server that can be killed, as by a power failure, and restarted."""

import contextlib
import signal

import psutil

from tests.harness.client.local_server import Site


class KillableServer(Site):
    """The server of `make run`."""

    def kill(self):
        """Kill the server and its workers, and start it again."""
        master = psutil.Process(self._process.pid)
        family = [*master.children(recursive=True), master]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(family, timeout=10)
        self.__enter__()
