"""The modules that a call runs through, found by tracing it."""

import sys
from contextlib import contextmanager


@contextmanager
def entered_modules(package, *, within=None):
    """Yield a set that fills with the modules of ``package`` in which a function runs.

    :param within: a module and a function, such as ``("vaultr.api.operation", "call")``; count only
        modules that run inside it.
    """
    prefix, names = f"{package}.", set()

    def profile(frame, event, _argument):
        if event != "call":
            return
        name = frame.f_globals.get("__name__", "")
        if name.startswith(prefix) and (within is None or _is_within(frame, within)):
            names.add(name.removeprefix(prefix))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield names
    finally:
        sys.setprofile(before)


def _is_within(frame, place):
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == place:
            return True
        frame = frame.f_back
    return False
