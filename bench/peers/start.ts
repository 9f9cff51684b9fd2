/** Starts the peers of peer.ts. */

import { type Process, startProcess } from "../harness/process.ts";
import type { Shot } from "../harness/tokens.ts";

/** What a peer without a database answers. */
export interface Constant {
  status: number;
  type: string;
  body: unknown;
}

export type Peer = "bare" | "hello" | "hello-token" | "for-update" | "issue-coupon" | "redis" | "redis-fast";

export interface PeerOptions {
  secret: string;
  answer?: Constant;
  /** Connections to the database. */
  pool?: number;
  databaseUrl?: string;
  redisUrl?: string;
}

export function startPeer(
  peer: Peer,
  { secret, answer, pool = 1, databaseUrl, redisUrl }: PeerOptions,
): Promise<Process> {
  return startProcess("bench/peers/peer.ts", {
    PEER: peer,
    JWT_SECRET: secret,
    POOL: String(pool),
    ...(answer ? { ANSWER: JSON.stringify(answer) } : {}),
    ...(databaseUrl ? { PEER_DATABASE_URL: databaseUrl } : {}),
    ...(redisUrl ? { PEER_REDIS_URL: redisUrl } : {}),
  });
}

/** The service's own answer to this request, for a peer to repeat: the same status, type and size. */
export async function answerOf(url: string, { method, path, headers, body }: Shot): Promise<Constant> {
  const response = await fetch(url + path, { method, headers, body });
  return {
    status: response.status,
    type: response.headers.get("content-type") ?? "",
    body: await response.json(),
  };
}
