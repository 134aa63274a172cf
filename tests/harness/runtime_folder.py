"""A folder for sockets, like that of a login session."""

import shutil
import tempfile
import weakref


class RuntimeFolder:
    """A folder with a short path that exists as long as the object; a socket path has 100 bytes."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="run-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
