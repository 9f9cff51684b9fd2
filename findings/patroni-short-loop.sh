#!/bin/sh
# Patroni 3.0.2-1 and python3-etcd 0.4.5-4 on etcd 3.4.23-4+b4, all as in Debian 12, unpacked; their Python libraries in the
# versions of `packages` below. Linux x64.
#
# Through etcd's v2 interface a standby watches the leader's lock while it waits for its next turn, and is awake as soon as the
# lock is given back. But it watches only if a whole second is left until that turn. Between two turns there is loop_wait less what
# the turn itself took: with `loop_wait: 1` it is never a second, so that nobody watches, and a lock that is given back is seen
# at the next turn. A smaller loop_wait makes nodes notice later, unless it is etcd's own time that runs out.
#
# Seen, where the leader gives its lock back 0.1 s after a standby began to wait for its next turn:
#   0.99 s left of loop_wait 1: awake after 0.99 s
#   1.99 s left of loop_wait 2: awake after 0.10 s
# A good guess goes wrong because loop_wait is documented as the pause between turns, so that a shorter one seems to be quicker
# in everything; because the watch is there, works with the default of 10 s, and is not logged where it is left out.
# Who meets it: whoever sets `loop_wait: 1` (the least that is taken) for short switchovers. With 2 s a standby takes the lock
# at once; with 1 s it waits half a second on average.
# What to do: nothing, if the turns serve something else (a dead synchronous standby is replaced at a turn); `loop_wait: 2` if not.
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
import threading
import time

from patroni.dcs import get_dcs
from patroni.version import __version__

logging.disable(logging.CRITICAL)
assert __version__ == "3.0.2", "this is Patroni " + __version__
BEFORE = 0.1


def node(name, loop_wait):
    """What a Patroni of this name asks etcd with: its own class, with its settings."""
    asked = get_dcs({
        "scope": "loop%d" % loop_wait, "name": name, "ttl": 20, "loop_wait": loop_wait, "retry_timeout": 3,
        "etcd": {"host": "127.0.0.1:" + os.environ["PORT"]},
    })
    asked.touch_member({"conn_url": "postgres://127.0.0.1/", "api_url": "http://127.0.0.1/"})
    return asked


def awake_after(loop_wait):
    """Seconds for which a standby waits for its next turn, as Patroni does, while the leader gives its lock back."""
    leading, standby = node("leading", loop_wait), node("standby", loop_wait)
    assert leading.attempt_to_acquire_leader(), "nobody takes the lock"
    lock = standby.get_cluster(True).leader
    assert lock and lock.name == "leading"
    standby.watch(lock.index, 0.01)  # the first one after a change returns at once
    leading.get_cluster(True)
    release = threading.Timer(BEFORE, leading.delete_leader)
    began = time.time()
    release.start()
    left = loop_wait - 0.01
    standby.watch(lock.index, left)
    took = time.time() - began
    release.join()
    assert not standby.get_cluster(True).leader, "the lock was not given back"
    print("%.2f s left of loop_wait %d: awake after %.2f s" % (left, loop_wait, took), flush=True)
    return took


short, longer = awake_after(1), awake_after(2)
is_so = short > 0.9 and longer < 0.9
if not is_so:
    print("changed: a standby of Patroni 3.0.2 is awake otherwise", file=sys.stderr)
sys.stdout.flush()
os._exit(0 if is_so else 1)
END
