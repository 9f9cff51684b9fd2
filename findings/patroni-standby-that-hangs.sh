#!/bin/sh
# Patroni 3.0.2-1 with PostgreSQL 15.18-0+deb12u1, python3-etcd 0.4.5-4 and etcd 3.4.23-4+b4, all as in Debian 12, unpacked; their
# Python libraries in the versions of `packages` below. Linux x64.
#
# How long commits wait for a synchronous standby that has failed depends on what of it has. Patroni gives up one that is no longer in
# pg_stat_replication, or whose member key in etcd has run out (ttl), at its next turn. One that is dead closes its connection. One
# that hangs as a whole leaves it open, and stops renewing its key. One whose walreceiver alone hangs does neither: its Patroni goes on
# saying that it runs, and only wal_sender_timeout ends it.
#
# Seen: a commit right after the stroke, with ttl 20 s (30 by default) and loop_wait 1 s, took
#   SIGKILL of PostgreSQL and Patroni                          0.9 s
#   SIGSTOP of both, wal_sender_timeout 1min (the default)    20.0 s
#   SIGSTOP of both, wal_sender_timeout 5s                     5.8 s
#   SIGSTOP of the walreceiver, wal_sender_timeout 1min       60.9 s
#   SIGSTOP of the walreceiver, wal_sender_timeout 5s          5.9 s
# A good guess goes wrong because Patroni's manual names ttl as the worst delay of writes when a standby crashes, because who reads
# PostgreSQL's expects wal_sender_timeout everywhere, and because a test kills the standby, which is the quickest of all.
# Who meets it: clusters with synchronous_mode. The second row when the standby's machine loses power or is paused; the longest one where
# nothing but receiving stands still, say because its disk takes no more. A further standby does not help: commits wait for the one picked.
# What to do: wal_sender_timeout 5 to 10 s, which counts in both cases, and takes no restart. A shorter ttl also makes more failovers.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

packages="patroni=3.0.2-1 etcd-server=3.4.23-4+b4 python3-etcd=0.4.5-4 python3-urllib3=1.26.12-1+deb12u4 python3-six=1.16.0-4
  python3-dateutil=2.8.2-2 python3-dnspython=2.3.0-1+deb12u1 python3-yaml=6.0-3+b2 python3-psutil=5.9.4-1+b1 python3-psycopg2=2.9.5-1+b1
  postgresql-15=15.18-0+deb12u1 postgresql-client-15=15.18-0+deb12u1 libpq5=15.18-0+deb12u1"
# shellcheck disable=SC2086
apt-get download -qq $packages 2>apt.log || { cat apt.log >&2; exit 1; }
for package in *.deb; do dpkg-deb -x "$package" unpacked; done

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
  as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  chown nobody "$dir"
fi

export PYTHONPATH="$dir/unpacked/usr/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1 LC_ALL=C
export LD_LIBRARY_PATH="$dir/unpacked/usr/lib/x86_64-linux-gnu"
$as /usr/bin/python3 - <<'END'
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import psycopg2

HERE = os.getcwd()
TTL = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, is_so, patience=120):
    end = time.time() + patience
    while not is_so():
        assert time.time() < end, "waited in vain: " + what
        time.sleep(0.1)


def etcd(client):
    peer = free_port()
    url, peer_url = "http://127.0.0.1:%d" % client, "http://127.0.0.1:%d" % peer
    with open("etcd.log", "w") as log:
        return subprocess.Popen([
            "unpacked/usr/bin/etcd", "--data-dir", "etcd", "--enable-v2", "--log-level", "error", "--listen-client-urls", url,
            "--advertise-client-urls", url, "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
            "--initial-cluster", "default=" + peer_url,
        ], stdout=log, stderr=log)


