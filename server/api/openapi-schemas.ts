/** The schemas of the OpenAPI document: those that validate, converted by zod itself. Every object has a name. */
import { z } from "zod";

export type Json = Record<string, unknown>;
export type Schema = Json & { title?: string; properties?: Record<string, Schema>; required?: string[] };

const converted = { input: new WeakMap<z.ZodType, Schema>(), output: new WeakMap<z.ZodType, Schema>() };

/** Converted once: the schema of problems stands in each refusal, an answer in each status. */
export function jsonSchema(schema: z.ZodType, io: "input" | "output"): Schema {
  const known = converted[io].get(schema) ?? convert(schema, io);
  converted[io].set(schema, known);
  return known;
}

function convert(schema: z.ZodType, io: "input" | "output"): Schema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ jsonSchema: found }) => {
      const { instead, ...rest } = found as Json & { instead?: Json };
      if (instead !== undefined) {
        for (const name of Object.keys(found)) delete (found as Json)[name];
        const { description, examples } = rest;
        Object.assign(found, instead, description ? { description } : {}, examples ? { examples } : {});
      }
      // A later release may add members to an answer: whoever checks answers by this document must not refuse them.
      if (io === "output" && found.additionalProperties === false) delete found.additionalProperties;
      // JSON Schema's integer has no size, and generators for typed languages take 32 bits.
      if (found.type === "integer") found.format = (found.maximum ?? Infinity) < 2 ** 31 ? "int32" : "int64";
    },
  });
  return json as Schema;
}

/** Of the examples of its members. */
export function exampleOf(schema: Schema): unknown {
  const { examples, const: constant, enum: values, anyOf, properties, items, type } = schema;
  if (Array.isArray(examples)) return examples[0];
  if (constant !== undefined) return constant;
  if (Array.isArray(values)) return values[0];
  if (Array.isArray(anyOf)) return exampleOf(anyOf[0] as Schema);
  if (properties)
    return Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, exampleOf(member)]));
  if (items) return [exampleOf(items as Schema)];
  if (type === "object") return {};
  throw new Error(`no example for ${JSON.stringify(schema)}`);
}

/** IssueCoupon, of issueCoupon; CouponNotFound, of coupon_not_found; PayloadTooLarge, of "Payload Too Large". */
export function nameOf(text: string): string {
  return text.replace(/(?:^|[^A-Za-z0-9]+)([a-z0-9])/gi, (_, first: string) => first.toUpperCase());
}

/** Makes the schema a component, which has this name, and returns its place. An object inside is called `of`, and by its member. */
export type Named = (name: string, schema: Schema, of?: string) => Json;

/**
 * Generators call their types by the names of components. So every object is one, and one that stands in several places has its own name:
 * the title of its schema.
 */
export function createSchemas(): { schemas: Record<string, Schema>; named: Named } {
  const schemas: Record<string, Schema> = {};

  function named(given: string, { title, ...schema }: Schema, of = given): Json {
    const name = title ?? given;
    const members = Object.entries(schema.properties ?? {}).map(([key, member]) => [
      key,
      inside(title ?? of, key, member),
    ]);
    const properties = Object.fromEntries(members);
    const made = schema.properties ? { ...schema, properties } : schema;
    const known = schemas[name];
    if (known && JSON.stringify(known) !== JSON.stringify(made)) throw new Error(`two schemas are ${name}`);
    schemas[name] = made as Schema;
    return { $ref: `#/components/schemas/${name}` };
  }

  function inside(of: string, key: string, schema: Schema): Json {
    const { properties, items, anyOf } = schema;
    if (properties) return named(of + nameOf(key), schema);
    if (items) return { ...schema, items: inside(of, singular(key), items as Schema) };
    if (anyOf) return { ...schema, anyOf: (anyOf as Schema[]).map((each) => inside(of, key, each)) };
    return schema;
  }

  return { schemas, named };
}

/** A member that is a list is called by what it lists. */
function singular(key: string): string {
  return key.replace(/ies$/, "y").replace(/s$/, "");
}
