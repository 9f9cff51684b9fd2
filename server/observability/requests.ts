/**
 * Counts requests by route, method and status. Each label has few values, whatever clients send. Labels and bounds are those of
 * OpenTelemetry's http.server.request.duration (semantic conventions 1.23 and later, stable).
 */
import type { Count } from "../http/exchange.ts";
import { createSeries, type Series } from "./series.ts";

/** s. The convention's, and two below them: most answers of a burst take a few milliseconds. */
const BOUNDS = [
  ...[0.001, 0.0025],
  ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
];

/** Those of RFC 9110, and PATCH. Any other one is "_OTHER", because clients can invent methods. */
export const METHODS = ["GET", "POST", "HEAD", "CONNECT", "DELETE", "OPTIONS", "PATCH", "PUT", "TRACE"];

/** Requests by method, route template (if one matches) and status: `requests.of("POST", "/coupons/{coupon_id}/issue")(201, 12.5)`. */
export function createRequests() {
  const told = new Map<string, Count>();
  const all: Series[] = [];

  function of(given: string, route?: string): Count {
    const method = METHODS.includes(given) ? given : "_OTHER";
    const known = told.get(`${method} ${route}`);
    if (known) return known;
    const byStatus = new Map<number, Series>();
    const tell = (status: number, ms: number) => {
      let series = byStatus.get(status);
      if (!series) {
        series = createSeries(BOUNDS, {
          http_request_method: method,
          http_response_status_code: status,
          ...(route === undefined ? {} : { http_route: route }),
          url_scheme: "http",
          ...(status >= 500 ? { error_type: status } : {}),
        });
        byStatus.set(status, series);
        all.push(series);
      }
      series.add(ms / 1000);
    };
    const withRoute = Object.assign(tell, { route });
    told.set(`${method} ${route}`, withRoute);
    return withRoute;
  }

  return { of, all: (): readonly Series[] => all };
}
