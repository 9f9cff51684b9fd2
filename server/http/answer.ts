/** Answers: a status, headers and a text. The success of a command is JSON, everything else application/problem+json (RFC 9457). */
import { STATUS_CODES } from "node:http";
import { answerOf, type Command, type Outcome, outcomes } from "../api/outcomes.ts";
import type { ProblemMembers } from "./problem.ts";

export interface Sent {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** The answer for the result of a command, with the status of its outcome. A refusal becomes a problem with the members that are not null. */
export function commandAnswer<C extends Command>(
  command: C,
  result: { outcome: Outcome<C> } & Record<string, unknown>,
  requestId: string,
): Sent {
  const { status, detail } = answerOf(command, result.outcome);
  if (status < 300) return success(status, JSON.stringify(result), requestId);
  const members: ProblemMembers = { outcome: result.outcome, detail };
  for (const name in result) if (result[name] !== null) members[name] = result[name];
  return problem(status, members, requestId);
}

interface Issue {
  outcome: Outcome<"issue_coupon">;
  user_id: number;
  /** Seconds until the start, with not_started. */
  starts_in: number | null;
  /** With sold_out: since when, and how many seconds after the start. */
  sold_out_at: string | null;
  time_to_sell_out: number | null;
}

/** How the problem of each outcome begins, for everybody: most answers of a drop are refusals, and differ in numbers only. */
const beginnings = Object.fromEntries(
  Object.entries(outcomes.issue_coupon).map(([outcome, { status, detail }]) => [
    outcome,
    JSON.stringify({ title: STATUS_CODES[status], status, outcome, detail }).slice(0, -1),
  ]),
);

/** The answer to a request to issue, as commandAnswer() would make it. */
export function issueAnswer(coupon_id: number, issue: Issue, requestId: string): Sent {
  const { outcome, user_id, starts_in, sold_out_at, time_to_sell_out } = issue;
  const { status } = outcomes.issue_coupon[outcome];
  if (status < 300) {
    const { outcome: _, starts_in: __, sold_out_at: ___, time_to_sell_out: ____, ...rest } = issue;
    return success(status, JSON.stringify({ outcome, coupon_id, ...rest }), requestId);
  }
  const why =
    sold_out_at !== null
      ? `,"sold_out_at":"${sold_out_at}","time_to_sell_out":${time_to_sell_out}`
      : starts_in !== null
        ? `,"starts_in":${starts_in}`
        : "";
  const text = `${beginnings[outcome]},"coupon_id":${coupon_id},"user_id":${user_id}${why},"request_id":"${requestId}"}`;
  return { status, headers: problemHeaders(status, starts_in ?? undefined, requestId), text };
}

export function success(status: number, text: string, requestId: string): Sent {
  return { status, headers: { "content-type": "application/json", "x-request-id": requestId }, text };
}

export function problem(
  status: number,
  { retryAfter, tokenError, ...members }: ProblemMembers,
  requestId: string,
): Sent {
  const body = { title: STATUS_CODES[status], status, ...members, request_id: requestId };
  const headers = problemHeaders(status, retryAfter, requestId);
  if (tokenError !== undefined) headers["www-authenticate"] += `, error="${tokenError}"`;
  return { status, headers, text: JSON.stringify(body) };
}

function problemHeaders(status: number, retryAfter: number | undefined, requestId: string) {
  const headers: Record<string, string> = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-request-id": requestId,
  };
  if (retryAfter !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfter)));
  if (status === 401) headers["www-authenticate"] = 'Bearer realm="coupons"';
  return headers;
}
