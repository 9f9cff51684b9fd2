/** ./sd bench compare REV [scenario]: the working tree and another revision, fired at in turn. See bench/README.md. */
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readEnv } from "../../server/env.ts";
import { atEnd, cleanUpOnSignals, withCleanup } from "../harness/cleanup.ts";
import { machine, nameOf } from "../harness/machine.ts";
import { newSecret } from "../harness/service.ts";
import { addUsers } from "../harness/tables.ts";
import { createFreshTokens, userToken } from "../harness/tokens.ts";
import { type Generator, useAutocannon, useWrk, wrkVersion } from "../load/generator.ts";
import { createVerdict, type Say, type Verdict } from "../report/result.ts";
import { BESIDE, type BesideName } from "./beside.ts";
import { render, type Series } from "./series.ts";
import { CHECKOUT, type Contender, checkOut, describeRevision, type Side, startSide } from "./side.ts";
import { type Crowd, type Kind, kinds, measure, RATE } from "./volleys.ts";

const USAGE = `usage: ./sd bench compare REV [burst | refuse | grant] [--rounds N] [--seconds N] [--generator wrk | autocannon] [--beside webhook,feed] [--quick]`;

cleanUpOnSignals();
try {
  const { failures } = await compare(readCommand(process.argv.slice(2)), (line) => console.log(line));
  if (failures.length > 0) {
    console.error(`WRONG (${failures.length}):\n${failures.slice(0, 20).join("\n")}`);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(`compare: ${(error as Error).message}`);
  process.exitCode = 2;
}

interface Command {
  revision: string;
  chosen: readonly Kind[];
  rounds: number;
  seconds: number;
  users: number;
  generator: string;
  /** What stands beside the working tree alone: what it costs shows beside the same revision too. */
  beside: readonly BesideName[];
}

/** Throws one sentence on what is wrong. */
function readCommand(args: readonly string[]): Command {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      seconds: { type: "string" },
      generator: { type: "string" },
      beside: { type: "string" },
    },
  });
  const [revision, name, ...more] = positionals;
  if (revision === undefined || more.length > 0) throw new Error(USAGE);
  const chosen = kinds.filter((kind) => name === undefined || kind.name === name);
  if (chosen.length === 0) throw new Error(`no such scenario: ${name}\n${USAGE}`);
  const whole = (option: "rounds" | "seconds", otherwise: number) => {
    const text = values[option] ?? String(otherwise);
    if (!/^[1-9]\d{0,2}$/.test(text)) throw new Error(`--${option} must be a whole number from 1 to 999`);
    return Number(text);
  };
  const generator = values.generator ?? (wrkVersion() === undefined ? "autocannon" : "wrk");
  if (!["wrk", "autocannon"].includes(generator)) throw new Error("--generator must be wrk or autocannon");
  if (generator === "wrk" && wrkVersion() === undefined)
    throw new Error("wrk is not on this machine (Debian: apt-get install wrk)");
  const beside = values.beside?.split(",") ?? [];
  if (!beside.every((each): each is BesideName => Object.hasOwn(BESIDE, each)))
    throw new Error(`--beside takes ${Object.keys(BESIDE).join(",")}, or one of them`);
  const { quick } = values;
  return {
    revision,
    chosen: quick ? chosen.map((kind) => ({ ...kind, connections: [64] })) : chosen,
    rounds: whole("rounds", quick ? 2 : 8),
    seconds: whole("seconds", quick ? 1 : 2),
    users: quick ? 50_000 : 200_000,
    generator,
    beside,
  };
}

