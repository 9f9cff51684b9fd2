import assert from "node:assert/strict";
import { test } from "node:test";
import { type Report, type Screen, withProgress } from "./progress.ts";

/** What a screen of this width gets, and what is said. */
async function shown(
  columns: number | undefined,
  work: (report: Report) => Promise<unknown> | unknown,
  env: NodeJS.ProcessEnv = {},
) {
  const written: string[] = [];
  const said: string[] = [];
  const screen: Screen = {
    ...(columns === undefined ? {} : { isTTY: true, columns }),
    write: (text) => void written.push(text),
  };
  await withProgress(
    "users",
    (line) => void said.push(line),
    async (report) => work(report),
    screen,
    env,
  );
  return { written, said };
}

test("a terminal: one line that is written over, and is gone at the end", async () => {
  const { written, said } = await shown(60, (report) => {
    for (const done of [0, 12_500, 25_000]) report(done, 25_000);
  });
  assert.deepEqual(written, [
    "\r░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   0 %      0 of 25,000 users",
    "\r███████████████░░░░░░░░░░░░░░░  50 % 12,500 of 25,000 users",
    "\r██████████████████████████████ 100 % 25,000 of 25,000 users",
    "\r\x1b[K",
  ]);
  assert.deepEqual(said, []);
});

test("a narrow terminal: a shorter bar, then none, then what fits; never the last column", async () => {
  const half = (report: Report) => report(5, 10);
  for (const [columns, line] of [
    [40, "█████████░░░░░░░░░  50 %  5 of 10 users"],
    [25, "█░░  50 %  5 of 10 users"],
    [24, " 50 %  5 of 10 users"],
    [10, " 50 %  5 "],
    [0, "███████████████░░░░░░░░░░░░░░░  50 %  5 of 10 users"], // a terminal that does not know
  ] as const) {
    const { written } = await shown(columns, half);
    assert.equal(written[0], `\r${line}`);
    assert.ok(line.length < (columns || 80));
  }
});

test("a terminal: the bar is gone when the work fails", async () => {
  const written: string[] = [];
  const screen = { isTTY: true, columns: 20, write: (text: string) => void written.push(text) };
  const work = async (report: Report) => {
    report(1, 2);
    throw new Error("no");
  };
  await assert.rejects(withProgress("users", assert.fail, work, screen, {}), { message: "no" });
  assert.equal(written.at(-1), "\r\x1b[K");
});

test("a pipe: a line for each tenth, and none of a bar", async () => {
  const { written, said } = await shown(undefined, (report) => {
    for (let done = 0; done <= 2_000; done += 50) report(done, 2_000);
  });
  assert.deepEqual(written, []);
  assert.deepEqual(
    said,
    Array.from({ length: 10 }, (_, i) => `${((i + 1) * 200).toLocaleString("en")} of 2,000 users`),
  );
});

test("a pipe: a line when nothing was said for long", async (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const { said } = await shown(undefined, (report) => {
    for (const [at, done] of [
      [4_999, 1],
      [5_000, 2],
      [9_999, 3],
      [10_000, 4],
    ] as const) {
      now = at;
      report(done, 1_000);
    }
  });
  assert.deepEqual(said, ["2 of 1,000 users", "4 of 1,000 users"]);
});

for (const env of [{ CI: "true" }, { NO_COLOR: "1" }, { TERM: "dumb" }])
  test(`a terminal with ${JSON.stringify(env)}: lines`, async () => {
    const { written, said } = await shown(80, (report) => report(1, 1), env);
    assert.deepEqual([written, said], [[], ["1 of 1 users"]]);
  });
