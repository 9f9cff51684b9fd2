/** ./sd bench compare REV [scenario]: the working tree and another revision, fired at in turn. See bench/README.md. */
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readEnv } from "../../server/env.ts";
import { atEnd, cleanUpOnSignals, withCleanup } from "../harness/cleanup.ts";
import { machine, nameOf } from "../harness/machine.ts";
import { newSecret } from "../harness/service.ts";
import { median, spread } from "../harness/stats.ts";
import { addUsers } from "../harness/tables.ts";
import { createFreshTokens, userToken } from "../harness/tokens.ts";
import { type Generator, useAutocannon, useWrk, wrkVersion } from "../load/generator.ts";
import { table } from "../report/report.ts";
import { createVerdict, type Say, type Verdict } from "../report/result.ts";
import { shownSpread } from "../report/show.ts";
import { CHECKOUT, checkOut, describeRevision, type Side, startSide } from "./side.ts";
import { type Crowd, type Figures, type Kind, kinds, measure, RATE } from "./volleys.ts";

const USAGE = `usage: ./sd bench compare REV [refuse | grant] [--rounds N] [--seconds N] [--generator wrk | autocannon] [--quick]`;

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
  const { quick } = values;
  return {
    revision,
    chosen: quick ? chosen.map((kind) => ({ ...kind, connections: [64] })) : chosen,
    rounds: whole("rounds", quick ? 2 : 8),
    seconds: whole("seconds", quick ? 1 : 2),
    users: quick ? 50_000 : 200_000,
    generator,
  };
}

/** All volleys of one kind at one number of connections; the first of each side warms up. */
interface Series {
  kind: Kind;
  connections: number;
  volleys: Map<Side, Figures[]>;
}

async function compare(command: Command, say: Say): Promise<Verdict> {
  const { commit, subject } = await describeRevision(command.revision);
  return withCleanup(async (later) => {
    const { DATA_DIR } = readEnv();
    await mkdir(DATA_DIR, { recursive: true });
    const data = await temporary(join(DATA_DIR, "compare-"), later); // on the disk of any other database of ours
    const checkouts = await temporary(join(tmpdir(), "compare-"), later);
    const secret = newSecret();

    say(`checking out ${commit}: ${subject}`);
    const project = await checkOut(commit, join(checkouts, "revision"), later);
    say("setting up both");
    const ours = await startSide("working tree", CHECKOUT, join(data, "working-tree"), secret, later);
    const theirs = await startSide(commit, project, join(data, commit), secret, later);

    const { users } = command;
    say(`making ${users} users`);
    for (const { owner } of [ours, theirs]) await addUsers({ admin: owner }, 1, users + 1);
    const wrk = command.generator === "wrk" ? wrkVersion() : undefined;
    const generator = wrk ? useWrk(wrk) : useAutocannon();
    const ids = Array.from({ length: users }, (_, i) => i + 1);
    const crowd = { users, fresh: createFreshTokens(secret, ids), winner: userToken(secret, users + 1) };

    const verdict = createVerdict();
    const all = command.chosen.flatMap((kind) =>
      kind.connections.map(
        (connections): Series => ({
          kind,
          connections,
          volleys: new Map([ours, theirs].map((side) => [side, []])),
        }),
      ),
    );
    for (let round = 0; round <= command.rounds; round++) {
      say(round === 0 ? "warming up" : `round ${round} of ${command.rounds}`);
      for (const series of all)
        await fireInTurn(series, round, command.seconds, { generator, crowd, verdict });
    }
    say(`${command.rounds} rounds in turn, by ${generator.name}, on ${nameOf(await machine(ours.setupUrl))}`);
    for (const series of all) say(`\n${render(series)}`);
    return verdict;
  });
}

/** A B, then B A, and so on: whatever changes steadily then falls on both alike. */
async function fireInTurn(
  { kind, connections, volleys }: Series,
  round: number,
  seconds: number,
  { generator, crowd, verdict }: { generator: Generator; crowd: Crowd; verdict: Verdict },
): Promise<void> {
  const turns = [...volleys];
  for (const [side, figures] of round % 2 === 0 ? turns : turns.toReversed()) {
    const lastRate = figures.at(-1)?.[RATE];
    figures.push(await measure(side, { kind, connections, seconds, lastRate }, generator, crowd, verdict));
  }
}

/** A row a figure: medians of both sides and their ratio, each with its range; a round's ratio is of its two volleys. */
function render({ kind, connections, volleys }: Series): string {
  const sides = [...volleys].map(([{ name }, figures]) => ({ name, rounds: figures.slice(1) }));
  const names = Object.keys(sides[0]?.rounds[0] ?? {});
  const rows = names.map((figure) => {
    const values = sides.map(({ rounds }) => rounds.map((round) => round[figure] as number));
    const [ours, theirs] = values as [number[], number[]];
    const ratios = ours.map((value, round) => value / (theirs[round] as number));
    // A process that does nothing has no ratio.
    const ratio = ratios.every(Number.isFinite)
      ? shownSpread([median(ours) / median(theirs), Math.min(...ratios), Math.max(...ratios)])
      : "";
    return [figure, shownSpread(spread(ours)), shownSpread(spread(theirs)), ratio];
  });
  return table([`${kind.name}, ${connections} connections`, ...sides.map(({ name }) => name), "ratio"], rows);
}

/** A directory that others may pass through: PostgreSQL runs as another user where we are root. */
async function temporary(prefix: string, later: (end: () => Promise<unknown>) => void): Promise<string> {
  const directory = await realpath(await mkdtemp(prefix));
  later(atEnd(() => rm(directory, { recursive: true, force: true })));
  await chmod(directory, 0o755);
  return directory;
}
