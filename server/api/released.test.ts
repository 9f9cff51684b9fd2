/**
 * The document that was released, which is kept in bench/harness (only tests read it), and what of a change of it would break a client.
 * While a version is not released, UPDATE_RELEASED=1 ./sd test server/api/released.test.ts keeps the document as it is now; so does the
 * commit that releases it.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { breaking, type Document } from "../../bench/harness/breaking.ts";
import { compactJson } from "../../bench/harness/compact-json.ts";
import { openApi } from "./openapi.ts";

const FILE = new URL("../../bench/harness/openapi.released.json", import.meta.url);
const CHANGELOG = readFileSync(new URL("../../CHANGELOG.md", import.meta.url), "utf8");

const whole = openApi();
const document = () => structuredClone(whole) as unknown as Document;
const kept = (): Document => JSON.parse(readFileSync(FILE, "utf8"));

/** Whether this version has a section of its own. */
const isReleased = (version: string) => CHANGELOG.includes(`\n## [${version}]`);

/** The part of a version that says whether clients go on working: its first number, and while that is 0 the second one too. */
const lineOf = (version: string) => version.match(/^(0\.\d+|\d+)/)?.[0];

test("a change that would break a client comes with another first number of the version, while that is 0 with another second one", () => {
  const now = document();
  const found = breaking(kept(), now);
  const isMoved = lineOf(kept().info.version) !== lineOf(now.info.version);
  const mayChange = !isReleased(kept().info.version) || isMoved;
  if (process.env["UPDATE_RELEASED"] && (mayChange || found.length === 0))
    writeFileSync(FILE, `${compactJson(now)}\n`);
  else if (!isMoved)
    assert.deepEqual(
      found,
      [],
      mayChange
        ? "not released yet: UPDATE_RELEASED=1 keeps the document as it is now"
        : "package.json needs another version",
    );
});

test("a version that is released has the document that is kept, and one that is not may change", () => {
  const now = document();
  if (isReleased(now.info.version)) assert.deepEqual(kept(), now, "UPDATE_RELEASED=1, or another version");
  else assert.match(CHANGELOG, new RegExp(`^Will be ${now.info.version}\\.$`, "m"));
});

test("the first number says it, while it is 0 the second one", () => {
  assert.deepEqual(["0.1.0", "0.1.9", "0.2.0", "1.0.0", "1.9.3", "2.0.0"].map(lineOf), [
    "0.1",
    "0.1",
    "0.2",
    "1",
    "1",
    "2",
  ]);
});

/** What the changes below are about: to compare the whole document for each takes seconds of CPU. */
const PATHS = [
  ...["/coupons", "/coupons/live", "/coupons/events", "/coupons/status", "/coupons/status/events"],
  ...["/coupons/{coupon_id}/issue", "/coupons/{coupon_id}/use", "/coupons/{coupon_id}/group"],
  ...["/users", "/users/import", "/demo/token"],
];

function excerpt(): Document {
  const { paths, ...rest } = document();
  const about = PATHS.map((path) => [path, paths[path]]);
  return { ...rest, paths: Object.fromEntries(about) };
}

type Change = (given: Document) => unknown;
// biome-ignore lint/suspicious/noExplicitAny: whatever stands in a document
const at = (given: Document, ...path: string[]): any =>
  path.reduce((place, name) => (place as unknown as Record<string, never>)[name] as never, given);
const schema = (given: Document, name: string) => at(given, "components", "schemas", name);
const issue = (given: Document) => at(given, "paths", "/coupons/{coupon_id}/issue", "post");
const member = (given: Document, name: string, key: string) => schema(given, name).properties[key];
const told = (given: Document, path: string, type: string) =>
  at(given, "paths", path, "get").responses[200].content[type].schema;
const live = (given: Document) => at(given, "paths", "/coupons/live", "get");
const lock = (operation: { security: object[] }, role: string) => {
  operation.security = operation.security.filter((one) => !JSON.stringify(one).includes(`"${role}"`));
};
const without = (list: string[], name: string) => list.filter((one) => one !== name);

