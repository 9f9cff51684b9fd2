#!/bin/sh
# Patroni 3.0.2-1 with PostgreSQL 15.18-0+deb12u1, python3-etcd 0.4.5-4 and etcd 3.4.23-4+b4, all as in Debian 12, unpacked; their
# Python libraries in the versions of `packages` below. Linux x64.
#
# Between taking the leader's lock and the promotion, a node passes the health checks of both: /primary and /replica say 200. And from
# its next turn on (loop_wait) it also passes /asynchronous, though it was the synchronous standby: it has emptied /sync in etcd, since
# no standby of its own is synchronous yet, and a standby that is not named there counts as asynchronous.
#
# Seen, of the synchronous standby, asked all the time during a switchover, with loop_wait 1 s and `pre_promote: sleep 5`:
#   before                      /replica /synchronous
#   it has the lock             /primary /replica /synchronous      for 0.8 to 1.0 s
#   from its next turn on       /primary /replica /asynchronous     for 4.1 to 4.4 s
#   it is promoted              /primary
# Without pre_promote the promotion took 0.1 s, and its next turn came after that, in three of three.
# A good guess goes wrong because the checks of leader and standbys are thought to exclude each other, and because reads are led to
# /asynchronous in order to keep them off the node that is next to lead.
# Who meets it: balancers in front of clusters with synchronous_mode whose promotion takes longer than loop_wait, for one by a pre_promote
# that fences the leader of before. Sessions for reads that are opened then stay on the new primary, and those for writes are read-only
# meanwhile (25006).
# What to do: count a node as a standby only if /primary says no at the same time, and end its sessions when it no longer passes
# (`on-marked-down shutdown-sessions` in HAProxy); let clients ask for `target_session_attrs`.
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
import threading
import time
import urllib.request

import psutil
import psycopg2

HERE = os.getcwd()
PAUSE = 5


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
                        "ttl": 20, "loop_wait": 1, "retry_timeout": 3, "synchronous_mode": True,
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
                    "basebackup": [{"checkpoint": "fast"}], "pre_promote": "sleep %d" % PAUSE,
                    "parameters": {"unix_socket_directories": ""},
                },
            }, file)
        self.start()

    def start(self):
        with open(self.name + ".log", "a") as log:
            self.patroni = subprocess.Popen(["/usr/bin/python3", "-m", "patroni", self.name + ".json"], stdout=log, stderr=log)

    def ask(self, path, method="GET", body=None):
        request = urllib.request.Request("http://" + self.api + path, body and json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read()

    def says(self, path):
        """Whether the health check of a balancer counts this node in."""
        try:
            self.ask(path, "OPTIONS")
            return True
        except OSError:
            return False

    def role(self, of):
        """What this node says of another one or of itself."""
        try:
            return next((member["role"] for member in json.loads(self.ask("/cluster"))["members"] if member["name"] == of.name), None)
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


def counts_as(following):
    """The checks that a standby passes, from when it is asked to lead until it passes as the leader alone, and since when."""
    session = connect(following)
    seen, began = [], time.time()
    while True:
        passed = tuple(path for path in CHECKS if following.says(path))
        session.execute("select pg_is_in_recovery()")
        state = passed, session.fetchone()[0]
        if not seen or seen[-1][0] != state:
            seen.append((state, time.time() - began))
        if passed == ("/primary",):
            return seen
        assert time.time() < began + 60, "it does not lead"
        time.sleep(0.01)


CHECKS = "/primary", "/replica", "/synchronous", "/asynchronous"
running, nodes = [], []
try:
    etcd_port = free_port()
    running.append(etcd(etcd_port))
    leader = Node("n1", etcd_port)
    nodes.append(leader)
    until("a leader", lambda: leader.role(leader) == "leader")
    standby = Node("n2", etcd_port)
    nodes.append(standby)
    until("a synchronous standby", lambda: standby.says("/synchronous"))
    asked = threading.Thread(target=leader.ask, args=("/switchover", "POST", {"leader": leader.name, "candidate": standby.name}), daemon=True)
    asked.start()
    seen = counts_as(standby)
    asked.join()
    both = 0.0
    for ((passed, is_in_recovery), since), (_, ended) in zip(seen, [*seen[1:], (None, None)]):
        print("after %5.2f s  %-17s  %s" % (since, "in recovery" if is_in_recovery else "promoted", " ".join(passed)), flush=True)
        if is_in_recovery and {"/primary", "/replica", "/asynchronous"} == set(passed):
            both += ended - since
finally:
    for node in reversed(nodes):
        node.end()
    for process in running:
        process.kill()
        process.wait()

if both < 1:
    print("changed: a node of Patroni 3.0.2 that is about to lead no longer passes as an asynchronous standby", file=sys.stderr)
    sys.exit(1)
END
