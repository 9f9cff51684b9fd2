#!/bin/sh
# Patroni 3.0.2-1 and python3-etcd 0.4.5-4 on etcd 3.4.23-4+b4, all as in Debian 12, unpacked; their Python libraries in the
# versions of `packages` below. Linux x64.
#
# Whether a change of the configuration counts at once or only at the next turn depends on the verb, on the interface of etcd, and on
# which node was asked. Through etcd's v3 interface each node watches the configuration, but takes no notice of a change that it has in
# its cache already, from its own write: after a PUT all nodes act at once, but the one that was asked only by chance, if the watch
# tells of the change before the answer to the write comes. A PATCH wakes that one by itself, also if it changes nothing.
# Through v2 nobody watches the configuration.
#
# Seen, of two nodes without a leader that have just begun a pause of 10 s; the next turn of the node asked, and of the other, began
#                            etcd (v2)                   etcd3
#   PATCH {"nothing": null}  at once,     in its time    at once,     in its time
#   PUT what is there        in its time, in its time    in its time, in its time
#   PUT with a change        in its time, in its time    2 or 3 of 6 at once; at once
#   POST /reload             in its time, in its time    in its time, in its time
#   PATCH with a change      at once,     in its time    at once,     at once
# A good guess goes wrong because PUT and PATCH differ in what they write, not in when it counts; because GET /config shows the new
# values right after either; because the node that wrote a change is thought to act on it first; and because a PATCH that
# finds everything as it should be is thought to be free.
# Who meets it: whoever sets the whole configuration by PUT, mostly at the leader, and looks at what it does within loop_wait; and tools
# that send the wanted state each second: then a node takes a turn each second, whatever loop_wait says.
# What to do: after a PUT, `PATCH {"nothing": null}` at the nodes that are to act now. Before a PATCH, read and compare.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
cleanup() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; }
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

packages="patroni=3.0.2-1 etcd-server=3.4.23-4+b4 python3-etcd=0.4.5-4 python3-urllib3=1.26.12-1+deb12u4 python3-six=1.16.0-4
  python3-dateutil=2.8.2-2 python3-dnspython=2.3.0-1+deb12u1 python3-yaml=6.0-3+b2 python3-psutil=5.9.4-1+b1 python3-psycopg2=2.9.5-1+b1"
# shellcheck disable=SC2086
apt-get download -qq $packages 2>apt.log || { cat apt.log >&2; exit 1; }
for package in *.deb; do dpkg-deb -x "$package" unpacked; done

free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
peer=$(free_port)
unpacked/usr/bin/etcd --data-dir "$dir/etcd" --enable-v2 --log-level error \
  --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
  --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
  --initial-cluster "default=http://127.0.0.1:$peer" >etcd.log 2>&1 &
server=$!

export PYTHONPATH="$dir/unpacked/usr/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1
ETCD=$port ASKED=$(free_port) OTHER=$(free_port) /usr/bin/python3 - <<'END'
import json
import logging
import os
import subprocess
import sys
import time
import urllib.request

from patroni.dcs import get_dcs
from patroni.version import __version__

logging.disable(logging.CRITICAL)
assert __version__ == "3.0.2", "this is Patroni " + __version__
LOOP_WAIT = 10
AT_ONCE = 2
TIMES = 6
NOTHING = {"nothing": None}


