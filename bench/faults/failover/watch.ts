/**
 * Two watchers beside the load: sessions of its own that commit through HAProxy all the time, and somebody who asks each server's
 * /readyz. What they saw is held against one another in figures.ts.
 */
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Target } from "../../../db/target.ts";
import { open } from "../../../server/database/session.ts";

/** A commit that was acknowledged, in any order. All instants are ms on the client's clock, as in a history. */
export interface Commit {
  from: number;
  until: number;
}

/** One answer of /readyz. */
export interface Look {
  server: number;
  from: number;
  until: number;
  /** 0: nobody answered. */
  status: number;
  outcome: string;
}

export interface Seen {
  commits: Commit[];
  looks: Look[];
}

interface Watch extends Seen {
  stop(): Promise<void>;
}

const COMMIT_EVERY_MS = 50;
/** So many sessions do so: one alone may hang in a connection that leads nowhere while others commit again. */
const SESSIONS = 3;
/** A commit that waits longer is given up, with its session, which stays in PostgreSQL until the standby is there. */
const COMMIT_MS = 5_000;
const LOOK_EVERY_MS = 100;
const LOOK_MS = 3_000;

export function startWatch(target: Target, servers: () => readonly string[]): Watch {
  const [commits, looks]: [Commit[], Look[]] = [[], []];
  const agent = new Agent({ keepAlive: true });
  let running = true;

  async function commit(): Promise<void> {
    while (running) {
      let isLetThrough = false;
      const unreplicated = () => {
        isLetThrough = true;
      };
      const sql = open(target, 1, { closed() {}, unreplicated });
      try {
        while (running) {
          const from = performance.now();
          // Waits for the disk and for the standby as a grant does.
          await inTime(sql`select pg_logical_emit_message(true, 'faults', '')`);
          // No standby has it: that is no commit.
          if (isLetThrough) break;
          commits.push({ from, until: performance.now() });
          await sleep(COMMIT_EVERY_MS);
        }
      } catch {
        await sleep(COMMIT_EVERY_MS);
      } finally {
        void sql.end({ timeout: 0 }).catch(() => {});
      }
    }
  }

  async function look(server: number): Promise<void> {
    for (; running; await sleep(LOOK_EVERY_MS)) {
      const from = performance.now();
      const answer = await ask(agent, `${servers()[server]}/readyz`);
      looks.push({ server, from, until: performance.now(), ...answer });
    }
  }

  const watching = Promise.all([
    ...Array.from({ length: SESSIONS }, commit),
    ...servers().map((_, server) => look(server)),
  ]);
  return {
    commits,
    looks,
    async stop() {
      running = false;
      await watching;
      agent.destroy();
    },
  };
}

async function inTime(work: PromiseLike<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("late")), COMMIT_MS);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function ask(agent: Agent, url: string): Promise<Pick<Look, "status" | "outcome">> {
  return new Promise((resolve) => {
    const nobody = () => resolve({ status: 0, outcome: "" });
    const outgoing = get(url, { agent, timeout: LOOK_MS }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (part: string) => {
        text += part;
      });
      incoming.once("end", () => {
        const [, outcome = ""] = text.match(/"outcome":"(\w+)"/) ?? [];
        resolve({ status: incoming.statusCode ?? 0, outcome });
      });
      incoming.once("error", nobody);
    });
    outgoing.once("timeout", () => outgoing.destroy());
    outgoing.once("error", nobody);
  });
}
