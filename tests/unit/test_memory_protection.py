import subprocess
import sys

GUARDED = """
import ctypes, resource
from vaultr.client.background import memory_protection as memory

def shown():
    dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
    return resource.getrlimit(resource.RLIMIT_CORE), dumpable

resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))
memory.guard()
memory.guard()
print(*shown())
memory.release()
print(*shown())
memory.guard(for_good=True)
print(*shown())
"""


def test_guarded_process_leaves_no_core_file():
    result = subprocess.run(
        [sys.executable, "-c", GUARDED], capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines() == ["(0, 8192) 0", "(4096, 8192) 0", "(0, 0) 0"]
