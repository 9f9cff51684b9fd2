/** The types of the client's package, made of the API's document: no reader of a package has zod, which the contract's own types need. */
import { openApi } from "../../server/api/openapi.ts";
import type { Schema } from "../../server/api/openapi-schemas.ts";

interface Content {
  schema: Schema & { $ref?: string; $defs?: { item: Schema } };
}

interface Described {
  operationId: string;
  summary: string;
  description?: string;
  parameters: {
    $ref?: string;
    name: string;
    in: string;
    required: boolean;
    description?: string;
    schema: Schema;
  }[];
  requestBody?: { content: Record<string, Content> };
  responses: Record<string, { $ref?: string; content?: Record<string, Content> }>;
}

interface Document {
  paths: Record<string, Record<string, Described>>;
  components: { schemas: Record<string, Schema> };
}

/** Statuses with which a command answers one of its outcomes; with another it has a problem that is none. */
const OF_COMMANDS = ["200", "201", "404", "409"];

/** What the package has beside the operations, as in client.js and client-error.js. */
const HEAD = `/** Made of the API's document: UPDATE_README=1 ./sd test server/public/package.test.ts writes it. */

export interface Options {
  /** Where the service is; in a browser the page's own origin. */
  baseUrl?: string | undefined;
  /** The bearer token, or what gives one; none for who only looks. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** Another one than the platform's. */
  fetch?: typeof globalThis.fetch | undefined;
  /** How often a request is sent at most. 5 */
  attempts?: number | undefined;
  /** How long one attempt may take, ms. 15000 */
  attemptMs?: number | undefined;
}

/** Sends requests again where that is right, after 503, 429 and lost connections, and never where the answer was final. */
export function couponClient(options?: Options): CouponClient;

/** Why a call has no result. */
export class CouponError extends Error {
  constructor(
    outcome: string,
    detail: string,
    problem?: {
      status?: number;
      request_id?: string;
      errors?: { member: string; detail: string }[];
      retryAfter?: number | undefined;
    },
    options?: { cause?: unknown },
  );
  /** As in the problem; connection_lost when there was no answer, unexpected_answer when it was not the service's. */
  outcome: string;
  detail: string;
  /** The HTTP status; 0 when there was no answer. */
  status: number;
  requestId: string | undefined;
  /** Which members of the request are wrong. */
  errors: { member: string; detail: string }[];
  /** Seconds to wait before sending the request again, if the service says so. */
  retryAfter: number | undefined;
}

export interface How {
  /** Ends the call, or the stream: it throws the signal's reason. */
  signal?: AbortSignal | undefined;
}
`;

const ABOUT = `A method for each operation. Of a command each outcome is a result, refusals too; for all else it throws a CouponError. A stream yields
 * for ever, over lost connections, until its signal is aborted or the loop is left. A list of any length is its CSV.`;

/** The text of the file. */
export function declarations(): string {
  const { paths, components } = openApi() as unknown as Document;
  const types = createTypes(components.schemas, {
    Problem: problemOf(components.schemas),
    Coupon: components.schemas["Coupon"] as Schema,
  });
  const methods: string[] = [];
  for (const [path, operations] of Object.entries(paths))
    for (const [method, operation] of Object.entries(operations)) {
      const { operationId, summary, description = "", requestBody } = operation;
      if (requestBody?.content["application/x-ndjson"]) continue; // for scripts, which send a file
      const route = `${method.toUpperCase()} ${path}`;
      methods.push(
        comment(`${summary}. ${description.replaceAll("\n\n", " ")} \`${route}\``),
        `  ${operationId}: ${signatureOf(operation, requestOf(operation, components.schemas), types)};`,
      );
    }
  return [
    HEAD,
    `/**\n * ${ABOUT}\n */\nexport interface CouponClient {`,
    ...methods,
    "  /** The service's time as far as its answers tell it, ms since 1970. */\n  serverNow: () => number;\n}\n",
    [...types.declared.values()].join("\n"),
  ].join("\n");
}

function signatureOf(operation: Described, request: Schema, types: Types): string {
  const { operationId, responses } = operation;
  const name = `${operationId.slice(0, 1).toUpperCase()}${operationId.slice(1)}`;
  const hasMembers = Object.keys(request.properties ?? {}).length > 0;
  if (hasMembers) types.declare(`${name}Request`, request, " | undefined");
  const sign = request.required?.length ? "" : "?";
  const asked = `request${sign}: ${hasMembers ? `${name}Request` : "object"}, how?: How`;
  const [, { content = {} } = {}] = Object.entries(responses)[0] ?? [];
  if (content["text/csv"]) return `(${asked}) => Promise<Blob>`;
  const item = content["text/event-stream"]?.schema.$defs?.item;
  if (item) return `(${hasMembers ? asked : "how?: How"}) => AsyncGenerator<${types.of(item)}, void>`;
  const results = OF_COMMANDS.flatMap((status) =>
    Object.values(responses[status]?.content ?? {}).map(({ schema }) => types.of(schema)),
  );
  if (results.length === 1) return `(${asked}) => Promise<${results[0]}>`;
  types.declared.set(`${name}Result`, `export type ${name}Result =\n  | ${results.join("\n  | ")};\n`);
  return `(${asked}) => Promise<${name}Result>`;
}