for (const [line, change] of [
  ["GET /coupons/live is gone", (given) => delete given.paths["/coupons/live"]],
  ["POST /coupons/{coupon_id}/issue: it is called grant", (given) => (issue(given).operationId = "grant")],
  [
    "POST /coupons/{coupon_id}/use: user may not call it any more",
    (given) => lock(at(given, "paths", "/coupons/{coupon_id}/use", "post"), "user"),
  ],
  ["GET /coupons/live: service:read may not call it any more", (given) => lock(live(given), "service:read")],
  ["GET /coupons/live: it needs a token", (given) => delete live(given).security],
  [
    "GET /coupons/live: the parameter page_size is gone",
    (given) =>
      live(given).parameters.splice(
        live(given).parameters.findIndex((one: { name?: string }) => one.name === "page_size"),
        1,
      ),
  ],
  [
    "GET /coupons/live: it needs the parameter shop",
    (given) =>
      live(given).parameters.push({ name: "shop", in: "query", required: true, schema: { type: "string" } }),
  ],
  ["POST /coupons/{coupon_id}/issue: it needs a body", (given) => (issue(given).requestBody.required = true)],
  [
    "POST /coupons: body: shop is needed",
    (given) => {
      const body = schema(given, "CreateCouponBody");
      body.properties.shop = { type: "string" };
      body.required.push("shop");
    },
  ],
  [
    "POST /coupons: body: reason is gone",
    (given) => delete schema(given, "CreateCouponBody").properties.reason,
  ],
  [
    "POST /coupons: body: message: maxLength is 20",
    (given) => (member(given, "CreateCouponBody", "message").maxLength = 20),
  ],
  [
    "POST /coupons/{coupon_id}/group: body: eligible_from: maxLength is 20",
    (given) => (member(given, "SetCouponGroupBody", "eligible_from").anyOf[0].maxLength = 20),
  ],
  [
    "POST /coupons: body: count: minimum is 2",
    (given) => (member(given, "CreateCouponBody", "count").minimum = 2),
  ],
  [
    "POST /demo/token: body: role: till is gone",
    (given) => {
      const role = member(given, "DemoTokenBody", "role");
      role.enum = without(role.enum, "till");
    },
  ],
  [
    "POST /coupons: body: code: it is no string any more",
    (given) => (member(given, "CreateCouponBody", "code").type = "integer"),
  ],
  [
    "POST /coupons/{coupon_id}/issue: 201: position is gone",
    (given) => delete schema(given, "IssueCouponCreated").properties.position,
  ],
  [
    "POST /coupons/{coupon_id}/issue: 201: position may be missing",
    (given) => {
      schema(given, "IssueCouponCreated").required = without(
        schema(given, "IssueCouponCreated").required,
        "position",
      );
    },
  ],
  [
    "GET /coupons/live: 200: coupons[]: message: it may be null",
    (given) => (member(given, "Coupon", "message").type = ["string", "null"]),
  ],
  [
    "GET /coupons/live: 200: coupons[]: count: it may be integer:int64",
    (given) => (member(given, "Coupon", "count").format = "int64"),
  ],
  [
    "POST /coupons/{coupon_id}/issue: 409: outcome: sold_out is gone",
    (given) => {
      const outcome = member(given, "IssueCouponConflict", "outcome");
      outcome.enum = without(outcome.enum, "sold_out");
    },
  ],
  ["POST /coupons/{coupon_id}/issue: 201 is gone", (given) => delete issue(given).responses[201]],
  [
    "GET /coupons/live: 200: the header etag is gone",
    (given) => delete live(given).responses[200].headers.etag,
  ],
  [
    "GET /users: 200: text/csv is gone",
    (given) => delete at(given, "paths", "/users", "get").responses[200].content["text/csv"],
  ],
  [
    "GET /users: 200: an item: display_name is gone",
    (given) => delete schema(given, "ListUsersLine").properties.display_name,
  ],
  [
    "GET /users: 200: the item is gone",
    (given) => delete told(given, "/users", "application/x-ndjson").$defs.item,
  ],
  [
    "GET /coupons/events: 200: the item is gone",
    (given) => delete told(given, "/coupons/events", "text/event-stream").$defs,
  ],
  [
    "POST /users/import: body: the item is gone",
    (given) =>
      delete at(given, "paths", "/users/import", "post").requestBody.content["application/x-ndjson"].schema
        .$defs,
  ],
  [
    "GET /coupons/status: 200: outcomes{}: it may be string",
    (given) => (member(given, "CouponStatusAnswer", "outcomes").additionalProperties = { type: "string" }),
  ],
  [
    "GET /coupons/status/events: 200: an item: outcomes{}: it may be value of any kind",
    (given) => delete member(given, "WatchStatusEvent", "outcomes").additionalProperties,
  ],
  [
    "GET /coupons/status: 200: outcomes: other members are gone",
    (given) => (member(given, "CouponStatusAnswer", "outcomes").additionalProperties = false),
  ],
  [
    "GET /coupons/live: 200: coupons[]: other members are gone",
    (given) => (schema(given, "Coupon").additionalProperties = false),
  ],
  [
    "POST /coupons: body: metadata: other members are not taken any more",
    (given) => (member(given, "CreateCouponBody", "metadata").additionalProperties = false),
  ],
  [
    "POST /coupons: body: metadata{}: it is no value of any kind any more",
    (given) => (member(given, "CreateCouponBody", "metadata").additionalProperties = { type: "string" }),
  ],
  [
    "the component Coupon is gone",
    (given) => {
      const { Coupon, ...others } = given.components.schemas;
      given.components.schemas = JSON.parse(
        JSON.stringify(others).replaceAll('schemas/Coupon"', 'schemas/Unit"'),
      );
      given.components.schemas["Unit"] = Coupon;
    },
  ],
] as const satisfies readonly (readonly [string, Change])[])
  test(`found: ${line}`, () => {
    const after = excerpt();
    change(after);
    const found = breaking(excerpt(), after);
    assert.ok(found.includes(line), `${found.length}: ${found.slice(0, 5)}`);
  });

