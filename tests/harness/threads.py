"""Run several functions in threads: at the same moment, or until a block ends."""

import threading
from concurrent.futures import ThreadPoolExecutor


def at_once(do, times):
    """Call ``do(number)`` in ``threads`` threads at the same moment; return their results."""
    gate = threading.Barrier(times)

    def call(number):
        gate.wait(60)
        return do(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))


class UntilEnd:
    """Runs functions in threads until the block ends, and raises their first error.

    :param works: functions that take an event, and return when it is set.
    """

    def __init__(self, works):
        self._done, self._errors = threading.Event(), []
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()
        if kind is None and self._errors:
            raise self._errors[0]

    def _run(self, work):
        try:
            work(self._done)
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self._errors.append(error)
