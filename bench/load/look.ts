/**
 * What looking costs: reads of the live coupons without a token, against node:http that answers as many bytes; and pages that watch, with
 * grants beside them.
 */
import { withCleanup } from "../harness/cleanup.ts";
import { snapshot, total } from "../harness/cpu.ts";
import { type Service, startService } from "../harness/service.ts";
import { percentile } from "../harness/stats.ts";
import { createCoupon, emptyTables, grantsOf } from "../harness/tables.ts";
import { createShots, type Shot } from "../harness/tokens.ts";
import { answerOf, startPeer } from "../peers/start.ts";
import { createVerdict, type Findings, type Measure, type Say, type Verdict } from "../report/result.ts";
import { faultsOf, fire, type Volley } from "./closed-loop.ts";
import { figuresOf, groupOf } from "./measures.ts";
import { requireOpenFiles } from "./open.ts";
import { createPace, inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import { startWatchers, type Watched } from "./watchers.ts";

interface LookOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  connections: readonly number[];
  /** About how long each volley of reads takes, ms. */
  volley: number;
  watchers: number;
  /** Of a volley beside the watchers. */
  grants: number;
}

export const look: Scenario<LookOptions> = {
  name: "look",
  about:
    "reads of the live coupons without a token against node:http, and pages that watch with grants beside them",
  defaults: { rounds: 5, connections: [64, 256], volley: 1_000, watchers: 10_000, grants: 20_000 },
  quick: { rounds: 1, connections: [64], volley: 200, watchers: 200, grants: 500 },
  run,
};

const LIVE: Shot = { method: "GET", path: "/coupons/live", headers: {}, body: "" };
const GRANTING = 64;

type Costing = Volley & { cpu: number };

async function run(options: LookOptions, say: Say): Promise<Findings> {
  requireOpenFiles(options.watchers + 400);
  const verdict = createVerdict();
  const reads = await withCleanup((later) => readInTurn(options, say, verdict, later));
  const watched = await withCleanup((later) => grantBesides(options, say, verdict, later));
  const { checks, failures } = verdict;
  return {
    measures: [...reads.measures, ...watched.measures],
    headlines: [...reads.headlines, ...watched.headlines],
    checks,
    failures,
    notes: [
      "The process that reads the events has the same two cores, and costs about as much as writing them.",
    ],
  };
}

type Later = (end: () => Promise<unknown>) => void;
type Part = Pick<Findings, "measures" | "headlines">;

async function readInTurn(
  { rounds, connections, volley }: LookOptions,
  say: Say,
  verdict: Verdict,
  later: Later,
): Promise<Part> {
  say("starting the service and node:http");
  const service = await startService(1);
  later(service.stop);
  for (const n of [1, 2, 3]) await createCoupon(service.database.admin, `look-${n}`, 0, n);
  const answer = await answerOf(service.url, { ...LIVE, body: undefined as unknown as string });
  const constant = await startPeer("bare", { secret: service.secret, answer });
  later(constant.stop);
  const contenders = connections.flatMap((n) =>
    [
      { name: "this service", ...service },
      { name: "node:http that answers a constant", ...constant },
    ].map(({ name, url, pid }) => ({ name, url, pid, connections: n })),
  );
  const pace = createPace(volley, 2_000, 1_000_000);
  let read = 0;
  const measured = await inTurn(
    contenders,
    rounds,
    (contender) =>
      pace.volley(contender, contender.connections, async (requests): Promise<Costing> => {
        const before = await snapshot(contender.pid);
        const result = await fire(contender.url, requests, contender.connections, () => LIVE);
        const used = total(before, await snapshot(contender.pid));
        verdict.failures.push(...faultsOf(contender.name, requests, 200, result));
        read += requests;
        return { ...result, cpu: (used * 1e6) / requests };
      }),
    say,
  );
  verdict.checks.push(`each of ${read} reads answered 200`);
  const measures = [...measured].map(([{ name, connections }, volleys]) => ({
    group: `reads, ${groupOf(connections)}`,
    name,
    figures: figuresOf(volleys, {
      "answers a second": ({ perSecond }) => perSecond,
      "CPU µs": ({ cpu }) => cpu,
      "p99 ms": ({ latency }) => latency.p99,
    }),
  }));
  const of = (at: number, figure: string) => measures[at]?.figures[figure]?.[0] ?? Number.NaN;
  return {
    measures,
    headlines: connections.flatMap((n, i) => [
      {
        name: `read / node:http constant, ${groupOf(n)}`,
        value: of(2 * i, "answers a second") / of(2 * i + 1, "answers a second"),
      },
      {
        name: `CPU of a node:http constant / of a read, ${groupOf(n)}`,
        value: of(2 * i + 1, "CPU µs") / of(2 * i, "CPU µs"),
      },
    ]),
  };
}

