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
 * @param {unknown} value
 * @returns {value is string}
 */
export const isText = (value) => typeof value === "string";

/**
 * Whoever answers in the service's place has problems of other kinds: of those, what has the right kind is told.
 * @param {Response} response
 * @param {Record<string, unknown> | undefined} problem
 */
export function toError({ status, headers }, problem = {}) {
  const { outcome, detail, errors, request_id } = problem;
  return new CouponError(
    isText(outcome) ? outcome : "unexpected_answer",
    isText(detail) ? detail : `HTTP ${status} without a problem`,
    {
      status,
      ...(isText(request_id) && { request_id }),
      errors: Array.isArray(errors) ? errors.filter((one) => isText(one?.member) && isText(one.detail)) : [],
      retryAfter: retryAfter(headers),
    },
  );
}

/**
 * Retry-After in seconds. The service says seconds; a proxy in its place may name a time, parts of a second, or a wait of its own beside the
 * service's: then the first counts.
 * @param {Headers} headers
 * @returns {number | undefined}
 */
function retryAfter(headers) {
  const given = headers.get("retry-after") ?? "";
  const [, seconds] = given.match(/^(\d+(?:\.\d+)?) *(?:,|$)/) ?? [];
  if (seconds !== undefined) return Number(seconds);
  const until = timeOf(given) - timeOf(headers.get("date") ?? new Date().toUTCString());
  return Number.isFinite(until) ? Math.max(0, until / 1000) : undefined;
}

/**
 * One of HTTP's three forms of a date ends with the year, and means GMT too (RFC 9110, 5.6.7).
 * @param {string} date
 */
const timeOf = (date) => Date.parse(/ \d{4}$/.test(date) ? `${date} GMT` : date);
