/** Who fires requests to issue, each with a token of its own: wrk, which leaves the others more of the machine, or autocannon. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { issueShot } from "../harness/tokens.ts";
import { type Answer, fire } from "./closed-loop.ts";

export interface Target {
  url: string;
  couponId: number;
  connections: number;
  /** How long, about; autocannon ends with the tokens instead. */
  seconds: number;
  /** One request each, in this order. wrk begins anew when there are no more, and says so. */
  tokens: readonly string[];
  /** Gets each answer; only autocannon reads them. */
  onAnswer?(answer: Answer): void;
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
  /** Whether a token may have come twice. */
  ranOut: boolean;
}

export interface Generator {
  name: string;
  /** How many requests may be under way when it ends a volley: they are served and not counted as answers. */
  openAtEnd(connections: number): number;
  /** How many tokens a volley of so long needs; `lastRate` is how many were answered a second before, if that is known. */
  tokens(lastRate: number | undefined, seconds: number, connections: number): number;
  volley(target: Target): Promise<Answers>;
}

export function wrkVersion(): string | undefined {
  const { stdout } = spawnSync("wrk", ["--version"], { encoding: "utf8" });
  return stdout?.match(/^wrk (?:debian\/)?([\d.]+)/m)?.[1];
}

/** It gets the tokens by a file. */
export function useWrk(version: string): Generator {
  const script = fileURLToPath(new URL("./wrk.lua", import.meta.url));
  const whole = (seconds: number) => Math.max(1, Math.round(seconds)); // it takes no others
  return {
    name: `wrk ${version}`,
    openAtEnd: (connections) => connections,
    // It ends with the clock, so there must be enough for a machine that has become faster meanwhile, or is faster than any so far.
    tokens: (lastRate = 50_000, seconds, connections) =>
      Math.ceil(Math.max(60_000, 2 * lastRate) * whole(seconds)) + 4 * connections,
    async volley({ url, couponId, connections, seconds, tokens }) {
      const directory = await mkdtemp(join(tmpdir(), "wrk-"));
      try {
        const file = join(directory, "tokens");
        await writeFile(file, `${tokens.join("\n")}\n`, { mode: 0o600 });
        const options = ["-t1", `-c${connections}`, `-d${whole(seconds)}s`, "--timeout", "30s", "-s", script];
        const { stdout } = await promisify(execFile)("wrk", [...options, url, file, String(couponId)]);
        const told = stdout.match(/^\{"answers".*\}$/m)?.[0];
        if (told === undefined) throw new Error(`wrk says:\n${stdout}`);
        const { microseconds, ...answers } = JSON.parse(told);
        return {
          ...answers,
          perSecond: (answers.answers * 1e6) / microseconds,
          ranOut: answers.answers + connections + 1 > tokens.length, // one it makes only to look at it
        };
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}

export function useAutocannon(): Generator {
  return {
    name: "autocannon",
    openAtEnd: () => 0,
    tokens: (lastRate = 2_000, seconds, connections) =>
      Math.max(Math.round(lastRate * seconds), 4 * connections),
    async volley({ url, couponId, connections, tokens, onAnswer }) {
      const { requests, statuses, errors, perSecond, latency } = await fire(
        url,
        tokens.length,
        connections,
        (index) => issueShot(tokens[index] as string, couponId),
        onAnswer ? { onAnswer: (_, answer) => onAnswer(answer) } : {},
      );
      const refused = Object.entries(statuses).reduce(
        (sum, [status, n]) => (Number(status) >= 400 ? sum + n : sum),
        0,
      );
      return { answers: requests, refused, failed: errors, perSecond, ...latency, ranOut: false };
    },
  };
}
