/** For tests: whether the OpenAPI document describes an answer. */
import assert from "node:assert/strict";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { openApi } from "../../server/api/openapi.ts";

interface Response {
  headers: Record<string, unknown>;
  content?: Record<string, { schema: Described }>;
}

/** A schema; of a stream, with the one of each of its events or lines. */
export interface Described {
  $defs?: { item?: object };
}

interface Document {
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, Response> }>>;
}

/** With each component in the place of its names, once for all of them. Answers have no other members than those of this release. */
export const document = dereferenced(openApi(), { isClosed: true }) as Document;

const ajv = new Ajv2020({ allErrors: true });
ajv.addFormat("date-time", /^\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$/);
ajv.addFormat("date", /^\d{4,6}-\d\d-\d\d$/);
ajv.addFormat("int32", {
  type: "number",
  validate: (value) => Number.isInteger(value) && Math.abs(value) < 2 ** 31,
});
ajv.addFormat("int64", { type: "number", validate: Number.isSafeInteger });

const compiled = new WeakMap<object, ValidateFunction>();

export function validatorOf(schema: object): ValidateFunction {
  const validate = compiled.get(schema) ?? ajv.compile(schema);
  compiled.set(schema, validate);
  return validate;
}

/** A document without $ref; `isClosed`: with objects that have no members but those that it names. */
export function dereferenced(given: unknown, { isClosed } = { isClosed: false }): unknown {
  const known = new Map<string, unknown>();
  return inside(given);

  function inside(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(inside);
    if (typeof value !== "object" || value === null) return value;
    const { $ref } = value as { $ref?: string };
    if ($ref === undefined) {
      const closed = isClosed && "properties" in value ? { additionalProperties: false, ...value } : value;
      return Object.fromEntries(Object.entries(closed).map(([name, member]) => [name, inside(member)]));
    }
    if (!known.has($ref)) known.set($ref, inside(at($ref)));
    return known.get($ref);
  }

  function at(ref: string): unknown {
    const found = ref
      .split("/")
      .slice(1)
      .reduce<unknown>((place, name) => (place as Record<string, unknown> | undefined)?.[name], given);
    assert.ok(found, `${ref} is nowhere`);
    return found;
  }
}

/** Headers that HTTP, and the browsers' rules for other origins, add. */
const TRANSPORT = new Set([
  "vary",
  "access-control-allow-origin",
  "access-control-expose-headers",
  "content-type",
  "content-length",
  "date",
  "connection",
  "keep-alive",
  "transfer-encoding",
]);

/** Throws if the status, a header or the body is not as the document says. Paths that are not in the document are not checked. */
export function assertDocumented(
  method: string,
  target: string,
  answer: { status: number; headers: Headers; body: unknown },
): void {
  const [path = ""] = target.split("?");
  const responses = operationAt(method, path);
  if (responses === undefined) return;
  const where = `${method} ${target} ${answer.status}`;
  const response = responses[answer.status];
  assert.ok(response, `${where}: a status that is not documented`);
  for (const [name] of answer.headers)
    assert.ok(TRANSPORT.has(name) || name in response.headers, `${where}: header ${name} is not documented`);
  if (response.content === undefined) {
    assert.equal(answer.body, null, where);
    return;
  }
  const type = answer.headers.get("content-type")?.split(";")[0] ?? "";
  const content = response.content[type];
  assert.ok(content, `${where}: ${type} is not documented`);
  const validate = validatorOf(content.schema.$defs?.item ?? content.schema);
  for (const said of type === "application/x-ndjson" ? (answer.body as unknown[]) : [answer.body])
    assert.ok(validate(said), `${where}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(said)}`);
}

/** The document's paths with what they match. A path without a parameter goes before one with a parameter. */
const places = Object.entries(document.paths)
  .map(([template, operations]) => {
    const parts = template.split(/\{\w+\}/);
    return { parameters: parts.length - 1, pattern: new RegExp(`^${parts.join("[^/]+")}$`), operations };
  })
  .sort((a, b) => a.parameters - b.parameters);

/** The responses of the operation at this path. */
function operationAt(method: string, path: string): Record<string, Response> | undefined {
  return places.find(({ pattern }) => pattern.test(path))?.operations[method.toLowerCase()]?.responses;
}
