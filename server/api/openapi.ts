/**
 * The contract as an OpenAPI 3.1 document, made of the schemas that validate, with an example of each outcome. zod itself converts the
 * schemas. The rest is ours, since it is what no generator knows: answers by outcome and status, and their examples. zod-openapi
 * (5.4.6, the last one for Node 20) would save 25 lines of it.
 */
import { STATUS_CODES } from "node:http";
import { z } from "zod";
import { problem } from "./answers.ts";
import { contract, type Operation } from "./contract.ts";
import { failures } from "./failures.ts";
import { type Command, outcomes } from "./outcomes.ts";
import { version } from "./version.ts";

type Json = Record<string, unknown>;
type Schema = Json & { properties?: Record<string, Schema>; required?: string[] };

export function openApi(): Json {
  const paths: Record<string, Json> = {};
  for (const [name, operation] of Object.entries<Operation>(contract)) {
    const [method = "", path = ""] = operation.route.split(" ");
    paths[path] = { ...paths[path], [method.toLowerCase()]: describe(name, operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "coupon-drop",
      version,
      description:
        "First come, first served. Every answer of a command has an `outcome`. Everything that is not a success is a problem (RFC 9457) " +
        "with the same member. 503 means: send the same request again, after Retry-After. Any other problem is final for this request.",
    },
    servers: [{ url: "/" }],
    tags: ["Coupons", "Users", "Operating"].map((tag) => ({ name: tag })),
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description:
            "sub is the user id, role is user, service or admin; iss, aud and exp are needed too. " +
            "A service with the scope use is a till.",
        },
      },
      headers,
    },
  };
}

const headers = {
  "x-request-id": {
    description: "The x-request-id of the request, or a new one.",
    schema: { type: "string" },
  },
  traceparent: {
    description: "Only if the request has one (W3C Trace Context): the same trace with a span of the server.",
    schema: { type: "string" },
  },
  ratelimit: {
    description: "For users: r more requests may follow at once; if r is 0, the next one after t seconds.",
    schema: { type: "string" },
  },
  "retry-after": {
    description: "Seconds to wait before sending the request again.",
    schema: { type: "integer", minimum: 1 },
  },
  etag: { description: "Of all of the body, server_time too.", schema: { type: "string" } },
  "cache-control": {
    description:
      "What is on offer can be kept for a second by any cache, unless PUBLIC_OFFERS is off. Problems are never stored.",
    schema: { type: "string" },
  },
  "x-age-ms": {
    description:
      "How long ago the database was read, in ms, when the server sent the answer; what a cache adds is in Age, in seconds. The time is now server_time and both.",
    schema: { type: "integer", minimum: 0 },
  },
  "x-accel-buffering": {
    description: "no: it keeps nginx from buffering events.",
    schema: { type: "string" },
  },
  "www-authenticate": { description: "The kind of token that is needed.", schema: { type: "string" } },
} as const;

/** What an answer has that can be cached. */
const OF_LOOKS = ["etag", "cache-control", "x-age-ms"] as const;
const OPEN = "No token is needed, unless PUBLIC_OFFERS is off; one that is sent must be valid.";

function isLook({ isOffer, stream }: Operation): boolean {
  return isOffer === true && stream === undefined;
}

function describe(name: string, operation: Operation): Json {
  const { tag, summary, description, roles, isOffer, path, query, body, lines } = operation;
  return {
    operationId: name,
    tags: [tag],
    summary,
    description: [description, isOffer ? OPEN : roles && `Roles: ${roles.join(", ")}.`]
      .filter(Boolean)
      .join("\n\n"),
    ...(isOffer ? { security: [{}, { bearer: [] }] } : roles ? {} : { security: [] }),
    parameters: [
      ...parametersOf(path, "path"),
      ...parametersOf(query, "query"),
      ...(isLook(operation) ? [header("if-none-match", "An ETag that was answered.")] : []),
      header("traceparent", "Is logged and answered."),
      header("x-request-id", "Is answered and logged; made when there is none."),
    ],
    ...(body ? { requestBody: requestBody(body) } : {}),
    ...(lines ? { requestBody: lineBody(lines) } : {}),
    responses: responsesOf(operation),
  };
}

function header(name: string, description: string): Json {
  return { name, in: "header", required: false, description, schema: { type: "string" } };
}

function parametersOf(schema: z.ZodObject | undefined, where: "path" | "query"): Json[] {
  const { properties = {}, required = [] } = schema ? jsonSchema(schema, "input") : {};
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: where,
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: property,
  }));
}

function requestBody(schema: z.ZodObject): Json {
  const json = jsonSchema(schema, "input");
  return {
    required: (json.required?.length ?? 0) > 0,
    content: { "application/json": { schema: json, example: exampleOf(json) } },
  };
}

/** OpenAPI 3.1 has no word for what a stream is made of; 3.2 calls it itemSchema. */
function lineBody(schema: z.ZodObject): Json {
  const json = jsonSchema(schema, "input");
  const line = { schema: { type: "string" }, "x-item-schema": json, example: exampleOf(json) };
  return { required: true, content: { "application/x-ndjson": line } };
}

// ---- Answers --------------------------------------------------------------------------------------------------------

/** One outcome of an operation with its status. */
interface Ending {
  outcome: string | undefined;
  status: number;
  detail: string;
}

function responsesOf(operation: Operation): Json {
  const byStatus = new Map<number, Ending[]>();
  for (const ending of [...commandEndings(operation.command), ...otherEndings(operation)])
    byStatus.set(ending.status, [...(byStatus.get(ending.status) ?? []), ending]);
  const responses: Json = {};
  for (const [status, endings] of [...byStatus].sort(([a], [b]) => a - b))
    responses[status] =
      status === 304
        ? {
            description: "The body is the one with this ETag.",
            headers: headersOf(...OF_LOOKS),
          }
        : status < 300
          ? success(operation, endings)
          : refusal(operation, status, endings);
  return responses;
}

