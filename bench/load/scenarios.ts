/** All scenarios, in the order in which `./sd bench all` runs them and the README shows them. */
import { burst } from "./burst.ts";
import { crowd } from "./crowd.ts";
import { grant } from "./grant.ts";
import { growth } from "./growth.ts";
import { look } from "./look.ts";
import { open } from "./open.ts";
import { overload } from "./overload.ts";
import { refuse } from "./refuse.ts";
import { retire } from "./retire.ts";
import type { Options, Scenario } from "./scenario.ts";
import { servers } from "./servers.ts";
import { sql } from "./sql.ts";
import { start } from "./start.ts";
import { tokens } from "./tokens.ts";
import { versions } from "./versions.ts";

/** Options are checked against a scenario's own defaults, so that each gets what it knows. */
export const scenarios: readonly Scenario<Options>[] = [
  burst,
  refuse,
  tokens,
  grant,
  sql,
  versions,
  overload,
  open,
  look,
  servers,
  growth,
  crowd,
  retire,
  start,
].map((scenario) => scenario as unknown as Scenario<Options>);

export const names = scenarios.map((scenario) => scenario.name);
