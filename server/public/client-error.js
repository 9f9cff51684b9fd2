/** Why a call of the client has no result, and how an answer of the service says it. */

/** Why a call has no result. */
export class CouponError extends Error {
  /**
   * @param {string} outcome As in the problem; connection_lost when there was no answer.
   * @param {string} detail
   * @param {{ status?: number, request_id?: string, errors?: { member: string, detail: string }[] }} [problem]
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
  return new CouponError(outcome, detail, { ...problem, status: response.status });
}
