"""A folder for sockets, like that of a login session."""

import shutil
import tempfile
import weakref


class RuntimeFolder:
    """A folder with a short path, because a socket path has 100 bytes; removed with the object."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="run-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
