/** One volley at one side: what it was answered, what it cost, and what it left in the database. */
import { setTimeout as sleep } from "node:timers/promises";
import { withCleanup } from "../harness/cleanup.ts";
import { between, hasProc, total } from "../harness/cpu.ts";
import { createCoupon, emptyTables, grantsOf, settled } from "../harness/tables.ts";
import { issueShot } from "../harness/tokens.ts";
import type { Generator } from "../load/generator.ts";
import { answerOf } from "../peers/start.ts";
import type { Verdict } from "../report/result.ts";
import type { Side } from "./side.ts";

/** By name and unit. */
export type Figures = Record<string, number>;

export const RATE = "answers a second";

export interface Kind {
  name: "burst" | "refuse" | "grant";
  connections: readonly number[];
  /** Units of the coupon. */
  count: number;
  /** Its state when the first request comes. What is upcoming goes live after a quarter: a volley may be faster than the last one. */
  at: "upcoming" | "sold_out" | "live";
}

export const kinds: readonly Kind[] = [
  { name: "burst", connections: [250], count: 25, at: "upcoming" },
  { name: "refuse", connections: [64, 256], count: 1, at: "sold_out" },
  { name: "grant", connections: [64, 256, 1_000], count: 1_000_000, at: "live" },
];

/** From when an upcoming coupon is made to the first request, s: tokens are signed meanwhile. */
const LEAD_S = 4;

export interface Volley {
  kind: Kind;
  connections: number;
  seconds: number;
  lastRate: number | undefined;
}

/** Who asks: tokens that nobody has seen, each by another user within a volley; the winner is not among these users. */
export interface Crowd {
  users: number;
  fresh(count: number): string[];
  winner: string;
}

/** Measures one volley. */
export async function measure(
  side: Side,
  { kind, connections, seconds, lastRate }: Volley,
  generator: Generator,
  { users, fresh, winner }: Crowd,
  verdict: Verdict,
): Promise<Figures> {
  const { owner, url } = side;
  await emptyTables(owner);
  const { tokens, told, found, before, after } = await withCleanup(async (later) => {
    for (const begin of side.beside) await begin(later);
    const begun = performance.now();
    // How long the first volley takes nobody knows.
    const startsIn = kind.at === "upcoming" ? LEAD_S + (lastRate === undefined ? 0 : seconds / 4) : 0;
    const couponId = await createCoupon(owner, kind.name, startsIn, kind.count);
    if (kind.at === "sold_out") await takeTheLast(url, winner, couponId);
    const tokens = fresh(Math.min(users, generator.tokens(lastRate, seconds, connections)));
    if (kind.at === "upcoming") await sleep(begun + LEAD_S * 1_000 - performance.now());
    const before = await side.cpu();
    const told = await generator.volley({ url, couponId, connections, seconds, tokens });
    const found = await settled(() => grantsOf(owner, couponId));
    return { tokens, told, found, before, after: await side.cpu() };
  });
  const { answers, refused, failed, perSecond, p50, p99 } = told;
  const { rows, last, issued } = found;

  const who = `${kind.name} by ${side.name}, ${connections} connections`;
  verdict.equal(`${who}: failed requests`, failed, 0);
  verdict.expect(!told.ranOut, `${who}: ${answers} answers to ${tokens.length} tokens, some came twice`);
  const granted = kind.at === "sold_out" ? 0 : Math.min(kind.count, answers);
  verdict.equal(`${who}: refusals`, refused, answers - granted);
  const isFew = kind.count < answers;
  const [least, most] = isFew
    ? [kind.count, kind.count]
    : [answers, answers + generator.openAtEnd(connections)];
  verdict.expect(rows >= least && rows <= most, `${who}: ${rows} rows, not ${least} to ${most}`);
  verdict.equal(`${who}: last position`, last, rows);
  verdict.equal(`${who}: coupons.issued`, issued, rows);

  const work = isFew ? answers : rows;
  const postgresql = between(before.postgresql, after.postgresql, (command) =>
    command.startsWith(`postgres: ${side.login} `),
  );
  const server = total(before.server, after.server);
  const microseconds = (cpu: number) => (cpu * 1e6) / work;
  return {
    [RATE]: perSecond,
    ...(hasProc && {
      "CPU of all, µs each": microseconds(server + postgresql.mine + postgresql.others),
      "CPU of the server, µs each": microseconds(server),
      "CPU of its backends, µs each": microseconds(postgresql.mine),
      "CPU of PostgreSQL otherwise, µs each": microseconds(postgresql.others),
    }),
    "p50 ms": p50,
    "p99 ms": p99,
  };
}

async function takeTheLast(url: string, winner: string, couponId: number): Promise<void> {
  const { status, body } = await answerOf(url, issueShot(winner, couponId));
  if (status !== 201) throw new Error(`the only unit was not granted: ${status} ${JSON.stringify(body)}`);
}
