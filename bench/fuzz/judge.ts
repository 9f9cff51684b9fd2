/**
 * What an answer must be, whatever was asked: documented; a refusal where the request is wrong by the document or the contract, or where its
 * caller may not; no failure of ours; and nothing told that isn't the caller's to know.
 */
import assert from "node:assert/strict";
import { getPath } from "hono/utils/url";
import { problem } from "../../server/api/answers.ts";
import { contract, MAX_BODY, type Operation } from "../../server/api/contract.ts";
import { parseExact, repeatsMember } from "../../server/api/exact.ts";
import { failures } from "../../server/api/failures.ts";
import { outcomes } from "../../server/api/outcomes.ts";
import { nothing } from "../../server/api/requests.ts";
import { LIMITS } from "../../server/http/wire.ts";
import { pages } from "../../server/routes/pages.ts";
import type { Answer } from "../harness/app.ts";
import { assertDocumented, validatorOf } from "../harness/documented.ts";
import type { Asked } from "./requests.ts";
import { type Schema, type Target, targets } from "./targets.ts";
import type { Json } from "./values.ts";

/** The longest that a request may take, in ms. A change waits a second for leases, and some changes wait for each other. */
export const MAX_MS = 10_000;

/** What an operation's template looks like as a pattern; those without parameters go first, as in the router. */
const patterns = targets
  .map((target) => ({
    target,
    pattern: new RegExp(`^${target.template.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`),
  }))
  .sort((a, b) => a.target.template.split("{").length - b.target.template.split("{").length);

interface Routed {
  target: Target;
  path: Record<string, string>;
}

/** Which operation a request reaches; undefined: none. */
export function routeOf(method: string, url: string): Routed | undefined {
  const path = getPath(new Request(url));
  const verb = method === "HEAD" ? "GET" : method;
  for (const { target, pattern } of patterns) {
    const found = target.method === verb ? pattern.exec(path) : null;
    if (found) return { target, path: { ...found.groups } };
  }
  return undefined;
}

/** Why this request must be refused, and with which status if there is but one; undefined: its shape and its caller are right. */
export function refusalOf(
  asked: Asked,
  url: string,
  { target, path }: Routed,
): { why: string; status?: number } | undefined {
  const { operation, parameters, body: schema } = target;
  const { roles, isOffer }: Operation = operation;
  const { caller } = asked;
  const mayLook = isOffer && caller.as === "nobody" && caller.forged === undefined;
  if (roles && caller.as === "nobody" && !mayLook) return { why: "no right token", status: 401 };
  if (roles && caller.as !== "nobody" && !roles.includes(caller.as))
    return { why: "not its role", status: 403 };

  const ofPath = Object.fromEntries(Object.entries(path).map(([name, value]) => [name, decoded(value)]));
  const byName = new Map<string, string[]>();
  for (const [name, value] of new URL(url).searchParams) {
    if (name === "") continue; // "?=": nothing was said
    const values = byName.get(name) ?? [];
    values.push(value);
    byName.set(name, values);
  }
  const ofQuery = Object.fromEntries(
    [...byName].map(([name, values]): [string, string | string[] | undefined] => [
      name,
      values.length === 1 ? values[0] : values,
    ]),
  );
  for (const { name, in: where, required, schema: wanted } of parameters) {
    if (where === "header") continue;
    const value = (where === "path" ? ofPath : ofQuery)[name];
    if (value === undefined ? required : !isA(wanted, value))
      return { why: `${where} ${name} by the document` };
  }
  if (operation.path && !operation.path.safeParse(ofPath).success) return { why: "path by the contract" };
  if ((operation.query || roles) && !isDecodable(new URL(url).search))
    return { why: "query by its encoding" };
  const wantedQuery = operation.query ?? (roles ? nothing : undefined);
  if (wantedQuery && !wantedQuery.safeParse(ofQuery).success) return { why: "query by the contract" };

  if (operation.lines)
    return isMedia(asked.headers, /^application\/x-ndjson *(;|$)/i)
      ? undefined
      : { why: "type", status: 415 };
  if (caller.as === "user" && "user_id" in ofPath && Number(ofPath["user_id"]) !== caller.user_id)
    return { why: "another user" };
  if (!operation.body || !schema) return undefined;
  const { body = "" } = asked;
  let given: Json = {};
  if (body !== "") {
    if (Buffer.byteLength(body) > (operation.maxBody ?? MAX_BODY)) return { why: "size", status: 413 };
    if (!isMedia(asked.headers, /^application\/json *(;|$)/i)) return { why: "type", status: 415 };
    const text = body.toWellFormed().replace(/^\ufeff/, "");
    try {
      given = parseExact(text) as Json;
    } catch {
      return { why: "no JSON", status: 400 };
    }
    if (repeatsMember(text, given)) return { why: "a member twice", status: 400 };
  }
  if (!validatorOf(schema)(given)) return { why: "body by the document", status: 400 };
  if (!operation.body.safeParse(given).success) return { why: "body by the contract", status: 400 };
  const { user_id } = given as { user_id?: number };
  if (roles && caller.as === "user" && user_id !== undefined && user_id !== caller.user_id)
    return { why: "another user", status: 403 };
  return undefined;
}

