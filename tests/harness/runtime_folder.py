"""A folder for sockets, as a login session gives one."""

import shutil
import tempfile
import weakref


class RuntimeFolder:
    """Lasts as long as the object; its path is short: a socket's has some 100 bytes at most."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="run-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