/** All members of a request, wherever they go. */
function requestOf({ parameters, requestBody }: Described, schemas: Record<string, Schema>): Schema {
  const given = parameters.filter(({ $ref }) => $ref === undefined); // others are headers
  const body = requestBody && schemas[nameIn(requestBody.content["application/json"]?.schema as Schema)];
  const members = given.map(({ name, description, schema }) => [
    name,
    { ...schema, ...(description && { description }) },
  ]);
  const required = given.filter((parameter) => parameter.required).map(({ name }) => name);
  return {
    properties: { ...Object.fromEntries(members), ...body?.properties },
    required: [...required, ...(body?.required ?? [])],
  };
}

const isRequired = ({ required = [] }: Schema, key: string) => required.includes(key);

/** Whether it has all members of the base, and must have what the base must. That their types fit, the compiler checks. */
function extendsIt(schema: Schema, base: Schema): boolean {
  return Object.keys(base.properties ?? {}).every(
    (key) => schema.properties?.[key] !== undefined && isRequired(schema, key) === isRequired(base, key),
  );
}

type Types = ReturnType<typeof createTypes>;

const KINDS: Record<string, string> = {
  ...{ integer: "number", number: "number", string: "string", boolean: "boolean", null: "null" },
};

/** What all problems have, in any of their statuses and outcomes. */
function problemOf({ InternalError }: Record<string, Schema>): Schema {
  const { properties, ...rest } = InternalError as Schema;
  return { ...rest, properties: { ...properties, status: { type: "integer" }, outcome: { type: "string" } } };
}

/** The types that were asked for, and those that they are made of. One that has every member of a base extends it. */
function createTypes(schemas: Record<string, Schema>, bases: Readonly<Record<string, Schema>>) {
  const declared = new Map<string, string>();

  /** What may be left out of a request may be undefined too; an answer just has not got it. */
  function declare(name: string, schema: Schema, absent = ""): void {
    declared.set(name, ""); // its place, before those that it is made of
    const { properties = {} } = schema;
    const base = Object.keys(bases).find(
      (other) => other !== name && extendsIt(schema, bases[other] as Schema),
    );
    if (base !== undefined && !declared.has(base)) declare(base, bases[base] as Schema, absent);
    const inherited = base === undefined ? {} : ((bases[base] as Schema).properties ?? {});
    const members = Object.entries(properties)
      .filter(([key, member]) => JSON.stringify(member) !== JSON.stringify(inherited[key]))
      .flatMap(([key, member]) => {
        const [sign, or] = isRequired(schema, key) ? ["", ""] : ["?", absent];
        return [comment(member["description"]), `  ${key}${sign}: ${of(member, absent)}${or};`];
      });
    const head = base === undefined ? name : `${name} extends ${base}`;
    declared.set(name, `export interface ${head} {\n${members.filter(Boolean).join("\n")}\n}\n`);
  }

  function of(schema: Schema, absent = ""): string {
    const { $ref, const: constant, enum: values, anyOf, items, type, additionalProperties } = schema;
    const inside = (other: unknown) => of(other as Schema, absent);
    if ($ref) {
      const name = nameIn(schema);
      if (!declared.has(name)) declare(name, schemas[name] as Schema, absent);
      return name;
    }
    if (constant !== undefined) return JSON.stringify(constant);
    if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(" | ");
    if (Array.isArray(anyOf)) return anyOf.map(inside).join(" | ");
    if (Array.isArray(type)) return type.map((each) => inside({ ...schema, type: each })).join(" | ");
    if (items) return `(${inside(items)})[]`.replace(/^\((\w+)\)/, "$1");
    const isKnown = Object.keys(additionalProperties ?? {}).length > 0;
    if (type === "object") return `Record<string, ${isKnown ? inside(additionalProperties) : "unknown"}>`;
    const kind = KINDS[type as string];
    if (kind === undefined) throw new Error(`no type for ${JSON.stringify(schema)}`);
    return kind;
  }

  return { declared, declare, of };
}

function nameIn(schema: Schema): string {
  return (schema["$ref"] as string).replace("#/components/schemas/", "");
}

function comment(text: unknown): string {
  return text ? `  /** ${`${text}`.trim()} */` : "";
}
