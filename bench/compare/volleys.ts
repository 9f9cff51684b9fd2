/** One volley at one side: what it was answered, what it cost, and what it left in the database. */
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
  name: "refuse" | "grant";
  connections: readonly number[];
  count: number;
  /** What every request is answered with. */
  isRefused: boolean;
}

export const kinds: readonly Kind[] = [
  { name: "refuse", connections: [64, 256], count: 1, isRefused: true },
  { name: "grant", connections: [64, 256, 1_000], count: 1_000_000, isRefused: false },
];

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
    const beside = await Promise.all(side.beside.map((begin) => begin(later)));
    const couponId = await createCoupon(owner, kind.name, 0, kind.count);
    if (kind.isRefused) await takeTheLast(url, winner, couponId);
    const tokens = fresh(Math.min(users, generator.tokens(lastRate, seconds, connections)));
    await Promise.all(beside.map(({ isThere }) => isThere));
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
  verdict.equal(`${who}: refusals`, refused, kind.isRefused ? answers : 0);
  const [least, most] = kind.isRefused ? [1, 1] : [answers, answers + generator.openAtEnd(connections)];
  verdict.expect(rows >= least && rows <= most, `${who}: ${rows} rows, not ${least} to ${most}`);
  verdict.equal(`${who}: last position`, last, rows);
  verdict.equal(`${who}: coupons.issued`, issued, rows);

  const work = kind.isRefused ? answers : rows;
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
