import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { CHECKOUT, checkoutWith, ended, runSd, sd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";

after(cleanUp);

test(".env is read, the environment wins, and a wrong name is refused", async () => {
  const checkout = await checkoutWith(
    "PORT=4001\nWORKERS=2\nJWT_SECRET='a secret of the tests, long enough for HS256'\n",
  );
  const dataDir = join(await temporaryDirectory(), "data");
  const run = (args: string[], env: Record<string, string> = {}) =>
    promisify(execFile)(join(checkout, "sd"), args, {
      cwd: "/",
      env: { PATH: process.env["PATH"], HOME: tmpdir(), DATA_DIR: dataDir, ...env },
    });

  const { stdout, stderr } = await run(["status"], { PORT: "4002" });
  assert.match(stdout, /^ {12}PORT {13}4002 \(given\)$/m);
  assert.match(stdout, /^ {12}WORKERS {10}2 \(given\)$/m);
  assert.match(stdout, /^ {12}JWT_SECRET {7}set \(44 characters\) \(given\)$/m);
  assert.equal(stderr, "");
  const none = await run(["status"], { ENV_FILE: "" });
  assert.match(none.stdout, /^ {12}WORKERS {10}1 \(default\)$/m);
  assert.equal((await run(["token", "--user", "1"])).stdout.split(".").length, 3);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" }, "the secret is the file's");

  await fs.appendFile(join(checkout, ".env"), "WORKER=3\n");
  for (const [args, code] of [
    [["status"], 1],
    [["token", "--user", "1"], 2],
  ] as const)
    await assert.rejects(run([...args]), {
      code,
      stdout: "",
      stderr: "sd: the environment is wrong. .env: there is no variable WORKER, see .env.example\n",
    });
});

test("called from elsewhere: the checkout is found, and files are the caller's", async () => {
  const [here, bin, decoy] = await Promise.all([
    temporaryDirectory(),
    temporaryDirectory(),
    temporaryDirectory(),
  ]);
  const [folder, checkout] = [basename(CHECKOUT), dirname(CHECKOUT)];
  await fs.symlink(join(CHECKOUT, "sd"), join(bin, "real"));
  await fs.symlink("real", join(bin, "sd")); // one that is relative, to another one
  await fs.symlink(CHECKOUT, join(here, folder));
  await fs.mkdir(join(decoy, folder));
  await fs.writeFile(join(here, "server.log"), "nothing\n");
  const env = {
    ...{ PATH: `${bin}:${process.env["PATH"]}`, HOME: tmpdir(), ENV_FILE: "", CDPATH: decoy },
    DATA_DIR: join(here, "data"),
  };
  for (const [command, ...args] of [
    [join(CHECKOUT, "sd")],
    [join(bin, "sd")],
    ["sd"],
    ["sh", join(folder, "sd")],
    [relative(here, join(checkout, folder, "sd"))],
  ] as [string, ...string[]][]) {
    const run = promisify(execFile)(command, [...args, "lost-grants", "server.log"], { cwd: here, env });
    await assert.rejects(
      run,
      {
        code: 2,
        stdout: "these files acknowledge no grant: logs have them at LOG_LEVEL info and debug only\n",
        stderr: "",
      },
      command,
    );
  }
  assert.deepEqual(
    (await fs.readdir(here)).sort(),
    [folder, "server.log"].sort(),
    "nothing was installed here",
  );
});

/** A checkout without dependencies, and how its ./sd is run with a Node.js that says what it is given, and with this npm. */
async function uninstalled(npm: string) {
  const [checkout, bin] = await Promise.all([checkoutWith(""), temporaryDirectory()]);
  await fs.rm(join(checkout, "node_modules"));
  await fs.mkdir(join(checkout, "node_modules"));
  for (const [name, says] of [
    ["node", '[ "$1" != --version ] || set -- v24.0.0\necho "$@"'],
    ["npm", npm],
  ] as const)
    await fs.writeFile(join(bin, name), `#!/bin/sh\n${says}\n`, { mode: 0o755 });
  const env = { PATH: `${bin}:${process.env["PATH"]}`, HOME: tmpdir() };
  const token = "--env-file=.env server/commands/token.ts --admin\n";
  return {
    bin,
    checkout,
    token,
    run: () => promisify(execFile)(join(checkout, "sd"), ["token", "--admin"], { env }),
  };
}

test("dependencies are installed without a word on stdout, from which a token may be read", async () => {
  const { run, token } = await uninstalled("echo added 3 packages");
  assert.deepEqual(await run(), { stdout: token, stderr: "installing dependencies\nadded 3 packages\n" });
  assert.deepEqual(await run(), { stdout: token, stderr: "" });
});

test("where there is no npm, that is said", async () => {
  const { bin, checkout } = await uninstalled("exit 1");
  await fs.rm(join(bin, "npm"));
  for (const name of ["dirname", "cmp", "cat"]) {
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", `command -v ${name}`]);
    await fs.symlink(stdout.trim(), join(bin, name));
  }
  const run = promisify(execFile)(join(checkout, "sd"), ["token", "--admin"], { env: { PATH: bin } });
  await assert.rejects(run, {
    code: 1,
    stdout: "",
    stderr: "sd: npm is needed: it comes with Node.js, and as a package of its own (npm) with Debian's\n",
  });
});

test("an install that is ended takes back what it did before the next one begins", async () => {
  const { bin, run, token } = await uninstalled(`
    [ "$1" = install ] || exit 0
    cd "$(dirname "$0")"
    [ ! -e begun ] || { ls; exit; }
    trap 'sleep 1; touch taken-back; exit 1' TERM
    touch begun
    while :; do sleep 0.05; done`);
  const first = run();
  const refused = assert.rejects(first, { code: 143, stdout: "", stderr: "installing dependencies\n" });
  await until(async () => (await fs.readdir(bin)).includes("begun"));
  first.child.kill("SIGTERM");
  const { stdout, stderr } = await run();
  await refused;
  assert.equal(stdout, token);
  assert.match(
    stderr,
    /^waiting for another npm install to end, process \d+\ninstalling dependencies\nbegun\nnode\nnpm\ntaken-back\n$/,
  );
});

test("a file of settings that can't be read: a sentence, and no other database is taken", async () => {
  const dataDir = join(await temporaryDirectory(), "data");
  for (const file of [`${dataDir}.env`, dirname(dataDir)])
    for (const [args, status] of [
      [["start"], 1],
      [["token", "--admin"], 1],
    ] as const)
      assert.deepEqual(await runSd(args, { dataDir, env: { ENV_FILE: file } }), {
        status,
        stdout: "",
        stderr: `sd: cannot read ${file}, which should have the settings\n`,
      });
  // A link whose file is not mounted, say.
  const checkout = await checkoutWith("");
  await fs.rm(join(checkout, ".env"));
  await fs.symlink(`${dataDir}.env`, join(checkout, ".env"));
  const env = { PATH: process.env["PATH"], HOME: tmpdir(), DATA_DIR: dataDir };
  await assert.rejects(promisify(execFile)(join(checkout, "sd"), ["token", "--admin"], { env }), {
    code: 1,
    stderr: "sd: cannot read .env, which should have the settings\n",
  });
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });
});