class Node:
    """A Patroni and its PostgreSQL."""

    def __init__(self, name, etcd_port):
        self.name, self.port, self.api = name, free_port(), "127.0.0.1:%d" % free_port()
        address = "127.0.0.1:%d" % self.port
        with open(name + ".json", "w") as file:
            json.dump({
                "scope": "one", "name": name, "etcd": {"host": "127.0.0.1:%d" % etcd_port},
                "restapi": {"listen": self.api, "connect_address": self.api},
                "bootstrap": {
                    "dcs": {
                        "ttl": TTL, "loop_wait": 1, "retry_timeout": 3, "synchronous_mode": True,
                        "postgresql": {"use_slots": False, "parameters": {"wal_retrieve_retry_interval": "500ms"}},
                    },
                    "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
                },
                "postgresql": {
                    "listen": address, "connect_address": address, "bin_dir": HERE + "/unpacked/usr/lib/postgresql/15/bin",
                    "data_dir": "%s/%s" % (HERE, name), "pgpass": "%s/%s.pgpass" % (HERE, name),
                    "authentication": {
                        "superuser": {"username": "postgres", "password": "one"},
                        "replication": {"username": "replicator", "password": "two"},
                    },
                    "pg_hba": ["host replication all 127.0.0.1/32 trust", "host all all 127.0.0.1/32 trust"],
                    "basebackup": [{"checkpoint": "fast"}],
                    "parameters": {"unix_socket_directories": ""},
                },
            }, file)
        self.start()

    def start(self):
        with open(self.name + ".log", "a") as log:
            # In a session of its own: a process group that stands still in part gets a SIGHUP when its shell ends.
            command = ["/usr/bin/python3", "-m", "patroni", self.name + ".json"]
            self.patroni = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def ask(self, path, change=None):
        data = change and json.dumps(change).encode()
        request = urllib.request.Request("http://" + self.api + path, data, method="PATCH" if change else "GET")
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def role(self, of):
        """What this node says of another one or of itself."""
        try:
            return next((member["role"] for member in self.ask("/cluster")["members"] if member["name"] == of.name), None)
        except OSError:
            return None

    def processes(self):
        """PostgreSQL's processes and Patroni's; the postmaster is no child of Patroni's."""
        first = [psutil.Process(self.patroni.pid)] if self.patroni.poll() is None else []
        try:
            with open(self.name + "/postmaster.pid") as file:
                postmaster = psutil.Process(int(file.readline()))
            # The file of one that was killed may name another process by now.
            if postmaster.cwd() == "%s/%s" % (HERE, self.name):
                first.append(postmaster)
        except (OSError, psutil.Error):
            pass
        return [process for one in first for process in [one, *one.children(recursive=True)]]

    def walreceiver(self):
        return [process for process in self.processes() if "walreceiver" in " ".join(process.cmdline())]

    def end(self):
        """By SIGTERM to Patroni, so that PostgreSQL takes its shared memory along."""
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        if self.patroni.poll() is None:
            self.patroni.terminate()
        for process in psutil.wait_procs(processes, 30)[1]:
            process.kill()


def connect(node):
    connection = psycopg2.connect(host="127.0.0.1", port=node.port, user="postgres", dbname="postgres")
    connection.autocommit = True
    return connection.cursor()


def seconds(leader, standby, stroke, timeout, which):
    """How long a commit takes that comes right after the stroke on these processes of the synchronous standby."""
    session = connect(leader)
    leader.ask("/config", {"postgresql": {"parameters": {"wal_sender_timeout": timeout}}})

    def is_set():
        session.execute("show wal_sender_timeout")
        return session.fetchone()[0] == timeout

    until("wal_sender_timeout", is_set)
    until("a synchronous standby", lambda: leader.role(standby) == "sync_standby")
    session.execute("insert into said values ('before')")
    struck = which()
    assert struck, "there is nothing to stop"
    for process in struck:
        getattr(process, stroke)()
    began = time.time()
    session.execute("insert into said values ('after')")
    took = time.time() - began
    if stroke == "suspend":
        for process in struck:
            process.resume()
    session.connection.close()
    return took


running, nodes = [], []
try:
    etcd_port = free_port()
    running.append(etcd(etcd_port))
    leader = Node("n1", etcd_port)
    nodes.append(leader)
    until("a leader", lambda: leader.role(leader) == "leader")
    standby = Node("n2", etcd_port)
    nodes.append(standby)
    until("a synchronous standby", lambda: leader.role(standby) == "sync_standby")
    connect(leader).execute("create table said (text text)")
    changed = []
    for what, stroke, timeout, which, least, most in (
        ("SIGSTOP of both, 1min", "suspend", "1min", standby.processes, TTL - 3, TTL + 8),
        ("SIGSTOP of both, 5s", "suspend", "5s", standby.processes, 3, 12),
        ("SIGSTOP of the walreceiver, 1min", "suspend", "1min", standby.walreceiver, 55, 75),
        ("SIGSTOP of the walreceiver, 5s", "suspend", "5s", standby.walreceiver, 3, 12),
        ("SIGKILL of both", "kill", "1min", standby.processes, 0, 8),
    ):
        took = seconds(leader, standby, stroke, timeout, which)
        print("%-33s %5.1f s" % (what, took), flush=True)
        if not least <= took <= most:
            changed.append("%s, %.1f s" % (what, took))
    # One that was killed has left its shared memory, which it takes over when it starts.
    standby.start()
    until("a synchronous standby", lambda: leader.role(standby) == "sync_standby")
finally:
    for node in reversed(nodes):
        node.end()
    for process in running:
        process.kill()
        process.wait()

if changed:
    print("changed: Patroni 3.0.2 gives up a synchronous standby at another time: " + "; ".join(changed), file=sys.stderr)
    sys.exit(1)
END
