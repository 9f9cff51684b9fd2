/** A fault: what it strikes, how it is seen to have struck, and what it needs. */
import type { ClusterOptions } from "./cluster.ts";
import type { Ground } from "./ground.ts";

export interface Fault {
  name: string;
  about: string;
  /** How each stroke is seen. A stroke that is not seen ends the run. */
  seen: string;
  /** A PostgreSQL of its own; without it the fault strikes on the shared one, and must not harm it. */
  cluster?: ClusterOptions | "plain";
  /** How many servers use the database; by default one. */
  servers?: 2;
  /** Whether the server itself stands still or is gone meanwhile. */
  isServers?: true;
  /** The clock that the fault makes jump, if it does. */
  clock?: "server" | "database";
  /** What is missing to run it here, in a word or two. */
  needs?(): Promise<string | undefined>;
  /** Strikes, sees that it has struck, and takes it back. */
  strike(ground: Ground): Promise<void>;
}
