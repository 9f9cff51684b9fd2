/** All faults, in the order in which they are run and shown. What comes of a stroke, the checker says. */
import type { Fault } from "./fault.ts";
import { clocks } from "./kinds/clocks.ts";
import { disks } from "./kinds/disks.ts";
import { networks } from "./kinds/network.ts";
import { postgres } from "./kinds/postgres.ts";
import { restores } from "./kinds/restore.ts";
import { servers } from "./kinds/server.ts";
import { sessions } from "./kinds/sessions.ts";

export const faults: readonly Fault[] = [
  ...servers,
  ...postgres,
  ...networks,
  ...disks,
  ...sessions,
  ...clocks,
  ...restores,
];

/** Not a stroke at a time but for each call: within this process, by flaky.ts. */
export const CALLS = {
  name: "calls fail",
  about:
    "of the server's calls one in five fails, by chance: before it is sent, before its commit, between commit and reply; or it is done twice, late or slowly",
  seen: "each kind of failure is counted, and each was made",
};
