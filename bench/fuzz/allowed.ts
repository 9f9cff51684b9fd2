/** What a schema of the document allows. */
import fc from "fast-check";
import type { Schema } from "./targets.ts";
import {
  claimCode,
  code,
  codePattern,
  couponId,
  day,
  eligibleFrom,
  expiry,
  type Json,
  retirable,
  startTime,
  userId,
  WEBHOOKS,
} from "./values.ts";

/** Values that lead somewhere, by the member's name; any other name has only its schema. */
const likely: Readonly<Record<string, fc.Arbitrary<Json>>> = {
  coupon_id: couponId,
  user_id: userId,
  code: fc.oneof(code, fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)),
  start_time: startTime,
  expiry,
  count: fc.integer({ min: 1, max: 8 }),
  group_name: fc.constantFrom("vip", "VIP", "team-1"),
  webhook_name: fc.constantFrom(...WEBHOOKS),
  url: fc.constantFrom("https://crm.example/", "https://shop.example:8443/hooks?a=1"),
  eligible_from: eligibleFrom,
  reference: fc.constantFrom("order-1", "order-2", "order-3"),
  code_pattern: codePattern,
  claim_code: claimCode,
  metadata: fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }) as fc.Arbitrary<Json>,
};

/** An optional member that says which of several things is meant: with a value that nobody can draw, a request changes nothing. */
const UNGUESSABLE = "used_date";

/** What this schema allows, its edges among it. */
export function allowed(schema: Schema, name = ""): fc.Arbitrary<Json> {
  const any = bySchema(schema);
  const hint = likely[name];
  return hint === undefined ? any : fc.oneof({ weight: 9, arbitrary: hint }, { weight: 1, arbitrary: any });
}

function recordOf(properties: NonNullable<Schema["properties"]>, requiredKeys: string[]): fc.Arbitrary<Json> {
  const members = Object.entries(properties).map(([name, member]) => [name, allowed(member, name)]);
  return fc.record(Object.fromEntries(members) as Record<string, fc.Arbitrary<Json>>, {
    requiredKeys,
  }) as fc.Arbitrary<Json>;
}

function bySchema(schema: Schema): fc.Arbitrary<Json> {
  const { type, properties, required = [], items, anyOf, format, minLength = 0, minItems = 0 } = schema;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (anyOf) return fc.oneof(...anyOf.map((each) => bySchema(each)));
  if (properties) {
    const { [UNGUESSABLE]: unguessable, ...others } = properties;
    return unguessable
      ? fc.oneof(
          { weight: 9, arbitrary: recordOf(others, required) },
          { weight: 1, arbitrary: recordOf(properties, required) },
        )
      : recordOf(properties, required);
  }
  switch (type) {
    case "integer":
    case "number": {
      const { minimum = -100, maximum = Number.MAX_SAFE_INTEGER } = schema;
      return fc.oneof(
        fc.integer({ min: Math.ceil(minimum), max: maximum }),
        fc.constantFrom(minimum, maximum),
      );
    }
    case "string": {
      const instants = fc
        .date({ min: new Date(0), max: new Date("9999-12-30"), noInvalidDate: true })
        .map((date) => date.toISOString());
      if (format === "date-time")
        return fc.oneof({ weight: 9, arbitrary: startTime }, { weight: 1, arbitrary: instants });
      if (format === "date")
        return fc.oneof(
          { weight: 7, arbitrary: day },
          { weight: 2, arbitrary: retirable },
          { weight: 1, arbitrary: instants.map((text) => text.slice(0, 10)) },
        );
      if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern));
      const { maxLength = 100 } = schema;
      const short = fc.string({
        minLength,
        maxLength: Math.min(maxLength, minLength + 20),
        unit: "grapheme",
      });
      return fc.oneof(
        { weight: 9, arbitrary: short.filter((text) => [...text].length <= maxLength) },
        {
          weight: 1,
          arbitrary: fc.constantFrom("a".repeat(maxLength), "é".repeat(maxLength), "😀".repeat(maxLength)),
        },
      );
    }
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(items ? bySchema(items) : fc.constant(null), {
        minLength: minItems,
        maxLength: minItems + 5,
      });
    case "object":
      return fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }) as fc.Arbitrary<Json>;
  }
  throw new Error(`the fuzzer has no rule for the schema ${JSON.stringify(schema)}`);
}
