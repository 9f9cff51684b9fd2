/** What makes a request wrong: one change of its path, its query, its body, its headers or its caller. */
import fc from "fast-check";
import { anybody, type Caller } from "./callers.ts";
import { HEADER_NAMES, HEADERS, JSON_PIECES, QUERIES, SEGMENTS, TARGETS, TYPES } from "./edges.ts";
import type { Target } from "./targets.ts";
import { hostileJson, hostileNumber, hostileText, hostileTime, type Json } from "./values.ts";

export type Change =
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

const at = fc.nat({ max: 30 });
const to = fc.oneof(hostileJson, hostileTime, hostileNumber);

const ofPath = fc.record({
  change: fc.constant("path" as const),
  to: fc.oneof(fc.constantFrom(...SEGMENTS), hostileText.map(encoded)),
});
const ofQuery = fc.record({
  change: fc.constant("query" as const),
  at,
  how: fc.constantFrom("replace", "replace", "repeat", "extra", "drop"),
  to,
});
const ofRawQuery = fc.record({ change: fc.constant("query-raw" as const), to: fc.constantFrom(...QUERIES) });
const ofBody = fc.record({
  change: fc.constant("body" as const),
  at,
  how: fc.constantFrom("replace", "replace", "replace", "drop", "extra", "proto"),
  to,
});
const ofText = fc.record({
  change: fc.constant("text" as const),
  at: fc.nat({ max: 300 }),
  how: fc.constantFrom(...TEXT_CHANGES),
  to: fc.oneof(hostileText, fc.constantFrom(...JSON_PIECES)),
});
const ofCaller = fc.record({ change: fc.constant("caller" as const), to: anybody });
const ofMethod = fc.record({
  change: fc.constant("method" as const),
  to: fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"),
});
const ofTarget = fc.record({
  change: fc.constant("target" as const),
  to: fc.oneof(
    fc.constantFrom(...TARGETS),
    hostileText.map((text) => `/${encoded(text)}`),
  ),
});
/** What a header can be through fetch(): bytes that are no control characters. */
const ofHeader = fc.record({
  change: fc.constant("header" as const),
  name: fc.constantFrom(...HEADER_NAMES),
  to: fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom(...HEADERS)),
});
const ofType = fc.record({
  change: fc.constant("header" as const),
  name: fc.constant("content-type"),
  to: fc.constantFrom(...TYPES),
});

/** Mostly of the body, where the operation has one. */
export function changeOf({ template, body, line }: Target): fc.Arbitrary<Change> {
  const hasBody = body !== undefined || line !== undefined;
  return fc.oneof(
    { weight: template.includes("{") ? 4 : 0, arbitrary: ofPath },
    { weight: 3, arbitrary: ofQuery },
    { weight: 2, arbitrary: ofRawQuery },
    { weight: hasBody ? 12 : 1, arbitrary: ofBody },
    { weight: hasBody ? 4 : 1, arbitrary: ofText },
    { weight: 2, arbitrary: ofCaller },
    { weight: 1, arbitrary: ofMethod },
    { weight: 1, arbitrary: ofTarget },
    { weight: 2, arbitrary: ofHeader },
    { weight: 1, arbitrary: ofType },
  );
}

/** In a URL; half a pair of surrogates as the bytes that a careless encoder writes. */
export function encoded(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : "%ED%A0%80";
}
