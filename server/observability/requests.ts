/** Counts requests by route, method and status. Each label has few values, whatever clients send. */
import { createSeries, SECONDS, type Series } from "./series.ts";

/** Any other method is counted as "other", because clients can invent methods. */
const METHODS = ["GET", "HEAD", "POST"];

/** Requests by route template, method and status: `requests.of("POST", "/coupons/{coupon_id}/issue")(201, 12.5)`. */
export function createRequests() {
  type Told = (status: number, ms: number) => void;
  const told = new Map<string, Told>();
  const all: Series[] = [];

  function of(given: string, route: string): Told {
    const method = METHODS.includes(given) ? given : "other";
    const known = told.get(`${method} ${route}`);
    if (known) return known;
    const byStatus = new Map<number, Series>();
    const tell: Told = (status, ms) => {
      let series = byStatus.get(status);
      if (!series) {
        series = createSeries(SECONDS, { route, method, status });
        byStatus.set(status, series);
        all.push(series);
      }
      series.add(ms / 1000);
    };
    told.set(`${method} ${route}`, tell);
    return tell;
  }

  return { of, all: (): readonly Series[] => all };
}