function commandEndings(command: Command | undefined): Ending[] {
  if (command === undefined) return [{ outcome: undefined, status: 200, detail: "It was read." }];
  return Object.entries(outcomes[command]).map(([outcome, { status, detail }]) => ({
    outcome,
    status,
    detail,
  }));
}

/** What may become of any request like this one. */
function otherEndings(operation: Operation): Ending[] {
  const { roles, body, lines, problems = {} } = operation;
  const names: (keyof typeof failures)[] = ["invalid_request", "request_timeout"];
  if (roles) names.push("unauthenticated", "keys_unavailable");
  if (roles?.includes("user")) names.push("rate_limited");
  // Who is not among the roles, as a till mostly is not.
  if (roles) names.push("forbidden");
  if (operation !== contract.livez && operation !== contract.demoToken)
    // they ask no database
    names.push("overloaded", "database_unavailable", "writes_stalled", "outcome_unknown", "internal_error");
  if (operation.columns) names.push("not_acceptable");
  const general = names.map((outcome) => ({ outcome, ...failures[outcome] }));
  const ofBody = [431, ...(body ? [413, 415] : lines ? [415] : [])].map(
    (status) => ({ ...general[0], status }) as Ending,
  );
  const own = Object.entries(problems).map(([outcome, status]) => ({
    outcome,
    status,
    detail: failures[outcome as "draining"].detail,
  }));
  const unchanged = isLook(operation) ? [{ outcome: undefined, status: 304, detail: "" }] : [];
  return [...general, ...ofBody, ...own, ...unchanged];
}

function success(operation: Operation, endings: Ending[]): Json {
  const { command, answer, stream, columns } = operation;
  const members = jsonSchema(answer, "output");
  const names = endings.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined);
  const schema: Schema = command
    ? {
        ...members,
        properties: { outcome: { type: "string", enum: names }, ...members.properties },
        required: ["outcome", ...(members.required ?? [])],
      }
    : members;
  const examples = command
    ? {
        examples: Object.fromEntries(
          names.map((outcome) => [outcome, { value: { ...(exampleOf(schema) as Json), outcome } }]),
        ),
      }
    : { example: exampleOf(schema) };
  if (stream)
    return {
      description: endings.map(({ detail }) => detail).join(),
      headers: headersOf("cache-control", "x-accel-buffering"),
      content: {
        [stream]: { schema: { type: "string" }, "x-item-schema": schema, ...examples },
        ...(columns ? { "text/csv": csv(columns, exampleOf(schema) as Json) } : {}),
      },
    };
  return {
    description: endings
      .map(({ outcome, detail }) => (outcome ? `\`${outcome}\`: ${detail}` : detail))
      .join("\n\n"),
    headers: headersOf(...(isLook(operation) ? OF_LOOKS : [])),
    content: { "application/json": { schema, ...examples } },
  };
}

function csv(columns: readonly string[], row: Json): Json {
  const lines = [columns, columns.map((name) => row[name])].map((cells) => `${cells.join(",")}\r\n`);
  return { schema: { type: "string" }, example: lines.join("") };
}

/** A problem, with those members of the command that are known by then. */
function refusal({ command, answer }: Operation, status: number, endings: Ending[]): Json {
  const base = jsonSchema(problem, "output");
  const names = endings.map(({ outcome }) => outcome as string);
  const members = command ? jsonSchema(answer, "output").properties : {};
  const schema: Schema = {
    ...base,
    properties: {
      ...base.properties,
      status: { const: status },
      outcome: { type: "string", enum: names },
      ...members,
    },
  };
  const example = (ending: Ending) => ({
    title: STATUS_CODES[status],
    status,
    outcome: ending.outcome,
    detail: ending.detail,
    request_id: exampleOf(base.properties?.["request_id"] as Schema),
  });
  const waits = status === 503 || status === 429 || names.includes("not_started");
  return {
    description: endings.map(({ outcome, detail }) => `\`${outcome}\`: ${detail}`).join("\n\n"),
    headers: headersOf(
      "cache-control",
      ...(waits ? (["retry-after"] as const) : []),
      ...(status === 401 ? (["www-authenticate"] as const) : []),
    ),
    content: {
      "application/problem+json": {
        schema,
        examples: Object.fromEntries(endings.map((ending) => [ending.outcome, { value: example(ending) }])),
      },
    },
  };
}

/** Those that every answer has, and these. */
function headersOf(...names: (keyof typeof headers)[]): Json {
  return Object.fromEntries(
    ["x-request-id", "traceparent", "ratelimit", ...names].map((name) => [
      name,
      { $ref: `#/components/headers/${name}` },
    ]),
  );
}

// ---- Schemas --------------------------------------------------------------------------------------------------------

const converted = { input: new WeakMap<z.ZodType, Schema>(), output: new WeakMap<z.ZodType, Schema>() };

/** Converted once: the schema of problems stands in each refusal, an answer in each status. */
function jsonSchema(schema: z.ZodType, io: "input" | "output"): Schema {
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
      // JSON Schema's integer has no size, and generators for typed languages take 32 bits.
      if (found.type === "integer") found.format = (found.maximum ?? Infinity) < 2 ** 31 ? "int32" : "int64";
    },
  });
  return json as Schema;
}

/** Of the examples of its members. */
function exampleOf(schema: Schema): unknown {
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
