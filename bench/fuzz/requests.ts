/** Requests to the operations of the contract: right ones, by their schemas, and ones that a change or three made wrong. */
import fc from "fast-check";
import { allowed } from "./allowed.ts";
import { applyTo, type Parts, rewritten, textOf } from "./apply.ts";
import type { Caller } from "./callers.ts";
import { type Change, changeOf, encoded } from "./changes.ts";
import { type Target, targets } from "./targets.ts";
import { type Json, userId } from "./values.ts";

export interface Asked {
  method: string;
  /** Path and query, as it is sent. */
  target: string;
  caller: Caller;
  headers: Record<string, string>;
  body: string | undefined;
}

/** A request to this operation: as it should be, or half of the time changed. */
function requestTo(target: Target): fc.Arbitrary<Asked> {
  const { operation, body, line } = target;
  const bodies: fc.Arbitrary<Json | undefined> = body
    ? allowed(body)
    : line
      ? fc.array(allowed(line), { maxLength: 12 })
      : fc.constant(undefined);
  return fc
    .record({
      role: fc.constantFrom(...(operation.roles ?? ["user" as const])),
      user_id: userId,
      path: parametersOf(target, "path"),
      query: parametersOf(target, "query"),
      body: bodies,
      accept: fc.constantFrom(
        "",
        "*/*",
        "text/csv",
        "text/csv;q=0.5, */*;q=0.1",
        "application/json",
        ';;q="',
      ),
      changes: fc.tuple(fc.boolean(), fc.array(changeOf(target), { minLength: 1, maxLength: 3 })),
    })
    .map(({ role, user_id, path, query, body: given, accept, changes: [isRight, wrong] }) => {
      const caller: Caller = role === "user" ? { as: "user", user_id } : { as: role };
      speaksFor(caller, user_id, target, path, given);
      const type = line ? "application/x-ndjson" : "application/json";
      const parts: Parts = {
        caller,
        path,
        query: Object.entries(query).map(([name, value]) => [name, textOf(value)]),
        body: given,
        headers: {
          ...(given === undefined ? {} : { "content-type": type }),
          ...(operation.columns && accept ? { accept } : {}),
        },
      };
      const changes = isRight ? [] : wrong;
      for (const each of changes) applyTo(parts, each);
      return written(target, parts, changes);
    });
}

function parametersOf({ parameters }: Target, where: "path" | "query"): fc.Arbitrary<Record<string, Json>> {
  const these = parameters.filter((each) => each.in === where);
  return fc.record(Object.fromEntries(these.map(({ name, schema }) => [name, allowed(schema, name)])), {
    requiredKeys: these.filter(({ required }) => required).map(({ name }) => name),
  }) as fc.Arbitrary<Record<string, Json>>;
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

/** As it is sent. Changes of what is written stand in the place of what the parts would give. */
function written({ method, template, line }: Target, parts: Parts, changes: readonly Change[]): Asked {
  const instead = (kind: "path" | "query-raw" | "method" | "target"): string | undefined => {
    for (const each of changes) if (each.change === kind) return each.to as string;
    return undefined;
  };
  const path = template.replace(
    /\{(\w+)\}/g,
    (_, name) => instead("path") ?? encoded(textOf(parts.path[name] as Json)),
  );
  const search = parts.query.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  let body = parts.body === undefined ? "" : JSON.stringify(parts.body);
  if (line && Array.isArray(parts.body))
    body = parts.body.map((each) => `${JSON.stringify(each)}\n`).join("");
  for (const each of changes) if (each.change === "text") body = rewritten(body, each);
  // The adapter refuses a second byte order mark; Node's own Request takes it away like the first, so that none is sent.
  body = body.replace(/^\ufeff+/, "\ufeff");
  const verb = instead("method") ?? method;
  return {
    method: verb,
    target: instead("target") ?? path + (instead("query-raw") ?? (search && `?${search}`)),
    caller: parts.caller,
    headers: parts.headers,
    body: verb === "GET" || verb === "HEAD" || body === "" ? undefined : body,
  };
}

/**
 * Streams last, and read more: fewer of them. A change of a coupon waits until its leases have run out; a new start is asked for as often
 * as a claim, since most are refused, for their times or their day.
 */
const weightOf = ({ operation: { stream, command } }: Target) =>
  stream ? 1 : command && !/^(create|issue|use|undo|set_coupon_start)/.test(command) ? 3 : 15;

export const request: fc.Arbitrary<Asked> = fc.oneof(
  ...targets.map((target) => ({ weight: weightOf(target), arbitrary: requestTo(target) })),
);
