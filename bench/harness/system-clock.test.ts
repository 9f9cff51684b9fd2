/** Time is passed in. The head of server/clock.ts names who has the system's clock all the same: here it is compared with the sources. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);
const CLOCK = "server/clock.ts";
const SYSTEM =
  /\b(Date\.now|performance\.now|process\.hrtime|setTimeout|setInterval|AbortSignal\.timeout)\b|\bnew Date\(\)/;
/** A file, or a folder with all that is in it. */
const NAMED = /\b(?:db|server)\/[\w/-]*(?:\.ts\b|\/)/g;

/** What production runs, by path; not what a browser does. */
function sources(): Map<string, string> {
  const files = ["db", "server"].flatMap((wing) =>
    readdirSync(new URL(wing, ROOT), { recursive: true, encoding: "utf8" }).map((file) =>
      posix.join(wing, file),
    ),
  );
  const isSource = (file: string) => /(?<!\.test)\.ts$/.test(file) && !file.startsWith("server/public/");
  return new Map(files.filter(isSource).map((file) => [file, readFileSync(new URL(file, ROOT), "utf8")]));
}

/** Who has the system's clock and is not named, and who is named without having it. */
function wrong(files: ReadonlyMap<string, string>): string[] {
  const named = files.get(CLOCK)?.split("*/", 1)[0]?.match(NAMED) ?? [];
  const having = [...files]
    .filter(([file, text]) => file !== CLOCK && SYSTEM.test(text))
    .map(([file]) => file);
  const isOf = (file: string, name: string) => (name.endsWith("/") ? file.startsWith(name) : file === name);
  return [
    ...having.filter((file) => !named.some((name) => isOf(file, name))),
    ...named
      .filter((name) => !having.some((file) => isOf(file, name)))
      .map((name) => `${name}: named in vain`),
  ];
}

test("whoever has the system's clock is named in server/clock.ts, and nobody else", () => {
  assert.deepEqual(wrong(sources()), []);
});

test("who is not named is found, and who is named in vain", () => {
  const files = new Map([
    [CLOCK, "/** db/a.ts, server/b/, server/c.ts */ Date.now()"],
    ["db/a.ts", "performance.now()"],
    ["server/b/d.ts", 'import { setTimeout as sleep } from "node:timers/promises";'],
    ["server/c.ts", "clock.now(); new Date(0);"],
    ["server/e.ts", "{ signal: AbortSignal.timeout(1) }"],
  ]);
  assert.deepEqual(wrong(files), ["server/e.ts", "server/c.ts: named in vain"]);
});
