/** A URL with several hosts, by TLS and by Unix sockets: a primary and its standby, each with a certificate of its own. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { openApp } from "../bench/harness/app.ts";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { makeLogin, serverAccount } from "../bench/harness/cluster.ts";
import { createThings } from "../bench/harness/coupons.ts";
import { bin, options } from "../bench/harness/debian.ts";
import { embeddedBin, type Node, startNodes } from "../bench/harness/nodes.ts";
import { makeTemplate, scratchDatabase } from "../bench/harness/scratch.ts";
import { runSd } from "../bench/harness/sd.ts";
import { temporaryDirectory } from "../bench/harness/temporary.ts";
import { until } from "../bench/harness/waiting.ts";
import { withConnection } from "./connect.ts";
import { COMMANDING, createHosts } from "./hosts.ts";
import { targetOf } from "./target.ts";

after(cleanUp);

const run = promisify(execFile);
const needs = hasOpenssl() ? false : "needs openssl";

for (const [version, where, skip] of [
  ["the embedded PostgreSQL", embeddedBin, needs],
  ["Debian's PostgreSQL", async () => bin, options.skip || needs],
] as const)
  describe(version, { skip }, () => {
    const started = once(async () => start(await where()));

    test("verify-full: each host is compared with its own name or address", async () => {
      const { at, named, swapped } = await started();
      for (const places of [named, named.toReversed()])
        assert.deepEqual(await found(at(places, "verify-full")), { host: named[0], isEncrypted: true });
      const [first, second] = swapped;
      const wrong = "does not let us in (ERR_TLS_CERT_ALTNAME_INVALID)";
      await assert.rejects(found(at(swapped, "verify-full")), {
        message: `no host of the URL is the primary: ${first} ${wrong}, ${second} ${wrong}`,
      });
      await assert.rejects(
        found(at(swapped.slice(0, 1), "verify-full")),
        new RegExp(`^Error: the certificate of ${first} is not what sslmode and sslrootcert ask for: `),
      );
      // One of them is right, and it is not the primary.
      await assert.rejects(found(at([swapped[0], named[1]], "verify-full")), {
        message: `no host of the URL is the primary: ${first} ${wrong}, ${named[1]} is a standby`,
      });
    });

    test("verify-ca and require do not compare names, and verify-ca knows who has issued them", async () => {
      const { at, named, swapped, stranger } = await started();
      for (const mode of ["verify-ca", "require"] as const)
        assert.deepEqual(await found(at(swapped, mode)), { host: swapped[0], isEncrypted: true });
      const wrong =
        /^Error: no host of the URL is the primary: .* \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\), .*_SIGNATURE\)$/;
      for (const mode of ["verify-ca", "verify-full"] as const)
        await assert.rejects(found(at(named, mode, stranger)), wrong);
    });

    test("a host without TLS: prefer takes it as it is, require and more do not", async () => {
      const { at, named, primary, standby } = await started();
      await switchTls(standby, "off");
      for (const mode of ["require", "verify-full"] as const)
        assert.deepEqual(await found(at(named, mode)), { host: named[0], isEncrypted: true });
      await switchTls(standby, "on");
      await switchTls(primary, "off");
      assert.deepEqual(await found(at(named, "prefer")), { host: named[0], isEncrypted: false });
      for (const mode of ["require", "verify-full"] as const)
        await assert.rejects(found(at(named, mode)), {
          message: `no host of the URL is the primary: ${named[0]} does not let us in (NO_TLS), ${named[1]} is a standby`,
        });
      await switchTls(primary, "on");
    });

    test("directories of Unix sockets: the primary is found by its own, and there is no TLS", async () => {
      const { at, sockets } = await started();
      for (const places of [sockets, sockets.toReversed()])
        assert.deepEqual(await found(at(places, "verify-full")), { host: sockets[0], isEncrypted: false });
    });

    test("commands: dbmate and psql come to the same host as we do", async () => {
      const { at, named, sockets, primary } = await started();
      for (const [name, places, isEncrypted] of [
        ["by_tls", named, "t"],
        ["by_socket", sockets, "f"],
      ] as const) {
        await primary.run(`create database ${name} owner coupon_ci`);
        const { url } = targetOf(at(places.toReversed(), "verify-full")).on(name);
        const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: url } };
        const migrated = await runSd(["migrate"], how);
        assert.equal(migrated.status, 0, migrated.stderr);
        const asked = "select ssl, current_setting('port') from pg_stat_ssl where pid = pg_backend_pid()";
        assert.deepEqual(await runSd(["psql", "-qAtc", asked], how), {
          status: 0,
          stdout: `${isEncrypted}|${primary.port}\n`,
          stderr: "",
        });
      }
    });

    // The last one: the primary ends.
    test("a server goes on with the standby that was promoted, by TLS and by sockets", async (t) => {
      const { at, named, sockets, primary, standby, serverUrl } = await started();
      await makeTemplate(serverUrl);
      const scratch = await scratchDatabase(serverUrl);
      const { newCoupon, newUsers } = createThings(scratch.admin);
      const coupon = await newCoupon({ count: 10 });
      const users = await newUsers(10);
      const apps: Awaited<ReturnType<typeof openApp>>[] = [];
      for (const places of [named, sockets]) {
        const app = await openApp(at(places, "verify-full", undefined, scratch.apiUrl));
        t.after(() => app.close());
        apps.push(app);
      }
      const issue = async (position: number, outcome: string) => {
        const app = apps[position % 2] as (typeof apps)[number];
        const { body } = await app.issue(coupon, users[position - 1] as number);
        return body.outcome === outcome && body.position === position;
      };
      // On a busy machine, and after a failover, the first answers may be refusals.
      const granted = (position: number) =>
        until(
          async () => (await issue(position, "issued")) || (await issue(position, "already_issued")),
          `the unit ${position} is granted`,
        );
      for (const position of [1, 2]) await granted(position);
      await until(async () => {
        const [primarys, standbys] = await Promise.all([lsnOf(primary), lsnOf(standby)]);
        return primarys === standbys;
      }, "the standby has it");
      await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);
      await primary.stop("SIGQUIT");
      await standby.promote();
      for (const position of [3, 4]) await granted(position);
    });
  });

type Mode = "prefer" | "require" | "verify-ca" | "verify-full";

/** A primary that proves that it is localhost, and a standby that proves that it is 127.0.0.1. */
async function start(programs: string) {
  const directories = [await temporaryDirectory(0o777), await temporaryDirectory(0o777)] as const;
  const [primary, standby] = (await startNodes(2, programs, [
    `unix_socket_directories=${directories.join()}`,
  ])) as [Node, Node];
  const keys = await temporaryDirectory();
  for (const authority of ["ours", "stranger"]) {
    const subject = ["-subj", `/CN=${authority}`, "-days", "2", "-out", `${authority}.crt`];
    await openssl(keys, "req", "-x509", ...newKey(authority), ...subject);
  }
  for (const [node, name, host] of [
    [primary, "name", "DNS:localhost"],
    [standby, "address", "IP:127.0.0.1"],
  ] as const) {
    await certify(keys, name, host);
    await node.run(
      `alter system set ssl_cert_file = '${keys}/${name}.crt'`,
      `alter system set ssl_key_file = '${keys}/${name}.key'`,
    );
    await switchTls(node, "on");
  }
  const serverUrl = await makeLogin(primary.target);
  const both = [primary, standby] as const;
  return {
    ...{ primary, standby, serverUrl },
    named: [`localhost:${primary.port}`, `127.0.0.1:${standby.port}`] as const,
    swapped: [`127.0.0.1:${primary.port}`, `localhost:${standby.port}`] as const,
    sockets: both.map(({ port }, i) => `${directories[i]}:${port}`),
    stranger: join(keys, "stranger.crt"),
    at(
      places: readonly string[],
      mode: Mode,
      authority = mode === "require" || mode === "prefer" ? undefined : join(keys, "ours.crt"),
      url = serverUrl,
    ): string {
      const list = places.map((place) => place.replaceAll("/", "%2F")).join();
      const root = authority === undefined ? "" : `&sslrootcert=${authority}`;
      return `${url.replace(/@[^/]*/, `@${list}`)}?sslmode=${mode}${root}`;
    },
  };
}

