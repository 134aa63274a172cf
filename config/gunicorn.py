"""Gunicorn's configuration: values, and hooks that call vaultr.gunicorn_hooks."""

import os

from vaultr.observability import multiprocess_dir
from vaultr.settings.model import Settings

_settings = Settings.from_environ(os.environ)
# before metrics are created, because their files are in this folder
multiprocess_dir.create(_settings)

from vaultr import gunicorn_hooks  # noqa: E402 - importing it creates metrics

bind = gunicorn_hooks.address(_settings)
workers = _settings.web_concurrency
threads = _settings.web_threads
worker_class = "gthread"
preload_app = True
timeout, graceful_timeout, keepalive = 30, 24, 5
max_requests, max_requests_jitter = 100_000, 10_000
control_socket_disable = True  # gunicorn 25.1 and newer open one in the home folder
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
forwarded_allow_ips = ""  # only the app reads the scheme, from TRUSTED_PROXIES
secure_scheme_headers = {}
forwarder_headers = ""
accesslog = None  # the app writes one structured line for each request
loglevel = "warning"
logger_class = gunicorn_hooks.JsonLog


def on_starting(_server):
    """Exit with a message if the port is in use, for servers started by hand."""
    gunicorn_hooks.check_port(_settings)


def when_ready(server):
    """Print what is running, limit stalled connections, drain after SIGTERM."""
    gunicorn_hooks.begin(server, _settings)


def pre_request(_worker, request):
    """Allow the app to close the connection of a request whose body it does not read."""
    gunicorn_hooks.begin_request(request)


def post_fork(_server, worker):
    """Start everything that must not be shared with the master."""
    gunicorn_hooks.take_turns(worker, _settings)
    gunicorn_hooks.after_fork(worker.app.wsgi(), _settings, is_first=worker.age == 1)


def worker_exit(_server, worker):
    """Stop what `post_fork` started."""
    gunicorn_hooks.before_exit(worker.app.wsgi())


def child_exit(_server, worker):
    """Keep the metrics of an ended worker."""
    gunicorn_hooks.worker_gone(worker.pid)


def on_exit(_server):
    """Remove the metrics folder."""
    gunicorn_hooks.end()
