/**
 * What a token costs: refusals at a sold-out coupon, each with a token that the server has never seen, or with tokens that it has seen
 * before, by each algorithm. And the memory of a quarter of a million tokens that are known.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { withCleanup } from "../harness/cleanup.ts";
import { snapshot, total } from "../harness/cpu.ts";
import { newDatabase, newSecret, startServer } from "../harness/service.ts";
import { ALGORITHMS, createSigner } from "../harness/signers.ts";
import { addUsers, createCoupon, grantsOf } from "../harness/tables.ts";
import { issueShot } from "../harness/tokens.ts";
import { createVerdict, type Findings, type Headline, type Say } from "../report/result.ts";
import { faultsOf, fire } from "./closed-loop.ts";
import { figuresOf, medianOf } from "./measures.ts";
import { createPace, inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface TokensOptions {
  [name: string]: number;
  rounds: number;
  connections: number;
  /** About how long each volley takes, ms. */
  volley: number;
  /** How many tokens are known when their memory is measured. */
  known: number;
}

export const tokens: Scenario<TokensOptions> = {
  name: "tokens",
  about: "refusals with tokens of each algorithm, never seen and seen before; memory of those that are known",
  defaults: { rounds: 5, connections: 64, volley: 1_000, known: 250_000 },
  quick: { rounds: 1, volley: 100, known: 10_000 },
  run,
};

/** Users of fresh tokens, so many that none meets its rate limit. */
const USERS = 20_000;
/** Tokens that come again; the first volley, which warms up, sends all of them. */
const SEEN = 2_000;
const MOST = 50_000;
const KNOWN_MEMORY = fileURLToPath(new URL("known-memory.ts", import.meta.url));

interface Contender {
  algorithm: (typeof ALGORITHMS)[number];
  isSeen: boolean;
  url: string;
  pid: number;
  /** So many tokens for a volley. */
  tokens(count: number): string[];
}

function run({ rounds, connections, volley, known }: TokensOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    say(`knowing ${known} tokens`);
    const megabytes = await memoryOf(known);
    const verdict = createVerdict();
    const database = await newDatabase();
    later(database.drop);
    await addUsers(database, 1, 1);
    const couponId = await createCoupon(database.admin, "sold-out", 0, 1);
    await database.admin`select outcome from issue_coupon(1::bigint, ${couponId}::bigint)`;
    say("starting a service for each algorithm");
    const contenders: Contender[] = [];
    for (const algorithm of ALGORITHMS) {
      const { settings, token } = createSigner(algorithm, newSecret());
      const { url, pid, stop } = await startServer(database.apiUrl, settings);
      later(stop);
      // User 1 would be answered with its grant.
      const fresh = (count: number) => Array.from({ length: count }, (_, i) => token(2 + (i % USERS)));
      const seen = fresh(SEEN);
      const again = (count: number) => Array.from({ length: count }, (_, i) => seen[i % SEEN] as string);
      contenders.push({ algorithm, isSeen: false, url, pid, tokens: fresh });
      contenders.push({ algorithm, isSeen: true, url, pid, tokens: again });
    }

    const pace = createPace(volley, SEEN, MOST);
    let refused = 0;
    const measured = await inTurn(
      contenders,
      rounds,
      (contender) =>
        pace.volley(contender, connections, async (requests) => {
          const given = contender.tokens(requests);
          const before = await snapshot(contender.pid);
          const result = await fire(contender.url, requests, connections, (i) =>
            issueShot(given[i] as string, couponId),
          );
          const used = total(before, await snapshot(contender.pid));
          verdict.failures.push(...faultsOf(nameOf(contender), requests, 409, result));
          refused += requests;
          return { perSecond: result.perSecond, cpu: (used * 1e6) / requests };
        }),
      say,
    );
    const { rows, issued } = await grantsOf(database.admin, couponId);
    verdict.equal("rows", rows, 1);
    verdict.equal("coupons.issued", issued, 1);
    await verdict.reconciles(database.admin);
    verdict.checks.push(`each of ${refused} requests refused, one row before and after, reconcile() empty`);

    const measures = [...measured].map(([contender, volleys]) => ({
      group: "",
      name: nameOf(contender),
      figures: figuresOf(volleys, {
        "refusals a second": ({ perSecond }) => perSecond,
        "CPU of the server, µs each": ({ cpu }) => cpu,
      }),
    }));
    const rateOf = (name: string) => medianOf(measures, { group: "", name }, "refusals a second");
    return {
      measures,
      headlines: [
        ...ratiosOf(rateOf),
        { name: `memory of ${known.toLocaleString("en")} known tokens`, value: megabytes, unit: "MB" },
      ],
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [],
    };
  });
}

const NEVER = "never seen";
const BEFORE = "seen before";

function nameOf({ algorithm, isSeen }: Pick<Contender, "algorithm" | "isSeen">): string {
  return `${algorithm}, ${isSeen ? BEFORE : NEVER}`;
}

function ratiosOf(rateOf: (name: string) => number): Headline[] {
  return [NEVER, BEFORE].flatMap((when) =>
    ALGORITHMS.slice(1).map((algorithm) => ({
      name: `${algorithm} / HS256, ${when}`,
      value: rateOf(`${algorithm}, ${when}`) / rateOf(`HS256, ${when}`),
    })),
  );
}

/** See known-memory.ts. */
async function memoryOf(count: number): Promise<number> {
  const args = ["--expose-gc", ...TYPESCRIPT, KNOWN_MEMORY, String(count)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
}
