import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openApp } from "../../bench/harness/app.ts";
import {
  assertDocumented,
  type Described,
  dereferenced,
  document,
  validatorOf,
} from "../../bench/harness/documented.ts";
import { pages } from "../routes/pages.ts";
import { failures } from "./failures.ts";
import { openApi } from "./openapi.ts";
import { createSchemas } from "./openapi-schemas.ts";
import { type Command, outcomes } from "./outcomes.ts";

interface Media {
  schema: Described & { properties?: { outcome?: { enum: string[] } } };
  example?: unknown;
  examples?: Record<string, { value: { outcome: string } }>;
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    route: `${method.toUpperCase()} ${path}`,
    operation,
  })),
);

test("the document is OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(openApi()));
  assert.deepEqual(errors, undefined);
  assert.equal(valid, true);
  assert.equal(validator.version, "3.1");
});

test("the router and the document have the same operations", async () => {
  const { app, close } = await openApp("postgres://nobody@127.0.0.1:1/nothing");
  await close();
  const routed = app.routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
  const documented = operations.map(({ route }) => route);
  assert.deepEqual(
    routed.filter((route) => !documented.includes(route)).sort(),
    ["/metrics", ...Object.keys(pages)].map((path) => `GET ${path}`).sort(),
    "besides them only pages, and metrics",
  );
  assert.deepEqual(
    documented.filter((route) => !routed.includes(route)),
    [],
    "operations without a route",
  );
});

test("each outcome of each command is documented with its status and an example, and so is every failure", () => {
  const seen = new Set<string>();
  for (const { operation } of operations)
    for (const [status, { content = {} }] of Object.entries(operation.responses))
      for (const media of Object.values(content) as Media[]) {
        const named = media.schema.properties?.outcome?.enum ?? [];
        if (media.examples)
          assert.deepEqual(Object.keys(media.examples), named, `${operation.operationId} ${status}`);
        for (const outcome of named) seen.add(`${operation.operationId} ${outcome} ${status}`);
      }
  for (const [command, endings] of Object.entries(outcomes)) {
    const name = command.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
    for (const [outcome, { status }] of Object.entries(endings))
      assert.ok(seen.has(`${name} ${outcome} ${status}`), `${command as Command}: ${outcome}`);
  }
  const everywhere = [...seen].map((each) => each.replace(/^\w+ /, ""));
  for (const [outcome, { status }] of Object.entries(failures))
    if (!["hung_up", "no_such_route", "metrics_unavailable"].includes(outcome))
      assert.ok(everywhere.includes(`${outcome} ${status}`), outcome);
});

test("each example fits its schema, and what is in a stream is as its form says", () => {
  const examples: Record<string, number> = {};
  for (const { route, operation } of operations) {
    const { requestBody } = operation as unknown as { requestBody?: { content: Record<string, Media> } };
    const contents = [requestBody, ...Object.values(operation.responses)].flatMap((each) =>
      Object.entries((each?.content ?? {}) as Record<string, Media>),
    );
    for (const [type, { schema, example, examples: named = {} }] of contents)
      for (const value of example === undefined
        ? Object.values(named).map((each) => each.value)
        : [example]) {
        const checks: [object, unknown][] = [[schema, value]];
        if (schema.$defs?.item) checks.push([schema.$defs.item, itemOf(type, value as string)]);
        for (const [expected, said] of checks) {
          const validate = validatorOf(expected);
          assert.ok(validate(said), `${route}: ${JSON.stringify(said)}: ${JSON.stringify(validate.errors)}`);
        }
        examples[type] = (examples[type] ?? 0) + 1;
      }
  }
  const { "application/json": json = 0, "application/problem+json": problems = 0, ...streams } = examples;
  assert.ok(json > 60 && problems > 400, JSON.stringify(examples));
  assert.deepEqual(Object.keys(streams).sort(), ["application/x-ndjson", "text/csv", "text/event-stream"]);
});

/** The one item of an example of a stream. */
function itemOf(type: string, text: string): unknown {
  const [, json = ""] =
    text.match(type === "text/event-stream" ? /^(?:event|id): \S+\ndata: (.*)\n\n$/ : /^(.*)\n$/) ?? [];
  return JSON.parse(json);
}

