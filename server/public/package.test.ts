/** The client as a package: what it says of itself is true of the files that the service serves. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { declarations } from "../../bench/harness/declarations.ts";
import { pages } from "../routes/pages.ts";
import type * as inside from "./client.js";
import type * as packed from "./coupon-drop-client.d.ts";

const read = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");
const about = JSON.parse(read("package.json"));

/**
 * Never called: the compiler compares the types of the package, made of the document, with those of the contract. It takes what they say, and
 * answers what they say. If there is a difference after a change: UPDATE_README=1 ./sd test server/public/package.test.ts
 */
export const compared = (ours: typeof inside): typeof packed => ours;

/** Never called: who may have a signal or not gives what it has, also where undefined is something else than nothing (exactOptionalPropertyTypes). */
export const asked = ({ livez, watchCoupons }: packed.CouponClient, signal: AbortSignal | undefined) => [
  livez({}, { signal }),
  watchCoupons({ signal }),
];

test("its types are those of the document", () => {
  const file = new URL("coupon-drop-client.d.ts", import.meta.url);
  const made = declarations();
  if (process.env["UPDATE_README"]) writeFileSync(file, made);
  assert.equal(read("coupon-drop-client.d.ts"), made, "UPDATE_README=1 writes what is true");
});

test("it has the very files that the service serves, all that they import, and nothing else", () => {
  const { types, default: entrance } = about.exports["."];
  assert.deepEqual([about.main, about.types], [entrance, types]);
  const needed = new Set([posix.normalize(entrance)]);
  for (const name of needed) {
    assert.equal((pages[`/${name}`] as URL).href, new URL(name, import.meta.url).href);
    for (const [, other = ""] of read(name).matchAll(/^(?:import|export) .*from "([^"]+)";$/gm))
      needed.add(posix.normalize(other));
  }
  assert.deepEqual(about.files.toSorted(), [...needed, posix.normalize(types)].sort());
  assert.deepEqual(about.dependencies, undefined);
});

test("its licence and the Node.js that it needs are those of the whole", () => {
  const whole = JSON.parse(read("../../package.json"));
  assert.equal(read("LICENSE"), read("../../LICENSE"));
  for (const member of ["license", "type", "engines"]) assert.deepEqual(about[member], whole[member], member);
});
