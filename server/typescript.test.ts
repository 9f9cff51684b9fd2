import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { TYPESCRIPT } from "./typescript.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** What ./sd says where Node.js has this version: the arguments that it would run Node.js with, or why not. */
function asked(t: { after(work: () => void): void }, version: string): string {
  const directory = mkdtempSync(join(tmpdir(), "node-"));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "node"), `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo "$@"\n`);
  chmodSync(join(directory, "node"), 0o755);
  const env = { PATH: `${directory}:${process.env["PATH"]}`, ENV_FILE: "" };
  const { stdout, stderr } = spawnSync("./sd", ["status"], { cwd: ROOT, env, encoding: "utf8" });
  return (stdout + stderr).trim();
}

test("tsx runs TypeScript where Node.js does not, and a Node.js that is too old is refused", (t) => {
  const itself = "server/commands/main.ts status";
  const said = Object.fromEntries(
    ["v18.20.8", "v20.18.3", "v20.19.0", "v22.17.1", "v22.18.0", "v23.5.0", "v24.0.0", "v26.12.1"].map(
      (version) => [version, asked(t, version)],
    ),
  );
  assert.deepEqual(said, {
    "v18.20.8": "sd: Node.js v18.20.8 is too old: 20.19 or newer is needed",
    "v20.18.3": "sd: Node.js v20.18.3 is too old: 20.19 or newer is needed",
    "v20.19.0": `--import tsx ${itself}`,
    "v22.17.1": `--import tsx ${itself}`,
    "v22.18.0": itself,
    "v23.5.0": `--import tsx ${itself}`,
    "v24.0.0": itself,
    "v26.12.1": itself,
  });
  // What ./sd starts decides as it does.
  assert.equal(asked(t, process.version).includes("tsx"), TYPESCRIPT.length > 0);
});
