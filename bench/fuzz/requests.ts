/**
 * Requests made of the OpenAPI document and the contract, so that an operation that is added is fuzzed without anybody's doing: right ones, by
 * its schemas, and ones that a change or three made wrong.
 */
import fc from "fast-check";
import { contract, type Operation } from "../../server/api/contract.ts";
import { document } from "../harness/documented.ts";
import {
  code,
  couponId,
  day,
  expiry,
  hostileJson,
  hostileNumber,
  hostileText,
  hostileTime,
  type Json,
  startTime,
  userId,
} from "./values.ts";

/** Who asks: a token that is right, by its role, or what stands where a token should. */
export type Caller =
  | { as: "user"; user_id: number }
  | { as: "service" | "admin" }
  | { as: "nobody"; forged: string | undefined };

export interface Asked {
  method: string;
  /** Path and query, as it is sent. */
  target: string;
  caller: Caller;
  headers: Record<string, string>;
  body: string | undefined;
}

export interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  format?: string;
}

interface Described {
  parameters: { name: string; in: "path" | "query" | "header"; required: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema; "x-item-schema"?: Schema }> };
}

/** An operation of the contract, and what the document says of it. */
export interface Target {
  name: string;
  operation: Operation;
  method: string;
  template: string;
  parameters: Described["parameters"];
  body: Schema | undefined;
  line: Schema | undefined;
}

export const targets: readonly Target[] = Object.entries<Operation>(contract).map(([name, operation]) => {
  const [method = "", template = ""] = operation.route.split(" ");
  const described = document.paths[template]?.[method.toLowerCase()] as unknown as Described;
  const content = described.requestBody?.content;
  return {
    name,
    operation,
    method,
    template,
    parameters: described.parameters,
    body: content?.["application/json"]?.schema,
    line: content?.["application/x-ndjson"]?.["x-item-schema"],
  };
});

/** Values that lead somewhere, by the member's name; any other name has only its schema. */
const likely: Readonly<Record<string, fc.Arbitrary<Json>>> = {
  coupon_id: couponId,
  user_id: userId,
  code: fc.oneof(code, fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)),
  start_time: startTime,
  expiry,
  count: fc.integer({ min: 1, max: 8 }),
  reference: fc.constantFrom("order-1", "order-2", "order-3"),
  metadata: fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }) as fc.Arbitrary<Json>,
  before: day,
};

/** What this schema allows, its edges among it. */
export function allowed(schema: Schema, name = ""): fc.Arbitrary<Json> {
  const any = bySchema(schema);
  const hint = likely[name];
  return hint === undefined ? any : fc.oneof({ weight: 9, arbitrary: hint }, { weight: 1, arbitrary: any });
}

