/** Why a call of the client has no result, and how an answer of the service says it. */

/** Why a call has no result. */
export class CouponError extends Error {
  /**
   * @param {string} outcome As in the problem; connection_lost when there was no answer.
   * @param {string} detail
   * @param {{ status?: number, request_id?: string, errors?: { member: string, detail: string }[], retryAfter?: number | undefined }} [problem]
   * @param {ErrorOptions} [options]
   */
  constructor(outcome, detail, problem = {}, options = {}) {
    super(`${outcome}: ${detail}`, options);
    this.name = "CouponError";
    this.outcome = outcome;
    this.detail = detail;
    /** The HTTP status; 0 when there was no answer. */
    this.status = problem.status ?? 0;
    this.requestId = problem.request_id;
    /** Which members of the request are wrong. */
    this.errors = problem.errors ?? [];
    /** Seconds to wait before sending the request again, if the service says so. */
    this.retryAfter = problem.retryAfter;
  }
}

/**
 * @param {string} text
 * @returns {Record<string, unknown> | undefined}
 */
export function parse(text) {
  try {
    const body = JSON.parse(text);
    return typeof body === "object" && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {Response} response
 * @param {Record<string, any> | undefined} problem
 */
export function toError(response, problem) {
  const { outcome = "unexpected_answer", detail = `HTTP ${response.status} without a problem` } =
    problem ?? {};
  const seconds = retryAfter(response.headers);
  return new CouponError(outcome, detail, { ...problem, status: response.status, retryAfter: seconds });
}

/**
 * Retry-After in seconds. The service says seconds; a proxy in its place may name a time.
 * @param {Headers} headers
 * @returns {number | undefined}
 */
function retryAfter(headers) {
  const given = headers.get("retry-after") ?? "";
  if (/^\d+$/.test(given)) return Number(given);
  const until = Date.parse(given) - Date.parse(headers.get("date") ?? new Date().toUTCString());
  return Number.isFinite(until) ? Math.max(0, until / 1000) : undefined;
}
