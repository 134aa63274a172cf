"""Run several functions at the same moment in threads."""

import threading
from concurrent.futures import ThreadPoolExecutor


def at_once(do, times):
    """Call ``do(number)`` in that many threads, all let go together; return what each returned."""
    gate = threading.Barrier(times)

    def call(number):
        gate.wait(60)
        return do(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))
