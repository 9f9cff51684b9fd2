/** The answers of the OpenAPI document, by status: of each operation its own, of all of them the failures. */
import { STATUS_CODES } from "node:http";
import { problem } from "./answers.ts";
import type { Operation } from "./contract.ts";
import { failures } from "./failures.ts";
import { exampleOf, type Json, jsonSchema, type Named, nameOf, type Schema } from "./openapi-schemas.ts";
import { outcomes } from "./outcomes.ts";

export const headers = {
  "x-request-id": {
    description: "The x-request-id of the request, or a new one.",
    schema: { type: "string" },
  },
  traceparent: {
    description:
      "Only if the server exports a span of the request (W3C Trace Context): its trace, and that span.",
    schema: { type: "string" },
  },
  ratelimit: {
    description: "For users: r more requests may follow at once; if r is 0, the next one after t seconds.",
    schema: { type: "string" },
  },
  "retry-after": {
    description: "Seconds to wait before sending the request again.",
    schema: { type: "integer", format: "int32", minimum: 1 },
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
    schema: { type: "integer", format: "int32", minimum: 0 },
  },
  "x-accel-buffering": {
    description: "no: it keeps nginx from buffering events.",
    schema: { type: "string" },
  },
  deprecation: {
    description: "Since when the operation is deprecated (RFC 9745): @ and the seconds since 1970.",
    schema: { type: "string" },
  },
  sunset: {
    description: "From when on the operation may be gone (RFC 8594).",
    schema: { type: "string" },
  },
  "www-authenticate": { description: "The kind of token that is needed.", schema: { type: "string" } },
} as const;

/** What an answer has that can be cached. */
const OF_LOOKS = ["etag", "cache-control", "x-age-ms"] as const;

export function isLook({ isOffer, stream }: Operation): boolean {
  return isOffer === true && stream === undefined;
}

/** One outcome of an operation with its status. */
interface Ending {
  outcome: string | undefined;
  status: number;
  detail: string;
}

/** An answer that several operations have, by its name. */
export type Common = Map<string, Json>;

/** The answers of an operation, whose schemas are called after it; those that others have too are in `common`. */
export function responsesOf(name: string, operation: Operation, named: Named, common: Common): Json {
  const { deprecated } = operation;
  if (!deprecated) return answersOf(name, operation, named, common);
  // Every answer says it, so none is as other operations have it.
  const added = headersOf("deprecation", ...(deprecated.sunset ? (["sunset"] as const) : []));
  const answers = answersOf(name, operation, named) as Record<string, { headers: Json }>;
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => [
      status,
      { ...answer, headers: { ...answer.headers, ...added } },
    ]),
  );
}

function answersOf(name: string, operation: Operation, named: Named, common?: Common): Json {
  const byStatus = new Map<number, Ending[]>();
  for (const ending of [...commandEndings(operation), ...otherEndings(operation)])
    byStatus.set(ending.status, [...(byStatus.get(ending.status) ?? []), ending]);
  const statuses = [...byStatus].sort(([a], [b]) => a - b);
  return Object.fromEntries(
    statuses.map(([status, endings]) => {
      if (status < 300) return [status, success(name, operation, endings, named)];
      if (endings.some(({ outcome }) => isOfCommand(operation, outcome)))
        return [status, refusal(`${name}${wordOf(status)}`, operation, endings, named)];
      const shared = commonNameOf(endings);
      const answer = (as: string) => (status === 304 ? NOT_MODIFIED : refusal(as, {}, endings, named));
      // What this one answers besides is its own.
      if (endings.length > 1 && endings.some(({ outcome }) => outcome && operation.problems?.[outcome]))
        return [status, answer(name + shared)];
      if (common === undefined) return [status, answer(shared)];
      if (!common.has(shared)) common.set(shared, answer(shared));
      return [status, { $ref: `#/components/responses/${shared}` }];
    }),
  );
}

const wordOf = (status: number) => nameOf(STATUS_CODES[status] as string);

