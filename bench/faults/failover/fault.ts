/** A fault of a cluster: what it strikes, how it is seen to have struck, and how long it may cost. */
import type { Cluster } from "../../../server/cluster/cluster.ts";
import type { Server } from "../ground.ts";
import type { Answer, Ask } from "../history.ts";
import type { Ways } from "./ways.ts";

export interface Stage {
  cluster: Cluster;
  random: () => number;
  /** The two servers behind HAProxy. A fault that starts or ends one updates this list. */
  servers: Server[];
  startServer(port: number): Promise<Server>;
  /** Sends a request to one server until its answer is definite: it is part of the history as any other. */
  insist(ask: Ask, server: number): Promise<Answer>;
  /** A coupon that nobody asks for but the fault, and users who ask for nothing else. */
  own: { coupon: number; count: number; takeUsers(count: number): number[] };
  /** What the fault has prepared. */
  ways: Ways | undefined;
  /** Waits for a time between the two, in ms. The seed decides how long. A short run waits a quarter of that. */
  hold(least: number, most: number): Promise<void>;
}

export interface ClusterFault {
  name: string;
  about: string;
  /** How each stroke is seen. A stroke that is not seen ends the run. */
  seen: string;
  /** The longest time without a 201 that is right, s; without it the fault itself says how long nothing can commit. */
  gap?: number;
  /** The longest time for which a /readyz may say 200 while nothing can commit, s. Default: READY. */
  ready?: number;
  /** Commits wait for no standby, so that acknowledged grants must be lost: if none is, the checker sees nothing. */
  isControl?: true;
  /** What is missing to run it here, in a word or two. */
  needs?(): Promise<string | undefined>;
  /** What must be there before anybody asks; it is closed afterwards. */
  prepare?(cluster: Cluster): Promise<Ways>;
  /** Strikes, sees that it has struck, and takes it back: the cluster is whole afterwards. */
  strike(stage: Stage): Promise<void>;
}

/** Seconds after which a leader that says nothing is replaced: patroni.yml. */
export const TTL = 20;
/**
 * For which whoever may take its place waits for an answer from a leader that stands still or is cut off; where it is dead, nobody listens.
 * Patroni's own.
 */
export const SILENT = 2;
/** Seconds after which a leader gives up a standby that says nothing: wal_sender_timeout in patroni.yml. */
export const GIVEN_UP = 10;
/** How soon the servers must have found the primary once it is there, s. */
export const FOUND = 2;
/** How long a /readyz may be wrong, s. */
export const READY = 1;
