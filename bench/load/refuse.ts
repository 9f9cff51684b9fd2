/**
 * What a refusal costs: requests at a sold-out coupon, against a route that answers the same bytes without asking anything,
 * without and with the token check.
 */
import { withCleanup } from "../harness/cleanup.ts";
import { startService } from "../harness/service.ts";
import { createCoupon, grantsOf } from "../harness/tables.ts";
import { createShots } from "../harness/tokens.ts";
import { answerOf, startPeer } from "../peers/start.ts";
import { createVerdict, type Findings, type Say } from "../report/result.ts";
import { faultsOf, fire } from "./closed-loop.ts";
import { CEILING, OURS, throughputOf } from "./measures.ts";
import { createPace, inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface RefuseOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  connections: readonly number[];
  /** About how long each volley takes, ms. */
  volley: number;
}

export const refuse: Scenario<RefuseOptions> = {
  name: "refuse",
  about: "sold-out refusals against a hello route that parses the same JSON and answers the same bytes",
  defaults: { rounds: 5, connections: [64, 256], volley: 1_000 },
  quick: { rounds: 2, connections: [64], volley: 200 },
  run,
};

const USERS = 20_000;
const COUNT = 5;

function run({ rounds, connections, volley }: RefuseOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    say("starting the service and its peers");
    const service = await startService(USERS);
    later(service.stop);
    const { admin } = service.database;
    const couponId = await createCoupon(admin, "sold-out", 0, COUNT);
    await admin`
      select count(*) from issue_coupons(${couponId}::bigint, array(select n from generate_series(1, ${COUNT}::bigint) n))`;
    const shotOf = createShots(service.secret, USERS);
    const answer = await answerOf(service.url, shotOf(USERS, couponId));

    const options = { secret: service.secret, answer };
    const peers = await Promise.all(
      (["hello", "hello-token", "bare"] as const).map(async (peer) => {
        const process = await startPeer(peer, options);
        later(process.stop);
        return process.url;
      }),
    );
    const [hello, helloToken, bare] = peers as [string, string, string];
    const contenders = connections.flatMap((n) =>
      [
        { name: OURS, url: service.url },
        { name: "hello", url: hello },
        { name: "hello with token check", url: helloToken },
        { name: CEILING, url: bare },
      ].map((contender) => ({ ...contender, connections: n })),
    );

    const verdict = createVerdict();
    verdict.equal("the answer that all repeat", (answer.body as { outcome?: string }).outcome, "sold_out");
    const pace = createPace(volley, 2_000, USERS - COUNT);
    let refused = 0;
    const measured = await inTurn(
      contenders,
      rounds,
      async (contender) => {
        const requests = pace.requests(contender, contender.connections);
        let soldOut = 0;
        const result = await fire(
          contender.url,
          requests,
          contender.connections,
          // The holders would be answered with their grants.
          (index) => shotOf(COUNT + 1 + index, couponId),
          {
            onAnswer(_, { status, body }) {
              if (status === 409 && body.includes('"sold_out"')) soldOut += 1;
            },
          },
        );
        pace.was(contender, result.perSecond);
        const who = `${contender.name}, ${contender.connections} connections`;
        verdict.equal(`refusals by ${who}`, soldOut, requests);
        verdict.failures.push(...faultsOf(who, requests, 409, result));
        if (contender.name === OURS) {
          refused += requests;
          const { rows, issued } = await grantsOf(admin, couponId);
          verdict.equal("rows", rows, COUNT);
          verdict.equal("coupons.issued", issued, COUNT);
        }
        return result;
      },
      say,
    );
    await verdict.reconciles(admin);
    verdict.checks.push(
      `each of ${refused} requests refused as sold out, ${COUNT} rows before and after, reconcile() empty`,
    );

    return {
      ...throughputOf(measured, "refuse"),
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [],
    };
  });
}
