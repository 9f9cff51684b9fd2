/** What the nodes say of themselves, and what they are told: Patroni's REST interface (3.0 and 4). */
import { type Layout, NODES, type Node, restPortOf } from "./layout.ts";

const ASK_MS = 2_000;

export interface NodeState {
  node: Node;
  /** "leader", "synchronous" (a commit waits for it), "standby", or what keeps it from being one: "not running", "starting", "not streaming". */
  role: string;
  timeline: number | undefined;
  /** How far what it has replayed is behind the leader, in bytes of WAL. Undefined where nobody leads, or it is on another timeline. */
  lag: number | undefined;
}

/** An answer of /patroni. */
export interface Said {
  state: string;
  role: string;
  timeline?: number;
  xlog?: { location?: number; replayed_location?: number };
  replication?: { application_name: string; state: string; sync_state: string }[];
}

async function askRest<Answer>(layout: Layout, node: Node, path: string): Promise<Answer | undefined> {
  try {
    const signal = AbortSignal.timeout(ASK_MS);
    const answer = await fetch(`http://127.0.0.1:${restPortOf(layout, node)}/${path}`, { signal });
    return (await answer.json()) as Answer;
  } catch {
    return undefined;
  }
}

/** Of all nodes, or of these, as each says it now. */
export async function nodeStates(layout: Layout, among: readonly Node[] = NODES): Promise<NodeState[]> {
  return statesOf(among, await Promise.all(among.map((node) => askRest<Said>(layout, node, "patroni"))));
}

/** By what each says; undefined: it does not answer. */
export function statesOf(among: readonly Node[], said: readonly (Said | undefined)[]): NodeState[] {
  const leads = (each: Said | undefined) =>
    each?.state === "running" && ["master", "primary"].includes(each.role);
  const leader = said.find(leads);
  return among.map((node, i) => {
    const its = said[i];
    const replayed = leads(its) ? its?.xlog?.location : its?.xlog?.replayed_location;
    const end = leader?.xlog?.location;
    // Positions of two timelines are not of the same WAL.
    const isComparable = end !== undefined && replayed !== undefined && its?.timeline === leader?.timeline;
    const lag = isComparable ? Math.max(0, end - replayed) : undefined;
    return { node, role: roleOf(node, its, leads(its), leader), timeline: its?.timeline, lag };
  });
}

function roleOf(node: Node, its: Said | undefined, leads: boolean, leader: Said | undefined): string {
  if (!its) return "not running";
  if (leads) return "leader";
  const stream = leader?.replication?.find(({ application_name }) => application_name === node);
  // Patroni 3 says "running" of a standby, too, that has lost its leader.
  if (its.state !== "running" && its.state !== "streaming") return its.state;
  if (stream?.state !== "streaming") return "not streaming";
  return ["sync", "quorum"].includes(stream.sync_state) ? "synchronous" : "standby";
}

export const leaderOf = (states: readonly NodeState[]) => states.find(({ role }) => role === "leader")?.node;
export const synchronousOf = (states: readonly NodeState[]) =>
  states.find(({ role }) => role === "synchronous")?.node;

/** The first node that is neither the leader nor follows it. */
export const lateOf = (states: readonly NodeState[]): Node =>
  states.find(({ role }) => !["leader", "synchronous", "standby"].includes(role))?.node ?? "n1";

/** What the nodes are by what etcd says, as one of them reads it now. */
async function agreedRoles(layout: Layout, by: Node): Promise<{ name: string; role: string }[] | undefined> {
  return (await askRest<{ members?: { name: string; role: string }[] }>(layout, by, "cluster"))?.members;
}

/** Whether nobody has the leader's lock. */
export async function isLockFree(layout: Layout, by: Node): Promise<boolean> {
  return (await agreedRoles(layout, by))?.every(({ role }) => role !== "leader") ?? false;
}

/** Whether this node may take the leader's lock once it is free: it is told some seconds after PostgreSQL has made it synchronous. */
export async function mayLead(layout: Layout, by: Node, node: Node): Promise<boolean> {
  const roles = await agreedRoles(layout, by);
  return roles?.some(({ name, role }) => name === node && role === "sync_standby") ?? false;
}

/** Has a node look around now, and not at its next turn: it does so when its configuration is changed, by a change of nothing, too. */
export async function askToLook(layout: Layout, node: Node): Promise<void> {
  await fetch(`http://127.0.0.1:${restPortOf(layout, node)}/config`, {
    method: "PATCH",
    body: JSON.stringify({ nothing: null }),
    signal: AbortSignal.timeout(ASK_MS),
  }).catch(() => {});
}

/** Changes settings of the dynamic configuration, by the leader. Throws what Patroni objects. */
export async function askConfigure(
  layout: Layout,
  settings: Readonly<Record<string, unknown>>,
): Promise<void> {
  const node = leaderOf(await nodeStates(layout));
  if (!node) throw new Error("no node leads: nobody can be asked to change the configuration");
  const answer = await fetch(`http://127.0.0.1:${restPortOf(layout, node)}/config`, {
    method: "PATCH",
    body: JSON.stringify(settings),
    signal: AbortSignal.timeout(ASK_MS),
  });
  if (answer.status !== 200)
    throw new Error(`Patroni of ${node} refuses (${answer.status}): ${(await answer.text()).trim()}`);
}
