/** Who fires at the two sides: wrk where it is installed, since it leaves them more of the machine, or else autocannon. */
import { execFile, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { issueShot } from "../harness/tokens.ts";
import { fire } from "../load/closed-loop.ts";

export interface Target {
  url: string;
  couponId: number;
  connections: number;
  /** How long, about; autocannon takes it from how fast the last volley was. */
  seconds: number;
  /** Answers a second of the last volley of the same kind, if there was one. */
  lastRate: number | undefined;
}

export interface Answers {
  answers: number;
  /** Those of them with a status of 400 and above. */
  refused: number;
  /** Connections that failed, and requests without an answer in time. */
  failed: number;
  perSecond: number;
  /** ms */
  p50: number;
  p99: number;
}

export interface Generator {
  name: string;
  /** How many requests may be under way when it ends a volley: they are served and not counted as answers. */
  openAtEnd(connections: number): number;
  /** One request a token, from the first one on; begins anew when there are no more. */
  volley(target: Target): Promise<Answers>;
}

export function wrkVersion(): string | undefined {
  const { stdout } = spawnSync("wrk", ["--version"], { encoding: "utf8" });
  return stdout?.match(/^wrk (?:debian\/)?([\d.]+)/m)?.[1];
}

/** wrk gets the tokens by a file in `directory`. */
export async function useWrk(
  version: string,
  tokens: readonly string[],
  directory: string,
): Promise<Generator> {
  const file = join(directory, "tokens");
  await writeFile(file, `${tokens.join("\n")}\n`, { mode: 0o600 });
  const script = fileURLToPath(new URL("./wrk.lua", import.meta.url));
  return {
    name: `wrk ${version}`,
    openAtEnd: (connections) => connections,
    async volley({ url, couponId, connections, seconds }) {
      const options = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "30s", "-s", script];
      const { stdout } = await promisify(execFile)("wrk", [...options, url, file, String(couponId)]);
      const told = stdout.match(/^\{"answers".*\}$/m)?.[0];
      if (told === undefined) throw new Error(`wrk says:\n${stdout}`);
      const { microseconds, ...answers } = JSON.parse(told);
      return { ...answers, perSecond: (answers.answers * 1e6) / microseconds };
    },
  };
}

export function useAutocannon(tokens: readonly string[]): Generator {
  return {
    name: "autocannon",
    openAtEnd: () => 0,
    async volley({ url, couponId, connections, seconds, lastRate }) {
      const wanted = Math.round((lastRate ?? 2_000) * seconds);
      const requests = Math.min(tokens.length, Math.max(wanted, 4 * connections));
      const { statuses, errors, perSecond, latency } = await fire(url, requests, connections, (index) =>
        issueShot(tokens[index] as string, couponId),
      );
      const count = (first: number) =>
        Object.entries(statuses).reduce((sum, [status, n]) => (Number(status) >= first ? sum + n : sum), 0);
      return { answers: count(0), refused: count(400), failed: errors, perSecond, ...latency };
    },
  };
}