async function compare(command: Command, say: Say): Promise<Verdict> {
  const { commit, subject } = await describeRevision(command.revision);
  return withCleanup(async (later) => {
    const { DATA_DIR } = readEnv();
    await mkdir(DATA_DIR, { recursive: true });
    const data = await temporary(join(DATA_DIR, "compare-"), later); // on the disk of any other database of ours
    const checkouts = await temporary(join(tmpdir(), "compare-"), later);
    say(`checking out ${commit}: ${subject}`);
    const project = await checkOut(commit, join(checkouts, "revision"), later);
    const sides: Contender[] = [
      { name: "working tree", project: CHECKOUT, beside: command.beside },
      { name: commit, project, beside: [] },
    ];

    const wrk = command.generator === "wrk" ? wrkVersion() : undefined;
    const generator = wrk ? useWrk(wrk) : useAutocannon();
    const verdict = createVerdict();
    const all = command.chosen.flatMap((kind) =>
      kind.connections.map(
        (connections): Series => ({
          kind,
          connections,
          rounds: new Map(sides.map(({ name }) => [name, []])),
          rates: new Map(),
        }),
      ),
    );
    // Who is started first is slower by some percent, even beside the same revision: each is first for half of the rounds.
    let done = 0;
    const first = command.rounds === 1 ? 1 : 0; // a single round only tries whether all works
    let machineName = "";
    for (const order of [sides, sides.toReversed()]) {
      const rounds = done === 0 ? Math.ceil(command.rounds / 2) : command.rounds - done;
      if (rounds === 0) continue;
      const directory = join(data, `${done}`);
      await mkdir(directory);
      await withBoth(order, directory, command.users, say, async (started, crowd) => {
        for (let round = first; round <= rounds; round++) {
          say(round === 0 ? "warming up" : `round ${done + round} of ${command.rounds}`);
          for (const series of all)
            await fireInTurn(series, started, round, command.seconds, { generator, crowd, verdict });
        }
        machineName ||= nameOf(await machine((started[0] as Side).setupUrl));
      });
      done += rounds;
    }
    say(`${command.rounds} rounds in turn, by ${generator.name}, on ${machineName}`);
    if (command.beside.length > 0) say(`beside the working tree alone: ${command.beside.join(", ")}`);
    for (const series of all) say(`\n${render(series)}`);
    return verdict;
  });
}

/** Sets both up and starts them in this order, each with users of its own, and ends them after `work`. */
function withBoth(
  order: readonly Contender[],
  directory: string,
  users: number,
  say: Say,
  work: (started: readonly Side[], crowd: Crowd) => Promise<void>,
): Promise<void> {
  return withCleanup(async (later) => {
    const secret = newSecret();
    say("setting up both");
    const started: Side[] = [];
    for (const side of order)
      started.push(await startSide(side, join(directory, side.name.replace(" ", "-")), secret, later));
    say(`making ${users} users`);
    for (const { owner } of started) await addUsers({ admin: owner }, 1, users + 1);
    const ids = Array.from({ length: users }, (_, i) => i + 1);
    await work(started, {
      users,
      fresh: createFreshTokens(secret, ids),
      winner: userToken(secret, users + 1),
    });
  });
}

/** A B, then B A, and so on: whatever changes steadily then falls on both alike. Round 0 warms up. */
async function fireInTurn(
  { kind, connections, rounds, rates }: Series,
  started: readonly Side[],
  round: number,
  seconds: number,
  { generator, crowd, verdict }: { generator: Generator; crowd: Crowd; verdict: Verdict },
): Promise<void> {
  for (const side of round % 2 === 0 ? started : started.toReversed()) {
    const lastRate = rates.get(side.name);
    const figures = await measure(side, { kind, connections, seconds, lastRate }, generator, crowd, verdict);
    rates.set(side.name, figures[RATE] as number);
    if (round > 0) rounds.get(side.name)?.push(figures);
  }
}

/** A directory that others may pass through: PostgreSQL runs as another user where we are root. */
async function temporary(prefix: string, later: (end: () => Promise<unknown>) => void): Promise<string> {
  const directory = await realpath(await mkdtemp(prefix));
  later(atEnd(() => rm(directory, { recursive: true, force: true })));
  await chmod(directory, 0o755);
  return directory;
}
