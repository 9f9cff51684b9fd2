/** What Dockerfile and compose.yaml say is run here, without Docker. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "../../db/connect.ts";
import { type Target, targetOf } from "../../db/target.ts";
import { isSeeding } from "../../server/commands/seed.ts";
import { readEnv } from "../../server/env.ts";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { readCode } from "./readme-blocks.ts";
import { dropDatabase, scratchDatabase } from "./scratch.ts";
import { newSecret } from "./service.ts";
import { untilReady } from "./waiting.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8").replaceAll("\\\n", "");
const instructions = (name: string) =>
  [...dockerfile.matchAll(new RegExp(`^${name} +(.*)$`, "gm"))].map(([, rest = ""]) => rest);

test("the files that are copied are enough to serve, and end on the signal that is sent", async (t) => {
  const home = mkdtempSync(join(tmpdir(), "image-"));
  t.after(() => rmSync(home, { recursive: true }));
  const copied = instructions("COPY").flatMap((paths) => paths.split(" ").slice(0, -1));
  for (const path of copied)
    cpSync(join(ROOT, path), join(home, path), {
      recursive: true,
      filter: (source) => !source.endsWith(".test.ts"), // as .dockerignore says
    });
  symlinkSync(join(ROOT, "node_modules"), join(home, "node_modules"));
  const { apiUrl, drop } = await scratchDatabase();
  t.after(drop);
  const [program, ...args]: string[] = JSON.parse(instructions("CMD")[0] ?? "[]");
  assert.equal(program, "node");
  const environment = { PATH: process.env["PATH"], JWT_SECRET: newSecret(), HOST: "127.0.0.1", PORT: "0" };

  // The command loads all that it is made of before it finds no database.
  const setUp = spawnSync(process.execPath, [...TYPESCRIPT, ...args], {
    cwd: home,
    env: { ...environment, DATABASE_URL: "postgres://nobody:x@127.0.0.1:1/nothing" },
    encoding: "utf8",
  });
  assert.match(setUp.stderr, /^sd: .*127\.0\.0\.1:1/);

  const server = spawn(process.execPath, [...TYPESCRIPT, "server/main.ts"], {
    cwd: home,
    env: { ...environment, API_DATABASE_URL: apiUrl },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => server.kill("SIGKILL"));
  const ended = once(server, "exit");
  const [line] = await once(createInterface({ input: server.stdout }), "line");
  const { url } = JSON.parse(line);
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  assert.equal((await fetch(`${url}/`)).status, 200);
  server.kill(instructions("STOPSIGNAL")[0] as NodeJS.Signals);
  assert.deepEqual(await ended, [0, null]);
});

/** A database that nobody has set up. */
async function emptyDatabase(t: TestContext): Promise<Target> {
  const url = process.env["SCRATCH_SERVER_URL"] as string;
  const name = `coupon_image_${process.pid}`;
  const server = connect(url);
  t.after(async () => {
    await dropDatabase(server, name);
    await server.end({ timeout: 1 });
  });
  await server.unsafe(`create database ${name} encoding 'UTF8' template template0`);
  return targetOf(url).on(name);
}

