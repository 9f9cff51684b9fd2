/** Bugs that show only where a database fails over, each made on purpose in the function set or in a copy of the server. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withConnection } from "../../../db/connect.ts";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import type { Invariant } from "../checker/check.ts";
import { changed } from "../planting.ts";
import type { Planted } from "./siege.ts";

export interface ClusterBug {
  name: string;
  about: string;
  /** The fault under which it shows. */
  fault: string;
  /** What the checker must find, all of it. */
  breaks: Invariant[];
  /** The parts of texts that are replaced, by file. */
  changes: Readonly<Record<string, readonly [from: string, to: string][]>>;
  /** The parts of HAProxy's configuration that are replaced: with ours, the bug would not show. */
  haproxy?: readonly [from: RegExp, to: string][];
}

export const clusterBugs: readonly ClusterBug[] = [
  {
    name: "no fence",
    about: "who asks again is told what only the leader has yet",
    fault: "waits ended",
    breaks: ["grant_is_kept"],
    changes: {
      "sql/internal/fence_replay.sql": [
        ["if current_setting('synchronous_standby_names') <> '' then", "if false then"],
      ],
    },
  },
  {
    name: "notice ignored",
    about: "nobody reads PostgreSQL's warning that a commit was let through before the standby had it",
    fault: "waits ended",
    breaks: ["grant_is_kept"],
    changes: {
      "server/database/session.ts": [
        ["if (isUnreplicated(notice)) told.unreplicated();", "isUnreplicated(notice);"],
      ],
    },
  },
  {
    name: "25006 as busy",
    about:
      "a session that reached a standby is kept, and told as busy; HAProxy leads to the asynchronous standby while nobody leads, and " +
      "leaves sessions where they are",
    fault: "switchover",
    breaks: ["live_again"],
    changes: {
      "server/database/errors.ts": [['  [READ_ONLY]: "unavailable",\n', '  [READ_ONLY]: "busy",\n']],
      "server/database/session.ts": [
        [
          `  if (is_standby === "true" && needs !== "standby")
    throw new DatabaseError("unavailable", READ_ONLY, "The database is a standby.");
`,
          "",
        ],
        ['  if (read_only === "on" && needs === "writes") throw await closedToWrites(sql);\n', ""],
      ],
      "server/database/pool.ts": [
        ["      if (explained.sqlstate === READ_ONLY && isSent()) signals.readOnly();\n", ""],
      ],
    },
    // As one may have it so that reads go on while nobody leads. The asynchronous standby lives through a switchover and does not lead after it.
    // For 5 s HAProxy does not see who does, so that all sessions of the servers are opened on that standby. Nor does it see that who is about
    // to lead counts as asynchronous for a moment.
    haproxy: [
      [
        /inter 500ms .* on-marked-down shutdown-sessions\n/,
        "inter 500ms fall 2 rise 10\n  use_backend standbys if { nbsrv(primary) eq 0 }\n",
      ],
      [
        /(?: {2}server n\d .*\n)+/,
        "$&\nbackend standbys\n  mode tcp\n  timeout server 30m\n  option httpchk OPTIONS /asynchronous\n" +
          "  http-check expect status 200\n  default-server inter 500ms fall 2 rise 10\n$&",
      ],
    ],
  },
  {
    name: "holders of another timeline",
    about:
      "a server goes on with the holders that it knew before a failover that lost grants, and the database lets it",
    fault: "asynchronous",
    breaks: ["holder_is_not_refused"],
    changes: {
      "server/issuing/issuing.ts": [["  db.onLost?.(leases.drop);\n", ""]],
      "sql/coupon_leases.sql": [["\n          and g.issued_at = q.known_issued_at", ""]],
    },
  },
];

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Makes the bug in the cluster's database, in a copy of the server if it is the server's, and in HAProxy's configuration. */
export async function plantIn(
  cluster: Cluster,
  { changes, haproxy }: Pick<ClusterBug, "changes" | "haproxy">,
): Promise<Planted> {
  const ends: (() => Promise<unknown>)[] = [];
  const texts: [file: string, text: string][] = [];
  for (const [file, parts] of Object.entries(changes)) texts.push([file, await changed(file, ...parts)]);
  for (const [file, text] of texts.filter(([file]) => file.endsWith(".sql"))) {
    const original = await readFile(join(ROOT, file), "utf8");
    await asOwner(cluster, text);
    ends.push(() => asOwner(cluster, original));
  }
  const ofServer = texts.filter(([file]) => file.endsWith(".ts"));
  const copy = ofServer.length > 0 ? await copyOfServer(ofServer) : undefined;
  if (copy) ends.push(() => rm(copy, { recursive: true }));
  if (haproxy) ends.push(await configureHaproxy(cluster, haproxy));
  return {
    ...(copy ? { main: join(copy, "server/main.ts") } : {}),
    end: async () => {
      for (const end of ends.reverse()) await end();
    },
  };
}

function asOwner({ target }: Cluster, text: string): Promise<unknown> {
  return withConnection(target, (sql) => sql.unsafe(text).simple(), { role: "coupon_owner" });
}

/** All that a server runs of, with these texts in place of ours. */
async function copyOfServer(texts: readonly [file: string, text: string][]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "planted-"));
  for (const name of ["package.json", "tsconfig.json", "server", "db", "sql"])
    await cp(join(ROOT, name), join(directory, name), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
  for (const [file, text] of texts) await writeFile(join(directory, file), text);
  return directory;
}

/** Changes HAProxy's configuration and starts it anew. Returns what takes that back. */
async function configureHaproxy(
  cluster: Cluster,
  changes: NonNullable<ClusterBug["haproxy"]>,
): Promise<() => Promise<void>> {
  const file = join(cluster.directory, "haproxy.cfg");
  const original = await readFile(file, "utf8");
  const restart = async (text: string) => {
    await writeFile(file, text);
    await cluster.end("haproxy");
    await cluster.launch("haproxy");
  };
  await restart(reconfigured(original, changes));
  return () => restart(original);
}

/** HAProxy's configuration with parts of it replaced; each must be there. */
export function reconfigured(text: string, changes: NonNullable<ClusterBug["haproxy"]>): string {
  return changes.reduce((before, [from, to]) => {
    if (!from.test(before)) throw new Error(`HAProxy's configuration must contain this: ${from}`);
    return before.replace(from, to);
  }, text);
}