/** Two services, since it takes long to come and go: one is watched, the other is not. */
async function grantBesides(
  { rounds, watchers, grants }: LookOptions,
  say: Say,
  verdict: Verdict,
  later: Later,
): Promise<Part> {
  const many = watchers.toLocaleString("en");
  const [watched, alone] = [await startService(grants), await startService(grants)] as const;
  for (const { stop } of [watched, alone]) later(stop);
  say(`${many} pages begin to watch`);
  const pages = await startWatchers(watched.url, watchers);
  later(pages.close);
  const seen: Watched[] = [];
  const contenders = [
    { name: `beside ${many} pages that watch`, service: watched },
    { name: "beside none", service: alone },
  ];
  const measured = await inTurn(
    contenders,
    rounds,
    async ({ name, service }, round) => {
      const isWatched = service === watched;
      if (isWatched) pages.reset();
      const result = await grantAll(service, grants, name, verdict);
      if (isWatched && round > 0) seen.push(await pages.report());
      return result;
    },
    say,
  );
  for (const { open } of seen) verdict.equal("pages that watch", open, watchers);
  verdict.checks.push(`no stream of ${many} was closed, and each volley left ${grants} rows`);
  const memory = await watched.memory();
  const measures: Measure[] = [...measured].map(([{ name }, volleys]) => ({
    group: "grants",
    name,
    figures: figuresOf(volleys, {
      "answers a second": ({ perSecond }) => perSecond,
      "p99 ms": ({ latency }) => latency.p99,
    }),
  }));
  const pagesOf = {
    group: "watching",
    name: `${many} pages`,
    figures: figuresOf(seen, {
      "events a volley": ({ events }) => events,
      "behind p50 ms": ({ behind }) => percentile(behind, 0.5),
      "behind max ms": ({ behind }) => behind.at(-1) ?? 0,
    }),
  };
  const rate = (at: number) => measures[at]?.figures["answers a second"]?.[0] ?? Number.NaN;
  return {
    measures: [...measures, pagesOf],
    headlines: [
      { name: `grants beside ${many} pages that watch / beside none`, value: rate(0) / rate(1) },
      {
        name: `how far the last of ${many} pages was behind`,
        value: Math.max(...seen.map(({ behind }) => behind.at(-1) ?? 0)),
        unit: "ms",
      },
      ...(Number.isFinite(memory)
        ? [{ name: `memory of the server, ${many} pages that watch`, value: memory, unit: "MB" }]
        : []),
    ],
  };
}

async function grantAll(service: Service, grants: number, name: string, verdict: Verdict): Promise<Volley> {
  const { admin, owner } = service.database;
  await emptyTables(owner);
  const couponId = await createCoupon(admin, "grant", 0, 1_000_000);
  const shotOf = createShots(service.secret, grants);
  const volley = await fire(service.url, grants, GRANTING, (index) => shotOf(index + 1, couponId));
  verdict.failures.push(...faultsOf(name, grants, 201, volley));
  verdict.equal(`rows ${name}`, (await grantsOf(admin, couponId)).rows, grants);
  return volley;
}
