#!/bin/sh
# Patroni 3.0.2-1 and python3-etcd 0.4.5-4 on etcd 3.4.23-4+b4, all as in Debian 12, unpacked; their Python libraries in the
# versions of `packages` below. Linux x64.
#
# Through etcd's v3 interface a leader of Patroni 3.0.2 renews its lock without looking whose it is. A leader that stood still
# for longer than ttl, and whose place another node has taken, gets a new lease, writes its own name over the other's, and is
# told that the renewal worked. Through the v2 interface of the same etcd the name is compared, and the late one is told no.
#
# Seen, when `late` takes the lock, stands still until it is gone, `next` takes it, and `late` renews:
#   etcd3   update_leader() of late: True    the lock says late
#   etcd    update_leader() of late: False   the lock says next
# A good guess goes wrong because etcd3 is the newer interface (etcd serves v2 only when asked); because taking the lock does
# compare there; and because nothing is logged: `next` finds that another one leads, steps down, and is rewound.
# Who meets it: whoever has a cluster of Debian 12's packages with an `etcd3:` section, when the machine of the leader is
# paused, moved, or out of memory for longer than ttl. What `next` acknowledged meanwhile is lost, also with strict
# synchronous replication (three nodes, PostgreSQL 15, a stopped leader: 58 commits in one run and 576 in another).
# What to do: an `etcd:` section, and `enable-v2: true` in etcd; or Patroni 3.0.3, which compares (its pull request 2689).
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

PORT=$port PYTHONPATH=$dir/unpacked/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 - <<'END'
import logging
import os
import sys
import time

from patroni.dcs import get_dcs
from patroni.version import __version__

logging.disable(logging.CRITICAL)
assert __version__ == "3.0.2", "this is Patroni " + __version__


def node(interface, name):
    """What a Patroni of this name asks etcd with: its own class, with its settings."""
    return get_dcs({
        "scope": "one", "namespace": "/" + interface + "/", "name": name, "ttl": 5, "loop_wait": 1, "retry_timeout": 3,
        interface: {"host": "127.0.0.1:" + os.environ["PORT"]},
    })


def leader(asked):
    found = asked.get_cluster(True).leader
    return found and found.name


def late_renewal(interface):
    late, following = node(interface, "late"), node(interface, "next")
    for each in (late, following):
        each.touch_member({"conn_url": "postgres://127.0.0.1/", "api_url": "http://127.0.0.1/"})
    assert late.attempt_to_acquire_leader(), "nobody takes the lock"
    assert leader(late) == "late"
    assert late.update_leader(1), "a leader cannot renew its lock"
    assert not following.attempt_to_acquire_leader(), "two have the lock"
    # late stands still: it neither asks nor renews until its lock is gone.
    until = time.time() + 60
    while leader(following):
        assert time.time() < until, "the lock does not end"
        following.touch_member({"conn_url": "postgres://127.0.0.1/", "api_url": "http://127.0.0.1/"})
        time.sleep(0.2)
    assert following.attempt_to_acquire_leader(), "nobody follows"
    assert leader(following) == "next"
    renewed = bool(late.update_leader(2))
    says = leader(following)
    print("%-7s update_leader() of late: %-5s  the lock says %s" % (interface, renewed, says), flush=True)
    return renewed, says


seen = {interface: late_renewal(interface) for interface in ("etcd3", "etcd")}
expected = {"etcd3": (True, "late"), "etcd": (False, "next")}
if seen != expected:
    print("changed: a late leader of Patroni 3.0.2 renews otherwise: %s" % seen, file=sys.stderr)
sys.stdout.flush()
os._exit(0 if seen == expected else 1)
END
