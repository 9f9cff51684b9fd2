#!/bin/sh
# wrk 4.1.0-3+b2 of Debian 12, unpacked, against a server of Node.js 20.20.2.
#
# A request that is never answered is in no figure of wrk: it is no request, no latency, no error, and no timeout, whatever
# --timeout says. The connection waits until the run ends. `timeout` counts answers that came, but later than that.
#
# Seen, with 20 connections, 3 s, --timeout 1s:
#   every 10th request is never answered   the server received 200 and answered 180; wrk: 180 requests, no errors
#   every answer comes after 1.5 s         the server received 60; wrk: 40 requests, timeout 40, and all latencies are 0
# In the first run all 20 connections stood still after a moment. The rate is the only figure that shows it, and the latencies are good: they
# are those of what was answered. (In the second they are left out, too: nothing longer than --timeout is recorded.)
# A good guess goes wrong because the option is called "Socket/request timeout", and "Socket errors: … timeout N" is what one looks at:
# that the line is missing is taken for "each request was answered".
# Who meets it: whoever measures a server that loses a request now and then: a deadlock, a lost wake-up, a pool that was not given back.
# What to do: count the requests where they arrive, and compare with what wrk says it has; more than one missing for each connection, or
# a rate that falls in the course of the run (a script that prints), is a server that does not answer.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

apt-get -qq -o APT::Sandbox::User=root download wrk=4.1.0-3+b2 \
  libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 libluajit-5.1-common=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1
for package in *.deb; do dpkg -x "$package" unpacked; done

LD_LIBRARY_PATH=$dir/unpacked/usr/lib/x86_64-linux-gnu node --input-type=module <<'END'
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { promisify } from "node:util";

async function run(name, answerAfterMs) {
  let received = 0;
  const server = createServer((_, response) => {
    received++;
    const ms = answerAfterMs(received);
    if (ms !== undefined) setTimeout(() => response.end("x"), ms);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/`;
  const options = ["-t1", "-c20", "-d3s", "--timeout", "1s", "--latency", url];
  const { stdout } = await promisify(execFile)("unpacked/usr/bin/wrk", options);
  server.closeAllConnections();
  server.close();
  const counted = Number(stdout.match(/(\d+) requests in/)[1]);
  const errors = stdout.match(/Socket errors: (.*)/)?.[1] ?? "none";
  console.log(`${name}: received ${received}; wrk: ${counted} requests, errors: ${errors}; ${stdout.match(/Latency .*/)[0]}`);
  return { received, counted, errors };
}
const lost = await run("every 10th is never answered", (n) => (n % 10 === 0 ? undefined : 2));
const late = await run("every answer after 1.5 s", () => 1_500);
const timeouts = Number(late.errors.match(/timeout (\d+)/)?.[1] ?? 0);
if (lost.received !== 200 || lost.counted !== 180 || lost.errors !== "none" || timeouts < 20) {
  console.error("changed: wrk counts requests that are never answered, or no longer those that are answered late");
  process.exit(1);
}
END