test("a reader that has gone is no error: ./sd status | head -3", async () => {
  const dataDir = join(await temporaryDirectory(), "data");
  for (const args of [["status"], ["token", "--users", "1-1000"]]) {
    const run = sd(args, { dataDir, env: { JWT_SECRET: "s".repeat(32) } });
    run.child.stdout.destroy();
    assert.deepEqual([await ended(run), run.stderr], [0, ""]);
  }
});

test("./sd test has nothing of .env", async () => {
  const checkout = await checkoutWith("PORT=4001\n");
  const probe = join(checkout, "probe.test.ts");
  await fs.writeFile(
    probe,
    `import assert from "node:assert/strict"; import { test } from "node:test"; import { execFileSync } from "node:child_process";
    test("nothing", () => {
      assert.equal(process.env["PORT"], undefined);
      assert.match(execFileSync("./sd", ["status"], { encoding: "utf8" }), /PORT +3000 .default/);
    });`,
  );
  await promisify(execFile)(join(checkout, "sd"), ["test", probe], {
    env: {
      PATH: process.env["PATH"],
      HOME: tmpdir(),
      SCRATCH_SERVER_URL: process.env["SCRATCH_SERVER_URL"],
    },
  });
});

test("a wrong setting: a sentence, and status 1", async () => {
  const how = { dataDir: join(await temporaryDirectory(), "data"), env: { PORT: "65536" } };
  assert.deepEqual(await runSd(["start"], how), {
    status: 1,
    stdout: "",
    stderr: "sd: the environment is wrong. PORT: must be a whole number from 0 to 65535\n",
  });
});