test("each object is a component with a name, and each component has its place", () => {
  const given = openApi() as unknown as { paths: object; components: Record<string, Record<string, object>> };
  const inline: string[] = [];
  const used = new Set<string>();
  const look = (value: unknown, place: string): void => {
    if (value === null || typeof value !== "object") return;
    const { $ref, type, properties } = value as Record<string, unknown>;
    if (typeof $ref === "string") used.add($ref);
    const isExample = /\/examples?(\/|$)/.test(place);
    if (!isExample && type === "object" && properties) inline.push(place);
    for (const [key, member] of Object.entries(value)) look(member, `${place}/${key}`);
  };
  look(given.paths, "#/paths");
  look(given.components, "#/components");
  const { securitySchemes: _, ...components } = given.components;
  const named = Object.entries(components).flatMap(([kind, members]) =>
    Object.keys(members).map((name) => `#/components/${kind}/${name}`),
  );
  assert.deepEqual(
    inline.filter((place) => !named.includes(place)),
    [],
  );
  assert.deepEqual([...used].sort(), named.sort());
  for (const place of named)
    assert.match(place.replace("#/components/schemas/", ""), /^([A-Z][A-Za-z0-9]+|#.*)$/);
  for (const name of ["Coupon", "IssueCouponCreated", "IssueCouponConflict", "Event", "WalletCoupon"])
    assert.ok(named.includes(`#/components/schemas/${name}`), name);
});

test("answers leave room for the members of later releases, and requests have no others", () => {
  const closed: Record<string, number> = { answers: 0, requests: 0 };
  const open: string[] = [];
  const look = (value: unknown, place: string): void => {
    if (value === null || typeof value !== "object") return;
    const { type, properties, additionalProperties } = value as Record<string, unknown>;
    const which = place.includes("/requestBody/") ? "requests" : "answers";
    if (type === "object" && properties)
      if (additionalProperties === false) closed[which] = (closed[which] ?? 0) + 1;
      else if (which === "requests") open.push(place);
    for (const [key, member] of Object.entries(value))
      if (!/^examples?$/.test(key)) look(member, `${place}/${key}`);
  };
  look((dereferenced(openApi()) as { paths: object }).paths, "");
  assert.deepEqual(open, []);
  assert.equal(closed["answers"], 0);
  assert.ok((closed["requests"] ?? 0) > 25, `${closed["requests"]}`);
});

test("two shapes do not share a name", () => {
  const { named } = createSchemas();
  const shape = (type: string) => ({ title: "Coupon", type: "object", properties: { id: { type } } });
  named("A", shape("integer"));
  named("B", shape("integer"));
  assert.throws(() => named("C", shape("string")), /two schemas are Coupon/);
});

test("an answer that is not documented is found", () => {
  const headers = new Headers({ "content-type": "application/json", "x-request-id": "1" });
  const good = { status: 200, headers, body: { status: "ok" } };
  assertDocumented("GET", "/livez", good);
  const wrong: [string, object][] = [
    ["a status that is not documented", { status: 418 }],
    [
      "header x-cat is not documented",
      { headers: new Headers({ ...Object.fromEntries(headers), "x-cat": "1" }) },
    ],
    ["text/html is not documented", { headers: new Headers({ "content-type": "text/html" }) }],
    ["must NOT have additional properties", { body: { status: "ok", secret: 1 } }],
    ["must have required property", { body: {} }],
  ];
  for (const [message, change] of wrong)
    assert.throws(
      () => assertDocumented("GET", "/livez", { ...good, ...change }),
      (error: Error) => error.message.includes(message),
      message,
    );
});

test("every integer says its size: generators for typed languages take 32 bits otherwise", () => {
  const sizes: Record<string, Set<string>> = {};
  const look = (value: unknown, name: string): void => {
    if (value === null || typeof value !== "object") return;
    const { type, format, name: parameter, schema } = value as Record<string, unknown>;
    if (type === "integer") {
      sizes[`${format}`] ??= new Set();
      sizes[`${format}`]?.add(name);
    }
    for (const [key, member] of Object.entries(value))
      look(member, member === schema && parameter ? `${parameter}` : key);
  };
  look(document.paths, "");
  const named = Object.fromEntries(Object.entries(sizes).map(([size, names]) => [size, [...names].sort()]));
  assert.deepEqual(Object.keys(named).sort(), ["int32", "int64"]);
  for (const name of ["coupon_id", "user_id", "after", "next_after"])
    assert.ok(named["int64"]?.includes(name), name);
  for (const name of ["count", "issued", "position", "page_size", "remaining", "slot"])
    assert.ok(named["int32"]?.includes(name), name);
});

test("the description says of each status with Retry-After that the request may be sent again", () => {
  const look = (value: unknown, status: string): string[] => {
    if (value === null || typeof value !== "object") return [];
    return Object.entries(value).flatMap(([name, member]) =>
      name === "retry-after" && status ? [status] : look(member, /^[45]\d\d$/.test(name) ? name : status),
    );
  };
  const waits = [...new Set(look(document.paths, ""))].sort();
  assert.deepEqual(waits, ["409", "429", "503"]);
  const said = JSON.stringify(openApi()["info"]).match(/503 and 429 .*?Retry-After too/)?.[0] ?? "";
  assert.deepEqual([...new Set(said.match(/\b[45]\d\d\b/g))].sort(), ["404", "409", "429", "503"]);
});
