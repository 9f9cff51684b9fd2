/** The bars that the service has to clear: ratios of medians inside one run, on two cores with the generator beside. */
import type { Headline } from "../report/result.ts";

interface Bar {
  scenario: string;
  /** The name of the headline that it is set for. */
  headline: string;
  /** Of a ratio the least, of a size the most, that clears it. */
  bar: number;
  stretch: number;
  isAtMost: boolean;
}

export type Verdict = "PASS, stretch" | "PASS" | "MISS";

export const bars: readonly Bar[] = [
  ...[64, 256].flatMap((n) => [
    atLeast("refuse", `refuse / hello, ${n} connections`, 0.95, 1.2),
    atLeast("refuse", `refuse / node:http constant, ${n} connections`, 0.65, 0.8),
  ]),
  atLeast("tokens", "RS256 / HS256, never seen", 0.75, 0.9),
  ...["ES256", "EdDSA"].map((name) => atLeast("tokens", `${name} / HS256, never seen`, 0.5, 0.7)),
  ...["RS256", "ES256", "EdDSA"].map((name) => atLeast("tokens", `${name} / HS256, seen before`, 0.95, 1)),
  atMost("tokens", "memory of 250,000 known tokens", 30, 20),
  ...(
    [
      [64, 0.7, 0.9, 1.2, 1.5],
      [256, 0.9, 1, 1.3, 1.7],
      [1_000, 0.95, 1.1, 1.4, 2],
    ] as const
  ).flatMap(([n, hello, helloStretch, redis, redisStretch]) => [
    atLeast("grant", `grant / hello, ${n} connections`, hello, helloStretch),
    atLeast("grant", `grant / Redis, appendonly everysec, ${n} connections`, redis, redisStretch),
    atLeast("grant", `grant / Redis, appendonly always, ${n} connections`, redis, redisStretch),
    atLeast("grant", `grant / for update, ${n} connections`, 8, 20),
  ]),
  atLeast("sql", "issue_coupons / bare insert, batches of 10", 0.75, 0.9),
  atLeast("sql", "issue_coupons / bare insert, batches of 100", 0.95, 1),
  atLeast("sql", "issue_coupons / bare insert, batches of 1,000", 1, 1.1),
  ...["15", "16", "17"].map((major) =>
    atLeast("versions", `PostgreSQL ${major} / 18, batches of 1,000`, 0.8, 0.9),
  ),
  ...["15", "16", "17", "18"].map((major) =>
    atMost("versions", `10,000 users in one batch, PostgreSQL ${major}`, 500, 350),
  ),
  atLeast("growth", "10,000,000 earlier grants and users / none, issue_coupons at 500", 0.9, 1),
  atLeast("growth", "10,000,000 earlier grants and users / none, service", 0.9, 1),
  atLeast("overload", "goodput at 5 times capacity / peak", 0.9, 1),
  ...["16 ended coupons", "284 ended coupons", "wallets", "statistics"].flatMap((attack) => [
    atLeast("crowd", `refusals beside ${attack} / undisturbed`, 0.9, 0.97),
    atLeast("crowd", `grants beside ${attack} / undisturbed`, 0.9, 0.97),
  ]),
  atLeast("crowd", "refusals beside 284 ended coupons / 500 refusals", 0.9, 0.97),
  atLeast("crowd", "grants beside 284 ended coupons / 500 refusals", 0.9, 0.97),
  atLeast("crowd", "refusals beside a claim held in psql / undisturbed", 0.9, 0.97),
  atMost("crowd", "uses that failed", 0, 0),
  atMost("crowd", "answers of /readyz other than 200", 0, 0),
  ...["refusals", "grants"].map((kind) =>
    atLeast("retire", `${kind} beside ./sd retire / undisturbed`, 0.95, 0.98),
  ),
  atMost("retire", "one of 10,000,000 users forgotten", 50, 10),
  atMost("retire", "one of 10,000,000 users forgotten, the slowest", 50, 20),
  ...[64, 256].map((n) => atLeast("look", `read / node:http constant, ${n} connections`, 0.9, 1)),
  ...[64, 256].map((n) =>
    atLeast("look", `CPU of a node:http constant / of a read, ${n} connections`, 0.9, 1),
  ),
  atLeast("look", "grants beside 10,000 pages that watch / beside none", 0.9, 0.97),
  atMost("look", "how far the last of 10,000 pages was behind", 2_000, 1_500),
  atMost("look", "memory of the server, 10,000 pages that watch", 300, 200),
  // One each half second, by server and coupon.
  atMost("servers", "questions for leases a second and server, for a coupon that is sold out", 2, 2),
  // One each second of the database's clock in which somebody asked, whichever coupons: the first and the last of five are parts.
  atMost("servers", "calls that count who asked, a second and server", 1.2, 1.2),
  atMost("servers", "statements of a server, refusals at the high rate / at the low rate", 1.1, 1.05),
  atMost("servers", "statements of a server, refusals with many users / with few", 1.1, 1.05),
  atMost("servers", "statements of each of 4 servers / of one, refusals", 1.1, 1.05),
  atMost("open", "memory of the server, 10,000 connections open and waiting", 300, 150),
  atMost("start", "cold start, to the first answer", 1_500, 800),
  atMost("start", "memory of a server at rest", 70, 50),
  atMost("open", "memory of the server, at its peak while it answers 10,000", 300, 150),
];

/** The bar of a headline, if it has one, and whether it is cleared. */
export function judge(
  scenario: string,
  { name, value }: Headline,
): { bar: Bar; verdict: Verdict } | undefined {
  const bar = bars.find((candidate) => candidate.scenario === scenario && candidate.headline === name);
  if (!bar) return undefined;
  const clears = (limit: number) => (bar.isAtMost ? value <= limit : value >= limit);
  return { bar, verdict: clears(bar.stretch) ? "PASS, stretch" : clears(bar.bar) ? "PASS" : "MISS" };
}

function atLeast(scenario: string, headline: string, bar: number, stretch: number): Bar {
  return { scenario, headline, bar, stretch, isAtMost: false };
}

function atMost(scenario: string, headline: string, bar: number, stretch: number): Bar {
  return { scenario, headline, bar, stretch, isAtMost: true };
}