class Node:
    """A Patroni whose cluster has begun elsewhere: it waits for a leader turn by turn, and needs no PostgreSQL for that."""

    def __init__(self, interface, name, api_port):
        self.api, self.log = "127.0.0.1:" + api_port, "%s-%s.log" % (interface, name)
        login = {"username": name, "password": name}
        file = "%s-%s" % (interface, name)
        with open(file + ".json", "w") as settings:
            json.dump({
                "scope": "one", "namespace": "/%s/" % interface, "name": name, interface: {"host": "127.0.0.1:" + os.environ["ETCD"]},
                "restapi": {"listen": self.api, "connect_address": self.api},
                "postgresql": {
                    "listen": "127.0.0.1:1", "connect_address": "127.0.0.1:1", "data_dir": file + "-data", "pgpass": file + "-pgpass",
                    "authentication": {"superuser": login, "replication": login},
                },
            }, settings)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(["/usr/bin/python3", "-m", "patroni", file + ".json"], stderr=log, stdout=log)

    def turns(self):
        assert self.process.poll() is None, "Patroni has ended"
        with open(self.log) as log:
            return log.read().count("waiting for leader to bootstrap")

    def until_turn(self, before):
        until = time.time() + 60
        while self.turns() == before:
            assert time.time() < until, "there are no turns"
            time.sleep(0.02)

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request("http://" + self.api + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read()


def begin(interface):
    """A cluster in etcd that waits for a leader."""
    dcs = get_dcs({
        "scope": "one", "namespace": "/%s/" % interface, "name": "n0", "ttl": 30, "loop_wait": LOOP_WAIT, "retry_timeout": 10,
        interface: {"host": "127.0.0.1:" + os.environ["ETCD"]},
    })
    assert dcs.initialize(create_new=True, sysid="1")
    assert dcs.set_config_value(json.dumps({"ttl": 30, "loop_wait": LOOP_WAIT, "retry_timeout": 10}))


def after(nodes, method, path, body):
    """Whether the turns of the node that is asked and of the other begin at once, early in a pause of both."""
    for node in nodes:
        before = node.turns()
        node.ask("PATCH", "/config", NOTHING)
        node.until_turn(before)
    time.sleep(1)
    before = [node.turns() for node in nodes]
    nodes[0].ask(method, path, body)
    time.sleep(AT_ONCE)
    return tuple("at once" if node.turns() > count else "in its time" for node, count in zip(nodes, before))


def trials(nodes):
    for node in nodes:
        node.until_turn(0)
        node.until_turn(1)
    config = json.loads(nodes[0].ask("GET", "/config"))
    for what, *request in (
        ("PATCH nothing", "PATCH", "/config", NOTHING),
        ("PUT the same", "PUT", "/config", config),
        *(("PUT a change", "PUT", "/config", dict(config, maximum_lag_on_failover=2000000 + n)) for n in range(TIMES)),
        ("POST /reload", "POST", "/reload", {}),
        ("PATCH a change", "PATCH", "/config", {"maximum_lag_on_failover": 3000000}),
    ):
        yield what, after(nodes, *request)


seen, running = {}, []
try:
    for interface in ("etcd", "etcd3"):
        begin(interface)
        nodes = [Node(interface, name, os.environ[name.upper()]) for name in ("asked", "other")]
        running += nodes
        for what, turns in trials(nodes):
            seen.setdefault((interface, what), set()).add(turns)
            print("%-6s %-15s asked: %-12s other: %s" % (interface, what, *turns), flush=True)
        for node in nodes:
            node.process.terminate()
            node.process.wait(20)
finally:
    for node in running:
        if node.process.poll() is None:
            node.process.kill()
            node.process.wait()

expected = {(interface, what): {("in its time", "in its time")} for interface, what in seen}
for interface in ("etcd", "etcd3"):
    expected[interface, "PATCH nothing"] = expected[interface, "PATCH a change"] = {("at once", "in its time")}
expected["etcd3", "PATCH a change"] = {("at once", "at once")}
# The one that was asked acts by chance, so only the other counts here.
expected["etcd3", "PUT a change"] = {"at once"}
seen["etcd3", "PUT a change"] = {other for asked, other in seen["etcd3", "PUT a change"]}
is_so = seen == expected
if not is_so:
    print("changed: a request ends the pauses of other nodes of Patroni 3.0.2", file=sys.stderr)
sys.stdout.flush()
os._exit(0 if is_so else 1)
END