const canRemount = spawnSync("unshare", ["--mount", "true"]).status === 0;
test("set-up and server write no file, and need not be root: as in server/kubernetes", {
  skip: canRemount ? false : "needs root and unshare",
}, async (t) => {
  const database = await emptyDatabase(t);
  const home = mkdtempSync(join(tmpdir(), "secrets-"));
  t.after(() => rmSync(home, { recursive: true }));
  chmodSync(home, 0o755);
  // The image has a Node.js that needs no tsx, which keeps what it makes in a directory of its own.
  const forTsx = join(home, "tsx");
  mkdirSync(forTsx);
  const script = `
    for each in / $(findmnt --raw --noheadings --output TARGET | grep -E '^/(tmp|home|var|root)'); do
      mount -o remount,bind,ro "$each"
    done
    for each in ${home} ${tmpdir()} ${ROOT}; do
      if touch "$each/written" 2> /dev/null; then exit 9; fi
    done
    ${TYPESCRIPT.length > 0 ? `mount -t tmpfs none ${forTsx}` : ""}
    exec setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs "$@"`;
  const [, dataDir] =
    instructions("ENV")
      .join(" ")
      .match(/DATA_DIR=(\S+)/) ?? [];
  /** A command of server/kubernetes, with the value that its variable's file has. */
  const run = (variable: string, value: string, command: readonly string[], more = {}) => {
    writeFileSync(join(home, variable), value);
    const args = [process.execPath, ...TYPESCRIPT, ...command];
    return spawn("unshare", ["--mount", "sh", "-ec", script, "sh", ...args], {
      cwd: ROOT,
      env: {
        PATH: process.env["PATH"],
        TMPDIR: forTsx,
        DATA_DIR: dataDir,
        [`${variable}_FILE`]: join(home, variable),
        ...more,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
  };
  const job = run("DATABASE_URL", database.url, ["server/commands/main.ts", "migrate"]);
  job.stdout.resume();
  assert.deepEqual(await once(job, "exit"), [0, null]);
  const server = run("API_DATABASE_URL", database.as("coupon_api").url, ["server/main.ts"], {
    JWT_SECRET: newSecret(),
    HOST: "127.0.0.1",
    PORT: "0",
  });
  t.after(() => server.kill("SIGKILL"));
  const ended = once(server, "exit");
  const [line] = await once(createInterface({ input: server.stdout }), "line");
  await untilReady(JSON.parse(line).url);
  server.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

test("the health check succeeds while /livez does", async (t) => {
  const [, health = ""] = instructions("HEALTHCHECK")[0]?.match(/CMD (.*)$/) ?? [];
  const [program, ...args] = JSON.parse(health);
  assert.equal(program, "node");
  let status = 200;
  const server = createServer((incoming, outgoing) => {
    assert.equal(incoming.url, "/livez");
    outgoing.writeHead(status).end();
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const ends = async (env: Record<string, string>) => {
    const child = spawn(process.execPath, args, { env: { ...process.env, ...env } });
    return (await once(child, "exit"))[0];
  };
  assert.equal(await ends({ PORT: `${port}` }), 0);
  status = 503;
  assert.equal(await ends({ PORT: `${port}` }), 1);
  server.close();
  server.closeAllConnections();
  assert.equal(await ends({ PORT: `${port}` }), 1);
});

const python = spawnSync("python3", ["-c", "import yaml"]).status === 0;
test("compose.yaml gives the server variables that it takes, and the database that it waits for", {
  skip: python ? false : "needs python3-yaml",
}, () => {
  const code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
  const input = readFileSync(join(ROOT, "compose.yaml"), "utf8");
  const { stdout } = spawnSync("python3", ["-c", code], { input, encoding: "utf8" });
  const { coupon, postgres } = JSON.parse(stdout).services;
  const chosen: Record<string, string> = { JWT_SECRET: "s".repeat(32), POSTGRES_PASSWORD: "p" };
  /** As compose does it: ${NAME}, ${NAME:-default}, ${NAME:?why}, from the inside out. */
  const filled = (value: string): string => {
    const next = value.replace(
      /\$\{(\w+)(?::([-?])([^${}]*))?\}/g,
      (_, name, kind, rest) => chosen[name] ?? (kind === "-" ? rest : assert.fail(`${name} is needed`)),
    );
    return next === value ? value : filled(next);
  };
  const given = Object.entries(coupon.environment as Record<string, string>);
  const file = given.map(([name]) => `${name}=`).join("\n"); // whose names must be known
  const env = readEnv(Object.fromEntries(given.map(([name, value]) => [name, filled(value)])), file);
  assert.deepEqual(
    [isSeeding(env), env.DEMO_KEY, env.DEMO, env.METRICS_TOKEN, env.DATABASE_URL],
    [false, undefined, undefined, undefined, "postgres://postgres:p@postgres:5432/coupons?sslmode=disable"],
  );
  assert.equal(new URL(env.DATABASE_URL as string).pathname, `/${postgres.environment.POSTGRES_DB}`);
});

test("the commands for compose, typed twice: the secrets are made once, and are those that it asks for", (t) => {
  const home = mkdtempSync(join(tmpdir(), "compose-"));
  t.after(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, "bin"));
  const docker = '#!/bin/sh\nstat -c %a compose.env\ncat compose.env\necho "$@"\n';
  writeFileSync(join(home, "bin/docker"), docker, { mode: 0o755 });
  const code = readCode(new URL("../../server/README.md", import.meta.url), "compose");
  const env = { PATH: `${join(home, "bin")}:${process.env["PATH"]}` };
  const [first, second] = [1, 2].map(
    () => spawnSync("sh", ["-ec", code], { cwd: home, env, encoding: "utf8" }).stdout,
  );
  assert.match(
    first ?? "",
    /^600\nJWT_SECRET=\w{64}\nPOSTGRES_PASSWORD=\w{64}\nMETRICS_TOKEN=\w{64}\ncompose --env-file compose.env up --build\n$/,
  );
  assert.equal(first, second);
  const asked = readFileSync(join(ROOT, "compose.yaml"), "utf8").matchAll(/\$\{(\w+):\?/g);
  for (const [, name] of asked) assert.match(first ?? "", new RegExp(`^${name}=`, "m"));
});
