#!/bin/sh
# autocannon 9.0.0 from npm, Node.js 20.20.2.
#
# With a rate (-R, overallRate; -r, connectionRate) most of the latencies that autocannon reports were never measured. It
# corrects for coordinated omission by HdrHistogram's recordValueWithExpectedInterval(), and takes the interval as 1 / rate
# rounded up: seconds where ms are wanted, so it is always 1 ms. One answer after 100 ms is recorded as 100 answers, after
# 100, 99, 98 … 1 ms.
#
# Seen, of a server that answers each request after 100 ms, 10 connections, 4 s:
#   no rate                                  370 answers, 370 latencies, least 100 ms, median 105 ms
#   overallRate 100 a second                 370 answers, 40,000 latencies, least 1 ms, median 55 ms
#   … and ignoreCoordinatedOmission          370 answers, 370 latencies, least 100 ms, median 104 ms
# A good guess goes wrong because a correction is there to make bad figures worse. Here it halves the median of a slow
# server: with a rate it seems to be twice as fast as without.
# Who meets it: whoever compares two runs with -R, or a run with -R to one without.
# What to do: ignoreCoordinatedOmission (-C) and read the latencies as those of a closed loop, or measure from when each
# request was due.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"

echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts autocannon@9.0.0

cat >run.js <<'END'
import { createServer } from "node:http";
import autocannon from "autocannon";

const server = createServer((_, response) => setTimeout(() => response.end("x"), 100));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}`;

async function run(options) {
  const { requests, latency } = await autocannon({ url, connections: 10, duration: 4, ...options });
  const seen = { answers: requests.total, latencies: latency.totalCount, least: latency.min, median: latency.p50 };
  console.log(JSON.stringify(options).padEnd(60), JSON.stringify(seen));
  return seen;
}
const plain = await run({});
const rated = await run({ overallRate: 100 });
const uncorrected = await run({ overallRate: 100, ignoreCoordinatedOmission: true });
server.close();

const isMeasured = ({ answers, latencies, least }) => answers === latencies && least >= 90;
const isInvented = rated.latencies > 50 * rated.answers && rated.least <= 5 && rated.median < 90;
if (!isMeasured(plain) || !isMeasured(uncorrected) || !isInvented) {
  console.error("changed: autocannon no longer adds latencies that it did not measure when it is given a rate");
  process.exit(1);
}
END
node run.js
