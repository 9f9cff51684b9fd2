/**
 * What a batch costs on each major version of PostgreSQL: issue_coupons() at 1,000 users and at 10,000, the most that it takes. All
 * versions are npm's, of the same build and with the same settings; one session, durable commits, all in turn.
 */
import { connect, type Sql, withConnection } from "../../db/connect.ts";
import { setUp } from "../../db/setup.ts";
import { readEnv } from "../../server/env.ts";
import { withCleanup } from "../harness/cleanup.ts";
import type { ClusterServer } from "../harness/cluster.ts";
import { packageOf, startEmbeddedAnew, startNpm } from "../harness/npm-postgres.ts";
import { spread } from "../harness/stats.ts";
import { createVerdict, type Findings, type Say, Skipped } from "../report/result.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import { groupOf, insertUsers, measureIssue } from "./sql.ts";

interface VersionsOptions {
  [name: string]: number;
  rounds: number;
  /** Rows in each measured piece of batches of 1,000. */
  rows: number;
}

export const versions: Scenario<VersionsOptions> = {
  name: "versions",
  about: "what issue_coupons() costs at 1,000 and at 10,000 users on PostgreSQL 15, 16 and 17, against 18",
  defaults: { rounds: 5, rows: 20_000 },
  quick: { rounds: 1, rows: 1_000 },
  run,
};

const NEWEST = "18";
const OLDER = ["15", "16", "17"];
const BATCH = 1_000;
const MOST = 10_000;
const A_ROW = "µs a row";
const A_BATCH = "ms a batch";

interface Server {
  major: string;
  /** As it tells it. */
  version: string;
  session: Sql;
}

function run({ rounds, rows }: VersionsOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    const { DATA_DIR } = readEnv();
    for (const major of OLDER)
      await packageOf(major, DATA_DIR).catch((error: Error) => {
        throw new Skipped(`PostgreSQL ${major} is not installed: ${error.message}`);
      });
    const servers: Server[] = [];
    for (const major of [...OLDER, NEWEST]) {
      say(`PostgreSQL ${major}: starts and is set up`);
      const server = major === NEWEST ? await startEmbeddedAnew(true) : await startNpm(major, DATA_DIR, true);
      later(server.stop);
      const session = await prepared(server.target);
      later(() => session.end({ timeout: 1 }));
      const [told] = await session`show server_version`;
      servers.push({ major, version: told?.["server_version"], session });
    }

    const verdict = createVerdict();
    const contenders = servers.flatMap((server) => [
      { server, batch: BATCH, piece: Math.max(BATCH, rows - (rows % BATCH)) },
      { server, batch: MOST, piece: MOST },
    ]);
    const measured = await inTurn(
      contenders,
      rounds,
      async ({ server, batch, piece }) => {
        const { us, counts } = await measureIssue(server.session, batch, piece);
        for (const [what, n] of Object.entries(counts))
          verdict.equal(`${what} on PostgreSQL ${server.major}`, n, piece);
        return batch === MOST ? (us * MOST) / 1_000 : us;
      },
      say,
    );
    verdict.checks.push("each piece left as many rows as it was asked for");
    const measures = [...measured].map(([{ server, batch }, each]) => ({
      group: groupOf(batch),
      name: nameOf(server.major),
      figures: { [batch === MOST ? A_BATCH : A_ROW]: spread(each) },
    }));
    const medianOf = (major: string, figure: string) =>
      measures.find(({ name, figures }) => name === nameOf(major) && figure in figures)?.figures[
        figure
      ]?.[0] ?? Number.NaN;
    return {
      measures,
      headlines: [
        ...OLDER.map((major) => ({
          name: `PostgreSQL ${major} / ${NEWEST}, ${groupOf(BATCH)}`,
          value: medianOf(NEWEST, A_ROW) / medianOf(major, A_ROW),
        })),
        ...[...OLDER, NEWEST].map((major) => ({
          name: `10,000 users in one batch, PostgreSQL ${major}`,
          value: medianOf(major, A_BATCH),
          unit: "ms",
        })),
      ],
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [
        "The ratios are of rows a second.",
        `PostgreSQL ${servers.map(({ version }) => version).join(", ")}, all from npm.`,
      ],
    };
  });
}

const nameOf = (major: string) => `PostgreSQL ${major}`;

/** A session as the owner in a new database with users. */
async function prepared(superuser: ClusterServer["target"]): Promise<Sql> {
  await withConnection(superuser, (sql) =>
    sql.unsafe("create database coupons encoding 'UTF8' template template0"),
  );
  const target = superuser.on("coupons");
  await setUp(target);
  const session = connect(target, { max: 1, role: "coupon_owner" });
  await insertUsers(session);
  return session;
}