for (const [what, change] of [
  [
    "an operation",
    (given) => (given.paths["/shops"] = { get: { ...live(given), operationId: "listShops" } }),
  ],
  [
    "a parameter that may be left out",
    (given) =>
      live(given).parameters.push({ name: "shop", in: "query", required: false, schema: { type: "string" } }),
  ],
  [
    "a member of a body that may be left out",
    (given) => (schema(given, "CreateCouponBody").properties.shop = { type: "string" }),
  ],
  [
    "a member of a body is needed no more",
    (given) =>
      (schema(given, "CreateCouponBody").required = without(
        schema(given, "CreateCouponBody").required,
        "message",
      )),
  ],
  ["a member of an answer", (given) => (schema(given, "Coupon").properties.shop = { type: "string" })],
  [
    "a member of an answer never misses",
    (given) => schema(given, "IssueCouponConflict").required.push("coupon_id"),
  ],
  ["a longer text is taken", (given) => (member(given, "CreateCouponBody", "message").maxLength = 400)],
  ["another value is taken", (given) => member(given, "DemoTokenBody", "role").enum.push("service")],
  ["null is taken", (given) => (member(given, "CreateCouponBody", "description").type = ["string", "null"])],
  ["an outcome", (given) => member(given, "IssueCouponConflict", "outcome").enum.push("too_young")],
  ["a status", (given) => (issue(given).responses[410] = issue(given).responses[404])],
  ["another role may call it", (given) => issue(given).security.push({ bearer: ["till"] })],
  ["no token is needed any more", (given) => (issue(given).security = [])],
  [
    "words and examples",
    (given) => {
      issue(given).summary = "Another";
      member(given, "Coupon", "count").description = "Another";
      member(given, "Coupon", "count").examples = [26];
    },
  ],
  ["another member is taken", (given) => delete schema(given, "CreateCouponBody").additionalProperties],
  ["any kind of value is taken", (given) => (schema(given, "CreateCouponBody").properties.message = {})],
  [
    "a map of an answer has one kind of value",
    (given) => (member(given, "Coupon", "metadata").additionalProperties = { type: "string" }),
  ],
  [
    "a stream says what an item is",
    (given) => (told(given, "/users", "text/csv").$defs = { item: schema(given, "ListUsersLine") }),
  ],
  ["a smaller range in an answer", (given) => (member(given, "Coupon", "count").maximum = 10)],
  [
    "a header, and another form of an answer",
    (given) => {
      const { 200: answer } = live(given).responses;
      answer.headers.age = answer.headers.etag;
      answer.content["text/plain"] = { schema: { type: "string" } };
    },
  ],
] as const satisfies readonly (readonly [string, Change])[])
  test(`breaks nobody: ${what}`, () => {
    const after = excerpt();
    change(after);
    assert.notDeepEqual(after, excerpt());
    assert.deepEqual(breaking(excerpt(), after), []);
  });

test("of a shape that is one of several objects, each of them counts, in bodies and in answers", () => {
  const text = { type: "string" };
  const [card, cash] = [
    { type: "object", properties: { kind: { const: "card" }, number: text }, required: ["kind", "number"] },
    { type: "object", properties: { kind: { const: "cash" }, desk: text }, required: ["kind"] },
  ] as const;
  const having = (...anyOf: object[]) => {
    const given = excerpt();
    schema(given, "CreateCouponBody").properties.pay = { anyOf };
    schema(given, "IssueCouponCreated").properties.pay = { anyOf };
    return given;
  };
  const found = (...anyOf: object[]) => breaking(having(card, cash), having(...anyOf));
  const [sent, told] = ["POST /coupons: body: pay", "POST /coupons/{coupon_id}/issue: 201: pay"];
  assert.deepEqual(found(card, cash), []);
  assert.deepEqual(found(card, { ...cash, properties: { kind: cash.properties.kind } }), [
    `${sent}: desk is gone`,
    `${told}: desk is gone`,
  ]);
  assert.deepEqual(found(card, { ...cash, required: ["kind", "desk"] }), [`${sent}: desk is needed`]);
  assert.deepEqual(found(card, { ...cash, required: [] }), [`${told}: kind may be missing`]);
  assert.deepEqual(found(card, { ...cash, properties: { ...cash.properties, desk: { type: "integer" } } }), [
    `${sent}: desk: it is no string any more`,
    `${told}: desk: it may be integer`,
  ]);
  assert.deepEqual(found(card), [
    `${sent}: kind: cash is gone`,
    `${sent}: desk is gone`,
    `${told}: kind: cash is gone`,
    `${told}: desk is gone`,
  ]);
});
