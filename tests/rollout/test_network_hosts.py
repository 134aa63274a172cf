"""Hosts in network namespaces: which of them reach PostgreSQL behind deploy/aws's rules."""

import os
import pwd
import signal
import subprocess
import time

import pytest

from tests.harness import server_programs, servers
from tests.rollout import aws, tools

HOSTS = ("Database", "App", "Jobs", "Sequencer", "LoadBalancer", "Outsider")
PORT = 5432
START_SECONDS = 60


def _run(*command):
    subprocess.run(command, check=True, capture_output=True)


class Network:
    """A switch and hosts, each in its own namespace, isolated from this machine."""

    def __init__(self):
        self._prefix = f"vaultr-{os.getpid()}"
        self.addresses = {name: f"10.78.0.{number + 2}" for number, name in enumerate(HOSTS)}

    def __enter__(self):
        switch = self.namespace("switch")
        _run("ip", "netns", "add", switch)
        _run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", switch, "link", "set", "br0", "up")
        for number, (name, address) in enumerate(self.addresses.items()):
            namespace, port = self.namespace(name), f"port{number}"
            _run("ip", "netns", "add", namespace)
            _run("ip", "-n", namespace, "link", "add", "eth0", "type", "veth",
                 "peer", "name", port, "netns", switch)  # fmt: skip
            _run("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
            _run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _run("ip", "-n", namespace, "link", "set", device, "up")
        return self

    def __exit__(self, *_):
        for name in (*HOSTS, "switch"):
            subprocess.run(["ip", "netns", "delete", self.namespace(name)], capture_output=True)

    def namespace(self, name):
        return f"{self._prefix}-{name}"

    def on(self, name, *command):
        """Return the prefix that runs a command on a host."""
        return ["ip", "netns", "exec", self.namespace(name), *map(str, command)]

    def close(self, target):
        """Reject what the template's security groups reject."""
        rules = [("--policy", "INPUT", "DROP")]
        for source, name, port in aws.reach():
            if name == target and source in self.addresses:
                origin = ("--source", self.addresses[source], "--protocol", "tcp")
                rules.append(("--append", "INPUT", *origin, "--dport", port, "--jump", "ACCEPT"))
        for rule in rules:
            _run(*self.on(target, "iptables", *rule))

    def open(self, target):
        _run(*self.on(target, "iptables", "--flush"))
        _run(*self.on(target, "iptables", "--policy", "INPUT", "ACCEPT"))


@pytest.fixture(scope="module")
def network():
    with Network() as network, servers.scratch("vaultr-hosts-") as folder:
        programs = server_programs.postgres(folder)
        network.address = network.addresses["Database"]
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.78.0.0/24 trust\n")
        user = pwd.getpwnam("nobody")
        command = network.on(
            "Database", "setpriv", "--reuid", user.pw_uid, "--regid", user.pw_gid,
            "--clear-groups", programs / "postgres", "-D", folder / "data", "-p", PORT,
            "-c", f"listen_addresses={network.address}", "-c", "unix_socket_directories=",
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            until = time.monotonic() + START_SECONDS
            while _query(network, "Outsider").returncode != 0:
                assert time.monotonic() < until, (folder / "log").read_text()
            yield network
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def _query(network, host):
    """Run a query on PostgreSQL from a host."""
    psql = server_programs.postgres_clients() / "psql"
    where = f"host={network.address} port={PORT} user=vaultr dbname=postgres connect_timeout=2"
    command = network.on(host, psql, where, "--tuples-only", "--command", "SELECT 1")
    return subprocess.run(command, capture_output=True, text=True)


def test_only_allowed_hosts_reach_postgresql(network):
    network.close("Database")
    try:
        answers = {host: _query(network, host) for host in HOSTS[1:]}
    finally:
        network.open("Database")

    reached = {host for host, done in answers.items() if done.returncode == 0}
    assert reached == {"App", "Jobs", "Sequencer"}, tools.output_of(answers["App"])
    for host in ("LoadBalancer", "Outsider"):
        assert "timeout expired" in answers[host].stderr, tools.output_of(answers[host])


def test_every_host_reaches_postgresql_without_firewall(network):
    """Show that only the firewall blocks the other hosts."""
    assert [_query(network, host).returncode for host in HOSTS[1:]] == [0] * 5
