/**
 * What a refusal costs: requests at a sold-out coupon as a drop really is, each with a token that the server has never seen. Against
 * a route that answers the same bytes without asking anything, without and with the token check, and against a constant.
 */
import { withCleanup } from "../harness/cleanup.ts";
import { startService } from "../harness/service.ts";
import { createCoupon, grantsOf } from "../harness/tables.ts";
import { createFreshTokens, issueShot } from "../harness/tokens.ts";
import { answerOf, startPeer } from "../peers/start.ts";
import { createVerdict, type Findings, type Say } from "../report/result.ts";
import { useAutocannon } from "./generator.ts";
import { CONSTANT, OURS, SEEN, throughputOf } from "./measures.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import { fireAt, generatorsHere } from "./volley.ts";

interface RefuseOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  connections: readonly number[];
  /** About how long each volley takes, ms. */
  volley: number;
}

export const refuse: Scenario<RefuseOptions> = {
  name: "refuse",
  about:
    "sold-out refusals, tokens never seen, against a hello route that answers the same bytes and a constant",
  defaults: { rounds: 5, connections: [64, 256], volley: 1_000 },
  quick: { rounds: 1, connections: [64], volley: 200 },
  run,
};

const USERS = 20_000;
const COUNT = 5;
/** So many tokens come again in the row of those that were seen: enough users for the rate limit. */
const SEEN_TOKENS = 5_000;

function run({ rounds, connections, volley }: RefuseOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    say("starting the service and its peers");
    const service = await startService(USERS);
    later(service.stop);
    const { admin } = service.database;
    const couponId = await createCoupon(admin, "sold-out", 0, COUNT);
    await admin`
      select count(*) from issue_coupons(${couponId}::bigint, array(select n from generate_series(1, ${COUNT}::bigint) n))`;
    const fresh = createFreshTokens(
      service.secret,
      // Not the holders, who would be answered with their grants.
      Array.from({ length: USERS - COUNT }, (_, i) => COUNT + 1 + i),
    );
    const answer = await answerOf(service.url, issueShot(fresh(1)[0] as string, couponId));

    const seen = fresh(SEEN_TOKENS);
    const contenders = [
      { name: OURS, url: service.url, processes: { process: service.pid } },
      { name: SEEN, url: service.url, processes: { process: service.pid } },
    ];
    for (const [name, peer] of [
      ["hello", "hello"],
      ["hello with token check", "hello-token"],
      [CONSTANT, "bare"],
    ] as const) {
      const { url, pid, stop } = await startPeer(peer, { secret: service.secret, answer });
      later(stop);
      contenders.push({ name, url, processes: { process: pid } });
    }

    const verdict = createVerdict();
    const notes: string[] = [];
    const generators = generatorsHere((text) => notes.push(text));
    verdict.equal("the answer that all repeat", (answer.body as { outcome?: string }).outcome, "sold_out");
    const rates = new Map<unknown, number>();
    const seconds = volley / 1_000;
    let refused = 0;
    const measured = await inTurn(
      connections.flatMap((n) =>
        generators.flatMap((generator) =>
          contenders.map((contender) => ({ ...contender, connections: n, generator })),
        ),
      ),
      rounds,
      async (contender) => {
        const { name, connections, generator } = contender;
        const isOurs = name === OURS || name === SEEN;
        const to = { couponId, connections, seconds };
        const judged = { isRefused: true, verdict };
        if (name === SEEN) await fireAt(contender, { ...to, tokens: seen }, useAutocannon(), judged);
        const wanted = generator.tokens(rates.get(contender), seconds, connections);
        const tokens =
          name === SEEN
            ? Array.from({ length: wanted }, (_, i) => seen[i % SEEN_TOKENS] as string)
            : fresh(wanted);
        let soldOut = 0;
        const onAnswer = ({ body }: { body: Buffer }) => {
          if (body.includes('"sold_out"')) soldOut += 1;
        };
        const round = await fireAt(contender, { ...to, tokens, onAnswer }, generator, judged);
        rates.set(contender, round.perSecond);
        const who = `${name}, ${connections} connections, ${generator.name}`;
        verdict.expect(name === SEEN || !round.ranOut, `${who}: a token came twice`);
        if (generator.name === "autocannon") verdict.equal(`sold_out by ${who}`, soldOut, round.answers);
        if (isOurs) {
          refused += round.answers;
          const { rows, issued } = await grantsOf(admin, couponId);
          verdict.equal("rows", rows, COUNT);
          verdict.equal("coupons.issued", issued, COUNT);
        }
        return round;
      },
      say,
    );
    await verdict.reconciles(admin);
    verdict.checks.push(
      `each of ${refused} requests refused, each answer that autocannon read as sold out, ${COUNT} rows before and after, ` +
        "no token twice but in the row that says so, reconcile() empty",
    );

    return {
      ...throughputOf(measured, "refuse"),
      checks: verdict.checks,
      failures: verdict.failures,
      notes,
    };
  });
}