/** The name of an outcome that has its own status, or that of the status. */
function commonNameOf([first, ...more]: Ending[]): string {
  const { outcome, status } = first as Ending;
  const isItsOwn = more.length === 0 && failures[outcome as keyof typeof failures]?.status === status;
  return isItsOwn ? nameOf(outcome as string) : wordOf(status);
}

function isOfCommand({ command }: Operation, outcome: string | undefined): boolean {
  return command !== undefined && outcome !== undefined && outcome in outcomes[command];
}

function commandEndings({ command }: Operation): Ending[] {
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
  if (!operation.asksNothing)
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

const NOT_MODIFIED = {
  description: "The body is the one with this ETag.",
  headers: headersOf(...OF_LOOKS),
};

function success(name: string, operation: Operation, endings: Ending[], named: Named): Json {
  const { command, answer, stream } = operation;
  const members = jsonSchema(answer, "output");
  if (stream) return streamed(name, operation, members, named);
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
  const word = command ? wordOf(endings[0]?.status as number) : "Answer";
  return {
    description: endings
      .map(({ outcome, detail }) => (outcome ? `\`${outcome}\`: ${detail}` : detail))
      .join("\n\n"),
    headers: headersOf(...(isLook(operation) ? OF_LOOKS : [])),
    content: { "application/json": { schema: named(`${name}${word}`, schema, name), ...examples } },
  };
}

/** A problem, with those members of the command that are known by then. */
function refusal(name: string, { answer }: Partial<Operation>, endings: Ending[], named: Named): Json {
  const base = jsonSchema(problem, "output");
  const { status } = endings[0] as Ending;
  const names = endings.map(({ outcome }) => outcome as string);
  const schema: Schema = {
    ...base,
    properties: {
      ...base.properties,
      status: { const: status },
      outcome: { type: "string", enum: names },
      ...(answer && jsonSchema(answer, "output").properties),
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
        schema: named(name, schema),
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

// ---- Streams --------------------------------------------------------------------------------------------------------

/** OpenAPI 3.1 has no word for what a stream is made of, so its form is told in words, and an item stands in $defs. 3.2 has itemSchema. */
function streamed(name: string, operation: Operation, item: Schema, named: Named): Json {
  const { stream, columns } = operation;
  const example = exampleOf(item) as Json;
  const made =
    stream === "text/event-stream"
      ? mediaOf(eventForm(operation), eventExample(operation, example), named(`${name}Event`, item, name))
      : lineMedia(example, named(`${name}Line`, item, name));
  return {
    description: "It was read.",
    headers: headersOf("cache-control", "x-accel-buffering"),
    content: { [stream as string]: made, ...(columns ? { "text/csv": csv(columns, example) } : {}) },
  };
}

/** A text, and what each of its events or lines is. */
function mediaOf(description: string, example: string, item: Json): Json {
  return { schema: { type: "string", description, $defs: { item } }, example };
}

function eventForm({ event }: Operation): string {
  return (
    `Server-Sent Events (WHATWG HTML, 9.2): each is ${event ? `a line "event: ${event}"` : 'a line "id: " with its id'}, a line "data: " with ` +
    'JSON as $defs/item says, and an empty line. First comes "retry: 1000", and a line ":" after 15 s without an event.'
  );
}

function eventExample({ event }: Operation, data: Json): string {
  return `${event ? `event: ${event}` : `id: ${data["id"]}`}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Lines of JSON (NDJSON), of a request or an answer. */
export function lineMedia(example: unknown, item: Json): Json {
  const form = "Lines that end with a line feed, each a JSON object as $defs/item says (NDJSON), in UTF-8.";
  return mediaOf(form, `${JSON.stringify(example)}\n`, item);
}

function csv(columns: readonly string[], row: Json): Json {
  const lines = [columns, columns.map((name) => row[name])].map((cells) => `${cells.join(",")}\r\n`);
  const description =
    `CSV (RFC 4180) in UTF-8: a header line, then a line for each row, with ${columns.join(", ")}. What is missing is an empty cell. ` +
    "There is no last line.";
  return { schema: { type: "string", description }, example: lines.join("") };
}
