/** ./sd bench servers in short: what holds on any machine. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "../harness/cleanup.ts";
import { judge } from "./bars.ts";
import { optionsOf } from "./options.ts";
import { servers } from "./servers.ts";
import type { ServersOptions } from "./servers-figures.ts";

after(cleanUp);

test("a lease each half second at most by server and coupon, none at rest; each figure of each number of servers", async () => {
  const options = optionsOf(servers as never, true, {}) as ServersOptions;
  const { measures, headlines, failures } = await servers.run(options, () => {});
  assert.deepEqual(failures, []);
  assert.deepEqual(
    measures.map(({ group, name }) => `${group}: ${name}`),
    ["1 server", "2 servers"].flatMap((group) =>
      [
        "at rest",
        "refusals, 100 a second",
        "refusals, 400 a second",
        "reads of the live coupons, 400 a second",
        "refusals, 400 a second, 5,000 users",
      ].map((name) => `${group}: ${name}`),
    ),
  );
  for (const { group, name, figures } of measures) {
    const [questions = Number.NaN] = figures["questions for leases a second, each server"] ?? [];
    const isRefused = name.startsWith("refusals");
    // The first lease may not have been given: it is asked for again after two seconds.
    assert.ok(
      isRefused ? questions > 0 && questions <= 2 : questions < 0.5,
      `${group}, ${name}: ${questions}`,
    );
  }
  for (const name of [
    "questions for leases a second and server, for a coupon that is sold out",
    "calls that count who asked, a second and server",
    "statements of a server, refusals at the high rate / at the low rate",
    "statements of a server, refusals with many users / with few",
  ]) {
    const headline = headlines.find((each) => each.name === name);
    assert.ok(headline && judge("servers", headline), name);
  }
});
