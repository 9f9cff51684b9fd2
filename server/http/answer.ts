/** Answers: a status, headers and a text. The success of a command is JSON, everything else application/problem+json (RFC 9457). */
import { STATUS_CODES } from "node:http";
import { answerOf, type Command, type Outcome } from "../api/outcomes.ts";
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
  startsIn: number | null = null,
): Sent {
  const { status, detail } = answerOf(command, result.outcome);
  if (status < 300) return success(status, JSON.stringify(result), requestId);
  const members: ProblemMembers = { outcome: result.outcome, detail };
  for (const name in result) if (result[name] !== null) members[name] = result[name];
  if (startsIn !== null) {
    members["starts_in"] = startsIn;
    members.retryAfter = startsIn;
  }
  return problem(status, members, requestId);
}

/** The answer to a request to issue; `issue` has the seconds until the start if they are known. */
export function issueAnswer(
  coupon_id: number,
  issue: { outcome: Outcome<"issue_coupon">; starts_in: number | null },
  requestId: string,
): Sent {
  const { outcome, starts_in, ...rest } = issue;
  return commandAnswer("issue_coupon", { outcome, coupon_id, ...rest }, requestId, starts_in);
}

export function success(status: number, text: string, requestId: string): Sent {
  return { status, headers: { "content-type": "application/json", "x-request-id": requestId }, text };
}

export function problem(status: number, { retryAfter, ...members }: ProblemMembers, requestId: string): Sent {
  const headers: Record<string, string> = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-request-id": requestId,
  };
  if (retryAfter !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfter)));
  if (status === 401) headers["www-authenticate"] = 'Bearer realm="coupons"';
  const body = { title: STATUS_CODES[status], status, ...members, request_id: requestId };
  return { status, headers, text: JSON.stringify(body) };
}
