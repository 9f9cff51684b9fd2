/**
 * A switchover: the leader's Patroni is restarted, as `systemctl restart patroni` does. It ends its PostgreSQL in order, waits until a standby
 * has all of it, and gives the leader's lock back. Patroni's own switchover costs up to two seconds more: while one is under way, a
 * standby that is not to lead, and sees that nobody does, sleeps for 2 s (3.0.2), and without it nothing commits.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../../db/connect.ts";
import type { Target } from "../../db/target.ts";
import { type Layout, NODES, type Node } from "./layout.ts";
import { askToLook, isLockFree, leaderOf, mayLead, nodeStates, synchronousOf } from "./patroni.ts";
import { type Processes, signal } from "./processes.ts";

/** Far more than a busy machine needs. */
const PATIENCE_MS = 120_000;
const LOOK_MS = 100;

interface Switched {
  from: Node;
  to: Node;
}

/** Returns once commits have a standby to wait for again, and the leader of before runs. */
export async function switchOver(
  layout: Layout,
  processes: Processes,
  superuser: Target,
  candidate: Node | undefined,
): Promise<Switched> {
  const switched = await whoTakesOver(layout, candidate);
  const { from } = switched;
  await untilMayLead(layout, switched);
  // So that little is left to be written while nobody leads.
  await withConnection(superuser, (sql) => sql`checkpoint`, { fetchTypes: false });
  const ending = (await processes.pids(from)).own;
  const restart = async () => {
    await processes.end(from);
    await processes.launch(from);
  };
  await Promise.all([restart(), untilTakenOver(layout, switched, ending)]);
  return switched;
}

async function whoTakesOver(layout: Layout, candidate: Node | undefined): Promise<Switched> {
  const states = await nodeStates(layout);
  const from = leaderOf(states);
  if (!from) throw new Error("no node leads: there is nothing to switch over from");
  if (candidate === from) throw new Error(`${candidate} leads already`);
  const to = synchronousOf(states);
  if (!to) throw new Error("no standby is synchronous: whichever took over would lose what was acknowledged");
  if (candidate !== undefined && candidate !== to)
    throw new Error(
      `a commit waits for ${to}, and ${candidate} may lack what was acknowledged: only ${to} can take over`,
    );
  return { from, to };
}

/** Otherwise nobody else could take over, and the leader would lead again. */
async function untilMayLead(layout: Layout, { from, to }: Switched): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; !(await mayLead(layout, from, to)); await sleep(LOOK_MS))
    if (Date.now() > deadline)
      throw new Error(
        `${to} may not lead after ${PATIENCE_MS / 1000} s: see ${layout.directory}/${from}.log`,
      );
}

/**
 * Has the standbys look ten times a second whether the lock is free, and who has it: by themselves they look once a second. Before it takes
 * the lock, the one that may asks Patroni of the leader of before how it is. That one answers nobody while it is `ending`, and ends when init
 * has seen that PostgreSQL has ended: so it is killed once it has given the lock back, since then all that it had to do is done.
 */
async function untilTakenOver(layout: Layout, { from, to }: Switched, ending: number[]): Promise<void> {
  const standbys = NODES.filter((node) => node !== from);
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(LOOK_MS)) {
    // All at once: on a busy machine a node may be late with its answer.
    const [states] = await Promise.all([
      nodeStates(layout, standbys),
      isLockFree(layout, to).then((isFree) => isFree && signal(ending.splice(0), "SIGKILL")),
      ...standbys.map((node) => askToLook(layout, node)),
    ]);
    if (leaderOf(states) === to && synchronousOf(states)) return;
    if (Date.now() > deadline)
      throw new Error(
        `${to} does not lead with a synchronous standby after ${PATIENCE_MS / 1000} s: see ${layout.directory}/${to}.log`,
      );
  }
}
