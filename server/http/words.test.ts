/** What is wrong with a request is told in our words, whatever stands where: zod's name types that no client has heard of. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { z } from "zod";
import { contract, type Operation } from "../api/contract.ts";
import { parsed } from "./request.ts";

/** A path and a query have texts only. */
const TEXTS = ["", "x", "-1", "1.5", "\ud800", "x".repeat(3_000)];
const VALUES = [...TEXTS, undefined, null, true, 1.5, -1, Number.MAX_SAFE_INTEGER, [], [{}], ["x"], {}];
const ZODS = /^(Invalid|Unrecognized|Too (big|small)|Expected)/;

const operations = Object.entries(contract as Record<string, Operation>);
const schemas: (readonly [string, z.ZodObject | undefined, readonly unknown[]])[] = operations.flatMap(
  ([name, { path, query, body, lines }]) => [
    [`path of ${name}`, path, TEXTS] as const,
    [`query of ${name}`, query, TEXTS] as const,
    [`body of ${name}`, body, VALUES] as const,
    [`line of ${name}`, lines, VALUES] as const,
  ],
);

test("what is wrong is told in our words", () => {
  const told = new Set<string>();
  let wrong = 0;
  for (const [where, schema, values] of schemas)
    for (const member of Object.keys(schema?.shape ?? {}))
      for (const value of values)
        for (const { member: which, detail } of errorsOf(schema as z.ZodObject, { [member]: value })) {
          wrong += 1;
          if (ZODS.test(detail)) told.add(`${where}: ${which} ${detail}`);
        }
  assert.ok(wrong > 1_000, `${wrong} were told`);
  assert.deepEqual([...told], []);
});

function errorsOf(schema: z.ZodObject, given: unknown): { member: string; detail: string }[] {
  try {
    parsed(schema, given);
    return [];
  } catch (error) {
    return (error as { members: { errors: { member: string; detail: string }[] } }).members.errors;
  }
}
