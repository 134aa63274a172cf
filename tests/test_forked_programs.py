"""Programs that are forks behave as those that are started."""

import os
import signal
import subprocess
import sys

import pytest

from tests.harness import forked_programs
from tests.harness.forked_programs import BIN, ROOT, kind_of

FLASK = [sys.executable, "-m", "flask"]
SHOWS = (
    "import os, sys, vaultr.client; print(os.getsid(0) == os.getpid(), sys.argv[1:],"
    " sorted(os.environ)); print(sys.stdin.read(), file=sys.stderr); sys.exit(3)"
)
EXITS = {
    "text": "sys.exit('a reason')",
    "negative": "sys.exit(-1)",
    "none": "sys.exit(None)",
    "exception": "raise ValueError('odd')",
    "at exit": "import atexit; atexit.register(print, 'last'); sys.exit(4)",
    "thread": "import threading; threading.Timer(0.1, print, ['late']).start()",
    "full": "sys.stdout = open('/dev/full', 'w'); print('unwritten')",
    "signal": "import signal; signal.raise_signal(signal.SIGINT)",
}
WAITS = "import time, vaultr.client; print('waits', flush=True); time.sleep(60)"


@pytest.fixture
def environ(tmp_path):
    return {"HOME": str(tmp_path), "VAULTR_HOME": str(tmp_path)}


@pytest.mark.parametrize("start", [subprocess.Popen, forked_programs.start])
def test_fork_gets_same_input_and_environment_as_subprocess(start, environ):
    more = {"start_new_session": True} if start is subprocess.Popen else {}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)

    with start(
        [sys.executable, "-c", SHOWS, "a b"], env=environ, text=True, **pipes, **more
    ) as one:
        stdout, stderr = one.communicate("typed")

    assert one.returncode == 3
    assert stdout == "True ['a b'] ['HOME', 'LC_CTYPE', 'VAULTR_HOME']\n"
    assert stderr == "typed\n"


@pytest.mark.parametrize("code", EXITS.values(), ids=EXITS)
def test_fork_exits_like_subprocess(code, environ):
    words = [sys.executable, "-c", f"import sys, vaultr.client; {code}"]
    started = subprocess.run(words, env=environ, capture_output=True, text=True)

    forked = forked_programs.run(words, env=environ)

    last = [(one.stderr.splitlines() or [""])[-1] for one in (started, forked)]
    assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout)
    if started.returncode != 120:  # then Python also reports the file that it could not close
        assert last[0] == last[1]


def test_killed_fork_keeps_its_pid_until_waited_for(environ):
    words = [sys.executable, "-c", WAITS]
    with forked_programs.start(words, env=environ, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout.readline() == "waits\n"
        running = one.poll()
        os.kill(one.pid, signal.SIGKILL)
        assert one.stdout.read() == ""
        os.kill(one.pid, 0)

        assert one.wait(60) == -signal.SIGKILL
    assert running is None


def test_flask_command_in_fork_reads_its_own_settings(environ):
    good = forked_programs.run([*FLASK, "check"], env=environ, cwd=ROOT)
    bad = forked_programs.run([*FLASK, "check"], env=environ | {"PORT": "many"}, cwd=ROOT)

    assert (good.returncode, bad.returncode) == (0, 1)
    assert "PORT" in bad.stdout + bad.stderr


def test_programs_with_special_environment_are_not_forked(environ):
    served = [str(BIN / "gunicorn"), "-c", "config/gunicorn.py", "wsgi:app"]

    assert kind_of(served, environ, ROOT) == kind_of(FLASK, environ, ROOT) == "server"
    assert kind_of(served, environ | {"METRICS_PORT": "1"}, ROOT) is None
    assert kind_of(served, environ | {"OTEL_TRACES_EXPORTER": "x"}, ROOT) is None
    assert kind_of(FLASK, environ | {"PYTHONPATH": "x"}, ROOT) is None
    assert kind_of(FLASK, environ, environ["HOME"]) is None
    assert kind_of(["nice", *FLASK], environ, ROOT) is None