function isMedia(
  { "content-type": type = "", "content-encoding": encoding = "identity" }: Asked["headers"],
  wanted: RegExp,
): boolean {
  const [, charset = "utf-8"] = type.match(/; *charset *= *"?([^"; ]*)/i) ?? [];
  return wanted.test(type) && /^utf-?8$/i.test(charset) && /^(identity)?$/i.test(encoding);
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** Whether the text of a parameter is one of this schema. */
function isA(schema: Schema, value: string | string[]): boolean {
  const read =
    ["integer", "number"].includes(schema.type ?? "") &&
    typeof value === "string" &&
    /^-?\d+(\.\d+)?$/.test(value)
      ? Number(value)
      : value;
  return validatorOf(schema)(read);
}

/** The statuses at paths that are no operation's. */
const ELSEWHERE = new Set([200, 304, 404]);

interface Judged {
  /** "POST /coupons/{coupon_id}/issue", or what there is at the path instead. */
  route: string;
  /** Of a command, "issue_coupon sold_out". */
  outcome: string | undefined;
  /** Why it had to be refused. */
  refused: string | undefined;
}

/** Throws on an answer that must not be. `said` is all of it, as text. */
export function judge(
  asked: Asked,
  url: string,
  answer: Answer,
  said: string,
  ms: number,
  secrets: readonly string[],
): Judged {
  const { status } = answer;
  const { method } = asked;
  const where = `${method} ${url} ${status}`;
  assert.ok(status < 500, `${where}: a failure of ours: ${said.slice(0, 500)}`);
  assert.ok(ms < MAX_MS, `${where}: took ${ms.toFixed()} ms`);
  for (const secret of secrets) assert.ok(!said.includes(secret), `${where}: tells a secret`);
  if (method === "OPTIONS" && asked.headers["access-control-request-method"] !== undefined) {
    assert.equal(status, 204);
    return { route: "preflight", outcome: undefined, refused: undefined };
  }
  assert.ok(answer.headers.get("x-request-id"), `${where}: without x-request-id`);
  if (status >= 400 && method !== "HEAD") assertProblem(where, answer);
  // Before anybody looks for its route.
  if (status === 431) {
    assert.ok(headOf(asked, url).length > LIMITS.headBytes, `${where}: its head is not too large`);
    return { route: "a head", outcome: undefined, refused: "size" };
  }
  const routed = routeOf(method, url);
  if (routed === undefined) {
    const path = getPath(new Request(url));
    const isOurs = (method === "GET" || method === "HEAD") && (path in pages || path === "/metrics");
    assert.ok(ELSEWHERE.has(status) || (path === "/metrics" && status === 401), where);
    if (!isOurs) {
      assert.equal(status, 404, where);
      if (method !== "HEAD") assert.equal(answer.body.outcome, "no_such_route", where);
    }
    return { route: isOurs ? "a page" : "no route", outcome: undefined, refused: undefined };
  }

  const { operation, template, name } = routed.target;
  const route = `${routed.target.method} ${template}`;
  if (method !== "HEAD") assertDocumented(method, template.replace(/\{\w+\}/g, "1"), answer);
  const refusal = refusalOf(asked, url, routed);
  if (refusal) {
    assert.ok(status >= 400, `${where}: must be refused: ${refusal.why}: ${said.slice(0, 500)}`);
    if (refusal.status)
      assert.equal(status, refusal.status, `${where}: ${refusal.why}: ${said.slice(0, 500)}`);
  } else {
    // SQL has rules of its own for values: 400 by its word. Whoever guesses codes has to wait. Nothing else may stand against it.
    const without = operation.command
      ? [200, 201, 304, 400, 404, 409, ...(operation.command.endsWith("_claim") ? [429] : [])]
      : [200, 304, 400, 404, ...(operation.columns ? [406] : [])];
    assert.ok(without.includes(status), `${where}: nothing was wrong with it: ${said.slice(0, 500)}`);
  }
  const isLines = answer.headers.get("content-type") === "application/x-ndjson";
  if (isLines && status === 200 && method !== "HEAD") assertLines(where, asked, routed.target, answer.body);
  const told = (answer.body as { outcome?: string } | null)?.outcome;
  const outcome =
    operation.command && told && told in outcomes[operation.command]
      ? `${operation.command} ${told}`
      : undefined;
  assert.ok(name in contract);
  return { route, outcome, refused: refusal?.why };
}