test("a word that a command does not take: a sentence, status 1, and nothing is done", async () => {
  const dataDir = join(await temporaryDirectory(), "data");
  for (const name of ["setup", "start", "check", "doctor", "status", "api-url", "stop"])
    assert.deepEqual(
      await runSd([name, "foo", "--bar"], { dataDir }),
      { status: 1, stdout: "", stderr: `sd: usage: ./sd ${name} (not: foo --bar)\n` },
      name,
    );
  assert.deepEqual(await runSd(["reset", "--yes", "foo"], { dataDir }), {
    status: 1,
    stdout: "",
    stderr: "sd: usage: ./sd reset [--yes]\n",
  });
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });
});

test("an unknown command: a sentence, status 1; help: status 0, and each command that it names runs", async () => {
  const dataDir = join(await temporaryDirectory(), "data");
  const help = await runSd(["help"], { dataDir });
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^usage: \.\/sd \[command\]\n/);
  for (const wrong of ["strat", "--yes"]) {
    const { status, stdout, stderr } = await runSd([wrong], { dataDir });
    assert.equal(stderr, `sd: no such command: ${wrong}; ./sd help lists them\n`);
    assert.equal(stdout, "");
    assert.equal(status, 1);
  }
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });

  const one = await runSd(["help", "reset"], { dataDir });
  assert.equal(one.stdout, help.stdout.match(/^ {2}reset .*\n/m)?.[0]);
  const two = (await runSd(["help", "token"], { dataDir })).stdout;
  assert.equal(two, help.stdout.match(/^ {2}token --user (?:.*\n)*? {2}token --metrics .*\n/m)?.[0]);
  for (const flag of ["--help", "-h"]) {
    const { status, stdout, stderr } = await runSd(["token", flag], { dataDir });
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: two, stderr: "" });
  }
  for (const args of [["help", "--help"], ["help", "-h"], ["help", "help"], ["--help"]])
    assert.deepEqual(await runSd(args, { dataDir }), help, args.join(" "));
  assert.equal((await runSd(["help", "strat"], { dataDir })).status, 1);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });

  // With a node that only says what it is asked to run.
  const bin = await temporaryDirectory();
  const node = join(bin, "node");
  await fs.writeFile(node, '#!/bin/sh\n[ "$1" != --version ] || set -- v24.0.0\necho "$@"\n', {
    mode: 0o755,
  });
  const named = [...help.stdout.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name = ""]) => name);
  const asked = await Promise.all(
    [...new Set(named)].map(async (name) => {
      const { status, stdout } = await runSd([name], {
        dataDir,
        env: { PATH: `${bin}:${process.env["PATH"]}` },
      });
      return [name, status, stdout.match(/(server|bench)\/.*/)?.[0]];
    }),
  );
  const ours = [
    "start",
    "migrate",
    "retire",
    "webhooks",
    "stop",
    "reset",
    "cluster",
    "status",
    "doctor",
    "check",
    "lost-grants",
    "psql",
    "sql",
    "api-url",
  ];
  const workshop = (name: string, program: string, flag = "") => [
    name,
    0,
    `bench/harness/main.ts ${flag}node ${program}`,
  ];
  assert.deepEqual(asked, [
    ...ours.map((name) => [name, 0, `server/commands/main.ts ${name}`]),
    ["token", 0, "server/commands/token.ts"],
    ["keys", 0, "server/commands/main.ts keys"],
    workshop("test", "bench/harness/runner.ts"),
    workshop("bench", "bench/load/main.ts", "--durable "),
    workshop("faults", "bench/faults/main.ts"),
    workshop("fuzz", "bench/fuzz/main.ts"),
  ]);
});

test("DATABASE_URL where nothing listens: one sentence without its password, and status 1", async () => {
  const dataDir = await temporaryDirectory();
  const env = { DATABASE_URL: "postgres://shop:hush@localhost:1/shop" };
  for (const args of [["start"], ["check"]]) {
    const { status, stdout, stderr } = await runSd(args, { dataDir, env });
    assert.equal(
      stderr,
      "sd: no PostgreSQL answers at localhost:1 (ECONNREFUSED): start it, or correct DATABASE_URL\n",
    );
    assert.equal(stdout, "");
    assert.equal(status, 1);
  }
});