/** In the directory of keys, where its files are named. */
const openssl = (cwd: string, ...args: string[]) => run("openssl", args, { cwd });
const newKey = (name: string) => ["-newkey", "rsa:2048", "-nodes", "-keyout", `${name}.key`];

/** `name`.crt, which is valid for a host of this name or address. */
async function certify(keys: string, name: string, host: string): Promise<void> {
  await openssl(keys, "req", ...newKey(name), "-subj", `/CN=${name}`, "-out", `${name}.csr`);
  await fs.writeFile(join(keys, `${name}.ext`), `subjectAltName = ${host}\n`);
  const issuer = ["-CA", "ours.crt", "-CAkey", "ours.key", "-CAcreateserial", "-days", "2"];
  const request = ["-req", "-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.crt`];
  await openssl(keys, "x509", ...request, ...issuer);
  const account = await serverAccount();
  if (account) await fs.chown(join(keys, `${name}.key`), account.uid, account.gid);
}

async function switchTls(node: Node, ssl: "on" | "off"): Promise<void> {
  await node.run(`alter system set ssl = ${ssl}`, "select pg_reload_conf()");
  await until(async () => (await ask(node, "select current_setting('ssl')")) === ssl, `TLS is ${ssl}`);
}

const lsnOf = (node: Node) =>
  ask(
    node,
    "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text",
  );

async function ask({ target }: Node, question: string): Promise<unknown> {
  const [row] = await withConnection(target, (sql) => sql.unsafe(question).values());
  return row?.[0];
}

/** Where the search and a connection come to. */
async function found(url: string) {
  const target = targetOf(url);
  const { host } = target.hosts.length > 1 ? (await createHosts(target, COMMANDING).find()).target : target;
  const [row] = await withConnection(
    target,
    (sql) => sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`,
  );
  return { host, isEncrypted: row?.["ssl"] };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