const sentences = new Set<string>(
  [...Object.values(failures), ...Object.values(outcomes).flatMap((each) => Object.values(each))].map(
    ({ detail }) => detail,
  ),
);
/** How sentences about a member begin: ours in server/api and coupon.refuse_argument()'s, and no others. */
const ABOUT_A_MEMBER =
  /^(must (be|have|lie|not)|is (needed|not a member of this request)|goes with role|or code must)/;
const GENERAL = new Set([
  "CSV takes HTTP/1.1. There are lines (application/x-ndjson).",
  "This takes the metrics token.",
  "The bearer token is not valid.",
  "A user acts for itself only.",
  "Too many codes from this caller were none; nothing was done. Send the request again later.",
  "The body is not valid JSON.",
  "An object in the body has a member twice.",
  "The body must be application/json.",
  "The body must be application/x-ndjson.",
  "The body is not UTF-8.",
  "The head of the request is too large.",
  "The body must not be compressed or encoded otherwise.",
  "The charset of the body must be utf-8.",
]);

/** What must not be in any sentence of ours: SQL, PostgreSQL's words, names of constraints, places in the code. */
const OURS =
  /\b(select|insert into|update \w+ set|from coupon\.|pg_\w+|plpgsql|sqlstate|constraint|violates|relation "|column "|syntax error|out of range for type|invalid input|node_modules|at \S+ \(|[\w/]+\.(ts|js|sql):\d+|file:\/\/|postgres|coupons?_\w+_\w+|ZodError|TypeError|undefined|\[object)/i;

/** Its first lines, as far as Node counts them. */
function headOf({ method, headers }: Asked, url: string): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${url}\r\n${lines.join("")}`;
}

/** A problem as RFC 9457 has it, whose words are all of our own choice. */
function assertProblem(where: string, { status, headers, body }: Answer): void {
  assert.equal(headers.get("content-type"), "application/problem+json", where);
  assert.equal(body.status, status, where);
  const { detail, errors = [] } = problem.partial().loose().parse(body);
  assert.ok(detail, where);
  assertSentence(where, detail, errors?.[0]);
  for (const error of errors ?? []) assertSentence(where, error.detail);
}

/** A sentence as we write them; what comes before "member: " is the caller's own word. */
function assertSentence(where: string, detail: string, error?: { member: string; detail: string }): void {
  const own =
    error && detail.endsWith(error.detail) ? error.detail : detail.replace(/^the (request|line): /, "");
  const isKnown =
    sentences.has(own) ||
    GENERAL.has(own) ||
    ABOUT_A_MEMBER.test(own) ||
    /^(This takes the role [a-z ]+|The token of a till \(scope use\) may use a claim code, and undo that)\.$/.test(
      own,
    ) ||
    /^The body must have at most \d+ bytes\.$/.test(own);
  assert.ok(isKnown, `${where}: not a sentence of ours: ${detail}`);
  assert.ok(!OURS.test(own), `${where}: tells of our insides: ${detail}`);
}

/** A list that was told to its end; and of an import a line for each that was sent, invalid where it is. */
function assertLines(
  where: string,
  asked: Asked,
  target: Target,
  lines: { outcome?: string; detail?: string; line?: number }[],
): void {
  assert.equal(lines.at(-1)?.outcome, "done", `${where}: ${JSON.stringify(lines.at(-1))}`);
  if (!target.line) return;
  for (const { detail } of lines)
    if (detail !== undefined) assertSentence(where, detail.replace(/^[\s\S]*?: (?=must|is )/, ""));
  const given = (asked.body ?? "")
    .toWellFormed()
    .replace(/^\ufeff/, "")
    .split("\n");
  for (const { line, outcome } of lines.slice(0, -1)) {
    const text = given[(line ?? 0) - 1] ?? "";
    let isRight = Buffer.byteLength(text) <= 4096;
    try {
      isRight &&= validatorOf(target.line)(JSON.parse(text));
    } catch {
      isRight = false;
    }
    if (!isRight) assert.equal(outcome, "invalid", `${where}: line ${line}: ${text.slice(0, 200)}`);
  }
}
