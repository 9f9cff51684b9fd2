/**
 * The contract as an OpenAPI 3.1 document, made of the schemas that validate, with an example of each outcome. The rest is ours, since it is
 * what no generator knows: names, answers by outcome and status, and their examples.
 */
import type { z } from "zod";
import { SCOPES } from "./caller.ts";
import { contract, type Operation } from "./contract.ts";
import { type Common, headers, isLook, lineMedia, responsesOf } from "./openapi-answers.ts";
import { createSchemas, exampleOf, type Json, jsonSchema, type Named, nameOf } from "./openapi-schemas.ts";
import { version } from "./version.ts";

const TAGS = {
  Coupons: "For users, and for whoever acts for them: what is on offer, claim it, use it.",
  Users: "Who they are, what they hold, and the groups that they are in.",
  Operating:
    "For operators and other programs: make and change coupons, see how a drop goes, read what happened.",
} as const satisfies Record<Operation["tag"], string>;

/** What any request may bring. */
const parameters = {
  traceparent: header(
    "traceparent",
    "Its trace id is logged. Answered where the server exports a span of the request.",
  ),
  "x-request-id": header("x-request-id", "Is answered and logged; made when there is none."),
  "if-none-match": header("if-none-match", "An ETag that was answered."),
};

export function openApi(): Json {
  const paths: Record<string, Json> = {};
  const { schemas, named } = createSchemas();
  const common: Common = new Map();
  for (const [name, operation] of Object.entries<Operation>(contract)) {
    const [method = "", path = ""] = operation.route.split(" ");
    paths[path] = { ...paths[path], [method.toLowerCase()]: describe(name, operation, named, common) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "coupon-drop",
      version,
      license: { name: "MIT", identifier: "MIT" },
      description:
        "First come, first served. Every answer of a command has an `outcome`. Everything that is not a success is a problem (RFC 9457) " +
        "with the same member. 503 and 429 mean: send the same request again, after Retry-After. " +
        "404 and 409 tell what holds at that moment: later the same request may be done, as after not_started, which has Retry-After too, or paused. " +
        "Any other problem is final for this request. " +
        "Later releases may add operations, optional members of requests, members of answers, and outcomes: take one that you do not know by its status.",
    },
    servers: [{ url: "/" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
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
            "A service may be limited to scopes (issue, read, use); one that is limited to use is a till. " +
            "The security of each operation names the roles that may call it; service:read is a service whose scope is read.",
        },
      },
      schemas,
      responses: Object.fromEntries(common),
      parameters,
      headers: headersFor(paths),
    },
  };
}

/** Those that an operation has: at most times none is deprecated. */
function headersFor(paths: Json): Json {
  const isUsed = ([name]: [string, unknown]) =>
    !["deprecation", "sunset"].includes(name) || JSON.stringify(paths).includes(`headers/${name}"`);
  return Object.fromEntries(Object.entries(headers).filter(isUsed));
}

const OPEN = "No token is needed, unless PUBLIC_OFFERS is off; one that is sent must be valid.";

function describe(name: string, operation: Operation, named: Named, common: Common): Json {
  const { tag, summary, description, roles, scope, isOffer, path, query, body, lines } = operation;
  const type = nameOf(name);
  return {
    operationId: name,
    ...(operation.deprecated ? { deprecated: true } : {}),
    tags: [tag],
    summary,
    description: [
      description,
      isOffer ? OPEN : roles && `Roles: ${roles.join(", ")}.`,
      scope && `Scope: ${scope}.`,
    ]
      .filter(Boolean)
      .join("\n\n"),
    security: [...(isOffer ? [{}] : []), ...callersOf(operation).map((caller) => ({ bearer: [caller] }))],
    parameters: [
      ...parametersOf(path, "path"),
      ...parametersOf(query, "query"),
      ...(isLook(operation) ? [parameter("if-none-match")] : []),
      parameter("traceparent"),
      parameter("x-request-id"),
    ],
    ...(body ? { requestBody: requestBody(`${type}Body`, body, named) } : {}),
    ...(lines ? { requestBody: lineBody(`${type}SentLine`, lines, named) } : {}),
    responses: responsesOf(type, operation, named, common),
  };
}

/** Who may call it: any of these roles, in the words of JWT_ISSUERS. Nobody needs a token where there is none. */
function callersOf({ roles, scope }: Operation): string[] {
  const scopes = scope === "any" ? SCOPES : scope === undefined ? [] : [scope];
  return roles === null ? [] : [...roles, ...scopes.map((one) => `service:${one}`)];
}

function header(name: string, description: string): Json {
  return { name, in: "header", required: false, description, schema: { type: "string" } };
}

function parameter(name: keyof typeof parameters): Json {
  return { $ref: `#/components/parameters/${name}` };
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

function requestBody(name: string, schema: z.ZodObject, named: Named): Json {
  const json = jsonSchema(schema, "input");
  return {
    required: (json.required?.length ?? 0) > 0,
    content: { "application/json": { schema: named(name, json), example: exampleOf(json) } },
  };
}

function lineBody(name: string, schema: z.ZodObject, named: Named): Json {
  const json = jsonSchema(schema, "input");
  return {
    required: true,
    content: { "application/x-ndjson": lineMedia(exampleOf(json), named(name, json)) },
  };
}