function bySchema(schema: Schema): fc.Arbitrary<Json> {
  const { type, properties, required = [], items, anyOf, format, minLength = 0, minItems = 0 } = schema;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (anyOf) return fc.oneof(...anyOf.map((each) => bySchema(each)));
  if (properties) {
    const members = Object.entries(properties).map(([name, member]) => [name, allowed(member, name)]);
    return fc.record(Object.fromEntries(members) as Record<string, fc.Arbitrary<Json>>, {
      requiredKeys: required,
    }) as fc.Arbitrary<Json>;
  }
  switch (type) {
    case "integer":
    case "number": {
      const { minimum = -100, maximum = Number.MAX_SAFE_INTEGER } = schema;
      return fc.oneof(fc.integer({ min: minimum, max: maximum }), fc.constantFrom(minimum, maximum));
    }
    case "string": {
      if (format === "date-time")
        return fc
          .date({ min: new Date(0), max: new Date("9999-12-30"), noInvalidDate: true })
          .map((date) => date.toISOString());
      if (format === "date")
        return fc
          .date({ min: new Date(0), max: new Date("9999-12-30"), noInvalidDate: true })
          .map((date) => date.toISOString().slice(0, 10));
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
  throw new Error(`the fuzzer knows no ${JSON.stringify(schema)}`);
}

// ---- What makes a request wrong ---------------------------------------------------------------------------------------

type Change =
  | { change: "path" | "query-raw"; to: string }
  | { change: "query"; at: number; how: "replace" | "repeat" | "extra" | "drop"; to: Json }
  | { change: "body"; at: number; how: "replace" | "drop" | "extra" | "proto"; to: Json }
  | { change: "text"; at: number; how: (typeof TEXT_CHANGES)[number]; to: string }
  | { change: "caller"; to: Caller }
  | { change: "method" | "target"; to: string }
  | { change: "header"; name: string; to: string };

const TEXT_CHANGES = [
  "cut",
  "insert",
  "repeat",
  "bom",
  "comma",
  "comment",
  "number",
  "whole",
  "double",
] as const;

/** Parts of paths that decoders, routers and file systems read in ways of their own. */
const SEGMENTS = [
  "%ff",
  "%00",
  "%",
  "%zz",
  "%2e%2e",
  "..",
  ".",
  "7%2f8",
  "7%5c8",
  "%37",
  "%2537",
  "7/",
  "/7",
  "7;a=1",
  "7%20",
  "+7",
  "-7",
  "0",
  "07",
  "7.0",
  "7e0",
  "0x7",
  "9007199254740991",
  "9007199254740992",
  "9999999999999999",
  "99999999999999999999",
  "%ED%A0%80",
  "%C0%AF",
  "live",
  "events",
  "undefined",
  "a".repeat(5_000),
];
const TARGETS = [
  "/",
  "//",
  "/coupons//live",
  "/coupons/",
  "/COUPONS/live",
  "/coupons/%6cive",
  "/coupons/live/",
  "/coupons/../users",
  "/%2e%2e/%2e%2e/etc/passwd",
  "/server/main.ts",
  "/.env",
  "/docs/../../package.json",
  "/docs/docs.js%00",
  "/metrics",
  "/openapi.json",
  "/livez/x",
  "/coupons/1/issue/again",
  "/users/1/coupons/",
  "/users/import",
  "/users/1",
  "/demo",
  "/*",
  "/:coupon_id",
  `/${"a/".repeat(2_000)}`,
];
const QUERIES = [
  "?",
  "?&&=",
  "?page_size",
  "?page_size=",
  "?page_size=1&page_size=2",
  "?page_size[]=1",
  "?page_size=%31",
  "?page_size=1000",
  "?page_size=1001",
  "?after=-1",
  "?after=9007199254740991",
  "?after=9007199254740992",
  "?before=0000-01-01",
  "?before=infinity",
  "?before=9999-12-31",
  "?code=%ff",
  "?code=%00",
  "?code=c1",
  "?__proto__=1",
  "?reason=",
  `?reason=${"a".repeat(501)}`,
  "?reason=%ED%A0%80",
  `?${"a&".repeat(2_000)}`,
  "#fragment",
];
const TYPES = [
  "",
  "text/plain",
  "application/json",
  "APPLICATION/JSON",
  "application/json; charset=utf-8",
  "application/json;charset=utf-16",
  "application/jsonp",
  "application/problem+json",
  "application/x-ndjson",
  "multipart/form-data; boundary=a",
  "application/x-www-form-urlencoded",
];
/** Names of tokens that tokens() makes, none of them right. */
export const FORGED = [
  "none",
  "other secret",
  "expired",
  "no expiry",
  "cut",
  "root",
  "user 0",
  "user 1.5",
  "user text",
  "admin by array",
  "issuer",
  "audience",
] as const;

const nobody: fc.Arbitrary<Caller> = fc
  .option(
    fc.oneof(
      fc.constantFrom<string>(...FORGED),
      fc.constantFrom(
        "",
        "Bearer",
        "Basic YTpi",
        "Bearer a.b.c",
        "bearer ....",
        `Bearer ${"a".repeat(5_000)}`,
      ),
    ),
    { nil: undefined },
  )
  .map((forged) => ({ as: "nobody", forged }));
const anybody: fc.Arbitrary<Caller> = fc.oneof(
  userId.map((user_id): Caller => ({ as: "user", user_id })),
  fc.constantFrom<Caller>(
    { as: "service" },
    { as: "admin" },
    { as: "user", user_id: Number.MAX_SAFE_INTEGER },
  ),
  nobody,
);

const at = fc.nat({ max: 30 });
/** What a header can be through fetch(): bytes that are no control characters. */
const headerText = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.constantFrom(
    "*",
    'W/"a", "b"',
    "a".repeat(129),
    "a".repeat(5_000),
    "é",
    "null",
    "https://shop.example",
    "https://evil.example",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-00000000000000000000000000000000-0000000000000000-00",
    "gzip",
    "en",
  ),
);

function change(target: Target): fc.Arbitrary<Change> {
  const ofBody = target.body || target.line ? 12 : 1;
  const to = fc.oneof(hostileJson, hostileTime, hostileNumber);
  return fc.oneof(
    {
      weight: target.template.includes("{") ? 4 : 0,
      arbitrary: fc.record({
        change: fc.constant("path" as const),
        to: fc.oneof(fc.constantFrom(...SEGMENTS), hostileText.map(encoded)),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        change: fc.constant("query" as const),
        at,
        how: fc.constantFrom("replace", "replace", "repeat", "extra", "drop"),
        to,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ change: fc.constant("query-raw" as const), to: fc.constantFrom(...QUERIES) }),
    },
    {
      weight: ofBody,
      arbitrary: fc.record({
        change: fc.constant("body" as const),
        at,
        how: fc.constantFrom("replace", "replace", "replace", "drop", "extra", "proto"),
        to,
      }),
    },
    {
      weight: Math.ceil(ofBody / 3),
      arbitrary: fc.record({
        change: fc.constant("text" as const),
        at: fc.nat({ max: 300 }),
        how: fc.constantFrom(...TEXT_CHANGES),
        to: fc.oneof(
          hostileText,
          fc.constantFrom(
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"',
            "\\",
            "\\u0000",
            "\\ud800",
            "1e400",
            "-0",
            "01",
            "0x1",
            ".5",
            "NaN",
            "'a'",
            "\u00a0",
            "[".repeat(3_000),
            `{"a":`.repeat(3_000),
          ),
        ),
      }),
    },
    { weight: 2, arbitrary: fc.record({ change: fc.constant("caller" as const), to: anybody }) },
    {
      weight: 1,
      arbitrary: fc.record({
        change: fc.constant("method" as const),
        to: fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        change: fc.constant("target" as const),
        to: fc.oneof(
          fc.constantFrom(...TARGETS),
          hostileText.map((text) => `/${encoded(text)}`),
        ),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        change: fc.constant("header" as const),
        name: fc.constantFrom(
          "x-request-id",
          "traceparent",
          "origin",
          "if-none-match",
          "accept",
          "accept-encoding",
          "access-control-request-method",
          "x-http-method-override",
          "x-forwarded-for",
          "range",
          "expect",
          "cookie",
        ),
        to: headerText,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        change: fc.constant("header" as const),
        name: fc.constant("content-type"),
        to: fc.constantFrom(...TYPES),
      }),
    },
  );
}

/** In a URL; half a pair of surrogates as the bytes that a careless encoder writes. */
function encoded(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : "%ED%A0%80";
}

const text = (value: Json) => (typeof value === "string" ? value : JSON.stringify(value));

/** A request to this operation: as it should be, or half of the time changed. */
function requestTo(target: Target): fc.Arbitrary<Asked> {
  const { operation, method, template, parameters, body, line } = target;
  const ofPart = (where: "path" | "query") => {
    const these = parameters.filter((each) => each.in === where);
    return fc.record(Object.fromEntries(these.map(({ name, schema }) => [name, allowed(schema, name)])), {
      requiredKeys: these.filter(({ required }) => required).map(({ name }) => name),
    }) as fc.Arbitrary<Record<string, Json>>;
  };
  const { roles } = operation;
  const bodies: fc.Arbitrary<Json | undefined> = body
    ? allowed(body)
    : line
      ? fc.array(allowed(line), { maxLength: 12 })
      : fc.constant(undefined);
  return fc
    .record({
      role: fc.constantFrom(...(roles ?? ["user" as const])),
      user_id: userId,
      path: ofPart("path"),
      query: ofPart("query"),
      body: bodies,
      changes: fc.tuple(fc.boolean(), fc.array(change(target), { minLength: 1, maxLength: 3 })),
    })
    .map(({ role, user_id, path, query, body: given, changes: [isRight, wrong] }) => {
      const changes = isRight ? [] : wrong;
      const instead = (kind: "path" | "query-raw" | "method" | "target"): string | undefined => {
        for (const each of changes) if (each.change === kind) return each.to as string;
        return undefined;
      };
      const caller: Caller = role === "user" ? { as: "user", user_id } : { as: role };
      speaksFor(caller, user_id, target, path, given);
      const type = line ? "application/x-ndjson" : "application/json";
      const parts: Parts = {
        caller,
        path,
        query: Object.entries(query).map(([name, value]) => [name, text(value)]),
        body: given,
        headers: given === undefined ? {} : { "content-type": type },
      };
      for (const each of changes) applyTo(parts, each);
      const written = template.replace(
        /\{(\w+)\}/g,
        (_, name) => instead("path") ?? encoded(text(parts.path[name] as Json)),
      );
      const search = parts.query.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
      let body = parts.body === undefined ? "" : JSON.stringify(parts.body);
      if (line && Array.isArray(parts.body))
        body = parts.body.map((each) => `${JSON.stringify(each)}\n`).join("");
      for (const each of changes) if (each.change === "text") body = rewritten(body, each);
      // A second byte order mark is the adapter's to refuse, and Node's own Request takes it away like the first.
      body = body.replace(/^\ufeff+/, "\ufeff");
      const verb = instead("method") ?? method;
      return {
        method: verb,
        target: instead("target") ?? written + (instead("query-raw") ?? (search && `?${search}`)),
        caller: parts.caller,
        headers: parts.headers,
        body: verb === "GET" || verb === "HEAD" || body === "" ? undefined : body,
      };
    });
}

/** A user for itself, the others for somebody. */
function speaksFor(
  caller: Caller,
  user_id: number,
  { body }: Target,
  path: Record<string, Json>,
  given: Json | undefined,
): void {
  const isUser = caller.as === "user";
  if (isUser && "user_id" in path) path["user_id"] = user_id;
  const member = body?.properties?.["user_id"];
  if (!member || given === null || typeof given !== "object" || Array.isArray(given)) return;
  if ("user_id" in given && isUser) given["user_id"] = user_id;
  if (!isUser && caller.as !== "nobody") given["user_id"] ??= user_id;
}

interface Parts {
  caller: Caller;
  path: Record<string, Json>;
  query: [string, string][];
  body: Json | undefined;
  headers: Record<string, string>;
}

function applyTo(parts: Parts, given: Change): void {
  switch (given.change) {
    case "caller":
      parts.caller = given.to;
      break;
    case "header":
      parts.headers[given.name] = given.to;
      break;
    case "query": {
      const place = given.at % Math.max(1, parts.query.length);
      const found = parts.query[place];
      if (given.how === "extra" || !found) parts.query.push([`x${given.at}`, text(given.to)]);
      else if (given.how === "drop") parts.query.splice(place, 1);
      else if (given.how === "repeat") parts.query.push([found[0], text(given.to)]);
      else found[1] = text(given.to);
      break;
    }
    case "body":
      if (parts.body !== undefined) parts.body = changed(parts.body, given);
  }
}

/** The value with one of its nodes changed, counted from the root. */
function changed(root: Json, { at: place, how, to }: Extract<Change, { change: "body" }>): Json {
  type Holder = Record<string, Json>;
  const copy = structuredClone(root);
  const nodes: [Holder, string][] = [];
  const walk = (value: Json) => {
    if (value === null || typeof value !== "object") return;
    for (const [name, member] of Object.entries(value)) {
      nodes.push([value as Holder, name]);
      walk(member);
    }
  };
  walk(copy);
  const [holder, name] = nodes[place % Math.max(1, nodes.length)] ?? [];
  const target = (Array.isArray(holder) ? undefined : holder) ?? copy;
  if (holder === undefined || name === undefined) return to;
  if (how === "drop") delete holder[name];
  else if (how === "replace") holder[name] = to;
  else if (target !== null && typeof target === "object")
    Object.defineProperty(target, how === "extra" ? `x${place}` : "__proto__", {
      value: to,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return copy;
}

/** JSON that is none any more, or is in another way than JSON.stringify() writes it. */
function rewritten(json: string, { at: place, how, to }: Extract<Change, { change: "text" }>): string {
  const here = place % (json.length + 1);
  switch (how) {
    case "cut":
      return json.slice(0, here);
    case "insert":
      return json.slice(0, here) + to + json.slice(here);
    case "repeat":
      return json + json;
    case "bom":
      return `\ufeff${json}`;
    case "comma":
      return json.replace(/[}\]]/, (end) => `,${end}`);
    case "comment":
      return `/* ${place} */${json}`;
    case "number":
      return json.replace(/\d+/, to);
    case "double":
      return json.replace(
        /^\{("[^"]*"):/,
        (begin, name) => `{${name}:${JSON.stringify(to)},${begin.slice(1)}`,
      );
    case "whole":
      return to;
  }
}

/** Streams last, and read more: fewer of them. A change of a coupon waits until its leases have run out. */
const weightOf = ({ operation: { stream, command } }: Target) =>
  stream ? 1 : command && !/^(create|issue|use|undo)/.test(command) ? 3 : 15;

export const request: fc.Arbitrary<Asked> = fc.oneof(
  ...targets.map((target) => ({ weight: weightOf(target), arbitrary: requestTo(target) })),
);
