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
import { createVerdict, type Findings, type Measure, type Say, Skipped } from "../report/result.ts";
import { medianOf } from "./measures.ts";
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
/** How many users, and the figure that is told of them. */
const BATCH = { users: 1_000, figure: "µs a row", told: (usARow: number) => usARow };
const MOST = { users: 10_000, figure: "ms a batch", told: (usARow: number) => usARow * 10 };

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
      { server, batch: BATCH, piece: Math.max(BATCH.users, rows - (rows % BATCH.users)) },
      { server, batch: MOST, piece: MOST.users },
    ]);
    const measured = await inTurn(
      contenders,
      rounds,
      async ({ server, batch, piece }) => {
        const { us, counts } = await measureIssue(server.session, batch.users, piece);
        for (const [what, n] of Object.entries(counts))
          verdict.equal(`${what} on PostgreSQL ${server.major}`, n, piece);
        return batch.told(us);
      },
      say,
    );
    verdict.checks.push("each piece left as many rows as it was asked for");
    const measures = [...measured].map(([{ server, batch }, each]) => ({
      ...rowOf(server.major, batch),
      figures: { [batch.figure]: spread(each) },
    }));
    const of = (major: string, batch: typeof BATCH) => medianOf(measures, rowOf(major, batch), batch.figure);
    return {
      measures,
      headlines: [
        ...OLDER.map((major) => ({
          name: `PostgreSQL ${major} / ${NEWEST}, ${groupOf(BATCH.users)}`,
          value: of(NEWEST, BATCH) / of(major, BATCH),
        })),
        ...[...OLDER, NEWEST].map((major) => ({
          name: `10,000 users in one batch, PostgreSQL ${major}`,
          value: of(major, MOST),
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

function rowOf(major: string, { users }: typeof BATCH): Pick<Measure, "group" | "name"> {
  return { group: groupOf(users), name: `PostgreSQL ${major}` };
}

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
