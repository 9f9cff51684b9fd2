import assert from "node:assert/strict";
import { test } from "node:test";
import { bearerOf, traceOf } from "./headers.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

test("a trace is the caller's, and of its flags only sampled counts", () => {
  for (const [flags, isSampled] of [
    ["00", false],
    ["01", true],
    ["03", true],
    ["fe", false],
  ])
    assert.deepEqual(traceOf(`00-${TRACE}-${SPAN}-${flags}`), { traceId: TRACE, parentId: SPAN, isSampled });
});

test("of a higher version it is what version 00 has, whatever else comes behind", () => {
  for (const given of [
    `01-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01`,
    `fe-${TRACE}-${SPAN}-01-`,
    `cc-${TRACE}-${SPAN}-01-what-comes-later`,
  ])
    assert.deepEqual(traceOf(given), { traceId: TRACE, parentId: SPAN, isSampled: true }, given);
});

for (const [what, given] of [
  ["none", undefined],
  ["an empty one", ""],
  ["a higher version that goes on without a dash", `cc-${TRACE}-${SPAN}-01.x`],
  ["a higher version with longer flags", `cc-${TRACE}-${SPAN}-011`],
  ["a higher version without flags", `cc-${TRACE}-${SPAN}`],
  ["a version in capitals", `CC-${TRACE}-${SPAN}-01`],
  ["a version of one digit", `0-${TRACE}-${SPAN}-01`],
  ["no version", `ff-${TRACE}-${SPAN}-01`],
  ["trace id zero", `00-${"0".repeat(32)}-${SPAN}-01`],
  ["parent id zero", `00-${TRACE}-${"0".repeat(16)}-01`],
  ["capitals", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ["a short trace id", `00-${TRACE.slice(1)}-${SPAN}-01`],
  ["a long parent id", `00-${TRACE}-${SPAN}0-01`],
  ["no flags", `00-${TRACE}-${SPAN}`],
  ["more than version 00 has", `00-${TRACE}-${SPAN}-01-x`],
  ["a line break", `00-${TRACE}-${SPAN}-01\n`],
] as const)
  test(`no trace: ${what}`, () => assert.equal(traceOf(given), undefined));

for (const [given, token] of [
  ["Bearer a.b-c_d", "a.b-c_d"],
  ["bearer x", "x"],
  [`Bearer ${"x".repeat(16_000)}`, "x".repeat(16_000)],
  ["Bearer   x", "x"],
  ["Bearer EwB4A8l6+/~BAAU==", "EwB4A8l6+/~BAAU=="],
  ["Bearer x=y", undefined],
  ["Bearer x, Bearer y", undefined],
  ["Bearer x y", undefined],
  ["Bearer\tx", undefined],
  ["Bearer x\n", undefined],
  ["Bearer ", undefined],
  ["Bearer", undefined],
  ["Bearer ü", undefined],
  ["Basic eDp5", undefined],
  ["x", undefined],
  ["", undefined],
  [undefined, undefined],
] as const)
  test(`the token of ${JSON.stringify(given)?.slice(0, 30)} (${given?.length})`, () =>
    assert.equal(bearerOf(given), token));
