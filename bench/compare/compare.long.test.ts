/** ./sd bench compare as it is typed, on this very commit: both sides are set up, compared and removed. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { hasProc } from "../harness/cpu.ts";

const isGit = (() => {
  try {
    execFileSync("git", ["rev-parse", "HEAD"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const needsGit = { skip: !isGit && "needs a git checkout" };

/** The command lines of those that have this variable. Linux only. */
function processesWith(variable: string): string[] {
  if (process.platform !== "linux") return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const has = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(variable);
      return has ? [readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")] : [];
    } catch {
      return []; // it has ended
    }
  });
}

/** With a data directory and a temporary one of its own, so that what is left in them is its own. */
function compare(t: TestContext, ...args: string[]) {
  const home = mkdtempSync(join(tmpdir(), "coupon-"));
  t.after(() => rmSync(home, { recursive: true }));
  const child = spawn(process.execPath, [...TYPESCRIPT, "bench/compare/main.ts", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DATA_DIR: join(home, "data"), TMPDIR: home },
  });
  const told = { status: 0, said: "", complained: "" };
  child.stdout.on("data", (text) => {
    told.said += text;
  });
  child.stderr.on("data", (text) => {
    told.complained += text;
  });
  return {
    child,
    ended: once(child, "close").then(([status]) => ({ ...told, status })),
    async says(words: string) {
      while (!told.said.includes(words)) await once(child.stdout, "data");
    },
    left: () => ({
      processes: processesWith(`TMPDIR=${home}`),
      files: readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) => /compare-/.test(name)),
      worktrees: execFileSync("git", ["worktree", "list"], { encoding: "utf8" }).includes(home),
    }),
  };
}

interface Printed {
  least: number;
  most: number;
}

/** Between what a figure may be that is rounded so. */
function printed(figure: string): Printed {
  const value = Number(figure.replaceAll(",", ""));
  assert.ok(value > 0, figure);
  const half = 0.5 / 10 ** (figure.split(".")[1]?.length ?? 0);
  return { least: value - half, most: value + half };
}

const NOTHING = { processes: [], files: [], worktrees: false };

test(
  "all scenarios in short: a table each, with a ratio of the rates; nothing is left",
  needsGit,
  async (t) => {
    const run = compare(t, "HEAD", "--quick", "--rounds", "1", "--generator", "autocannon");
    const { status, said, complained } = await run.ended;
    assert.equal(status, 0, `${said}\n${complained}`);
    for (const name of ["burst", "refuse", "grant"])
      assert.match(
        said,
        new RegExp(`^\\| ${name}, 64 connections +\\| +working tree \\| +[0-9a-f]{7,} \\| +ratio \\|$`, "m"),
      );
    for (const figure of ["answers a second", ...(hasProc ? ["CPU of the server, µs each"] : []), "p50 ms"]) {
      const rows = [
        ...said.matchAll(new RegExp(`^\\| ${figure} +\\| +(\\S+) \\| +(\\S+) \\| +(\\S+) \\|$`, "gm")),
      ];
      assert.equal(rows.length, 3, said);
      for (const [row, ...cells] of rows) {
        const [ours, theirs, ratio] = cells.map(printed) as [Printed, Printed, Printed];
        const least = ours.least / theirs.most;
        assert.ok(least <= ratio.most && ours.most / theirs.least >= ratio.least, row);
      }
    }
    assert.match(said, /^1 rounds? in turn, by autocannon, on /m);
    assert.deepEqual(run.left(), NOTHING);
  },
);

test("beside a webhook that hangs and a reader who stands still: it says so", needsGit, async (t) => {
  const asked = ["HEAD", "grant", "--quick", "--rounds", "1", "--generator", "autocannon"];
  const run = compare(t, ...asked, "--beside", "webhook,feed");
  const { status, said, complained } = await run.ended;
  assert.equal(status, 0, `${said}\n${complained}`);
  assert.match(said, /^beside the working tree alone: webhook, feed$/m);
  assert.deepEqual(run.left(), NOTHING);
});

test("ended by Ctrl-C while it sets up, it leaves nothing", needsGit, async (t) => {
  const run = compare(t, "HEAD", "--quick");
  await run.says("setting up both");
  // Where processes can be seen: while ./sd setup is at work on one of them.
  while (process.platform === "linux" && !run.left().processes.some((line) => line.includes("main.ts setup")))
    await sleep(5);
  run.child.kill("SIGINT");
  assert.equal((await run.ended).status, 130);
  assert.deepEqual(run.left(), NOTHING);
});

test("what it can't do, in a sentence", needsGit, async (t) => {
  for (const [args, sentence] of [
    [[], /^compare: usage: \.\/sd bench compare REV/],
    [["no-such-revision"], /^compare: git knows no revision no-such-revision here/],
    [["HEAD", "crowd"], /^compare: no such scenario: crowd/],
    [["HEAD", "--beside", "webhook,nobody"], /^compare: --beside takes webhook,feed, or one of them/],
    [["HEAD", "--rounds", "0"], /^compare: --rounds must be a whole number from 1 to 999/],
  ] as const) {
    const { status, complained } = await compare(t, ...args).ended;
    assert.equal(status, 2);
    assert.match(complained, sentence);
  }
});
