/** What can be told of Dockerfile and compose.yaml without Docker. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readEnv } from "../../server/env.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (name: string) => readFileSync(join(ROOT, name), "utf8");
const dockerfile = read("Dockerfile").replaceAll("\\\n", "");
const instructions = (name: string) =>
  [...dockerfile.matchAll(new RegExp(`^${name} +(.*)$`, "gm"))].map(([, rest = ""]) => rest);
const copied = instructions("COPY").flatMap((paths) => paths.split(" ").slice(0, -1));
const command: string[] = JSON.parse(instructions("CMD")[0] ?? "[]");
const PORT = `${readEnv({}).PORT}`;

test("what is copied is there, and not ignored", () => {
  const ignore = read(".dockerignore").split("\n");
  assert.equal(ignore[0], "*");
  assert.deepEqual(
    ignore.flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : [])).sort(),
    copied.toSorted(),
  );
  for (const path of copied) assert.ok(existsSync(join(ROOT, path)), path);
});

test("what is run finds all that it imports among what is copied and the dependencies", () => {
  const dependencies = Object.keys(JSON.parse(read("package.json")).dependencies);
  const entry = command.find((word) => word.endsWith(".ts")) as string;
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    assert.ok(copied.includes(path.split("/")[0] as string), `${path} is not in the image`);
    assert.doesNotMatch(path, /\.test\.ts$|(^|\/)testing\.ts$/);
    for (const [, name = ""] of read(path).matchAll(/(?:from|import) "([^"]+)"/g)) {
      if (name.startsWith(".")) visit(relative(ROOT, join(ROOT, dirname(path), name)));
      else if (!name.startsWith("node:")) {
        const [scope = "", rest = ""] = name.split("/");
        const needed = scope.startsWith("@") ? `${scope}/${rest}` : scope;
        assert.ok(dependencies.includes(needed), `${path} needs ${needed}`);
      }
    }
  };
  visit(entry);
  visit("server/main.ts"); // which it starts
  visit("server/commands/token.ts"); // ./sd token
  assert.ok(seen.size > 20);
  assert.deepEqual(command, ["node", "--import", "tsx", entry, "start"]);
  assert.ok(dependencies.includes("tsx"));
});

test("an unprivileged user, the default port, SIGTERM, /livez", () => {
  assert.deepEqual(instructions("USER"), ["node"]);
  assert.deepEqual(instructions("EXPOSE"), [PORT]);
  assert.deepEqual(instructions("STOPSIGNAL"), ["SIGTERM"]);
  assert.match(instructions("HEALTHCHECK")[0] ?? "", new RegExp(`PORT \\|\\| ${PORT}\\}/livez`));
  assert.match(read("compose.yaml"), new RegExp(`^ +- "${PORT}:${PORT}"$`, "m"));
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

/** The variables that a service of compose.yaml is given. */
function environment(service: string): Record<string, string> {
  const [, block = ""] =
    read("compose.yaml").match(new RegExp(`^  ${service}:\n((?:    .*\n|\n)*)`, "m")) ?? [];
  const [, lines = ""] = block.match(/^ {4}environment:\n((?: {6}.*\n)*)/m) ?? [];
  return Object.fromEntries(
    [...lines.matchAll(/^ +(\w+): (.*)$/gm)].map(([, name = "", value = ""]) => [
      name,
      value.replace(/^"(.*)"$/, "$1"),
    ]),
  );
}

test("compose.yaml gives the server variables that it knows, with values that it takes", () => {
  const known = [...read("server/env.ts").matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => name);
  const given = environment("coupon");
  assert.deepEqual(
    Object.keys(given).filter((name) => !known.includes(name)),
    [],
  );
  const chosen: Record<string, string> = { JWT_SECRET: "s".repeat(32), POSTGRES_PASSWORD: "p" };
  /** As compose does it: ${NAME}, ${NAME:-default}, ${NAME:?why}, from the inside out. */
  const filled = (value: string): string => {
    const next = value.replace(
      /\$\{(\w+)(?::([-?])([^${}]*))?\}/g,
      (_, name, kind, rest) => chosen[name] ?? (kind === "-" ? rest : assert.fail(`${name} is needed`)),
    );
    return next === value ? value : filled(next);
  };
  const env = readEnv(
    Object.fromEntries(Object.entries(given).map(([name, value]) => [name, filled(value)])),
  );
  assert.equal(env.SEED, "off");
  assert.equal(env.METRICS_TOKEN, undefined);
  assert.equal(env.DATABASE_URL, "postgres://postgres:p@postgres:5432/coupons?sslmode=disable");
  const { POSTGRES_DB } = environment("postgres");
  assert.equal(new URL(env.DATABASE_URL as string).pathname, `/${POSTGRES_DB}`);
});

const python = spawnSync("python3", ["-c", "import yaml"]).status === 0;
test("compose.yaml is YAML", { skip: python ? false : "needs python3-yaml" }, () => {
  const code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
  const { stdout } = spawnSync("python3", ["-c", code], { input: read("compose.yaml"), encoding: "utf8" });
  const { services } = JSON.parse(stdout);
  assert.deepEqual(Object.keys(services), ["coupon", "postgres"]);
  assert.deepEqual(services.coupon.environment, environment("coupon"));
});
