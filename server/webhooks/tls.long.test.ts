/** Webhooks by TLS, as ./sd webhooks and servers send them: who does not prove to be the host of the URL hears nothing. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { openReceiver } from "../../bench/harness/receiver.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd, which } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";

after(cleanUp);

const skip = which("openssl") === undefined ? "needs openssl" : false;

test("a certificate must be that of the host, by somebody whom this machine trusts", { skip }, async (t) => {
  const keys = await temporaryDirectory();
  const [key, certificate] = [join(keys, "host.key"), join(keys, "host.crt")];
  const made = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2"];
  const host = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  await promisify(execFile)("openssl", ["req", "-x509", ...made, ...host]);
  let heard = 0;
  const server = createServer(
    { key: await readFile(key), cert: await readFile(certificate) },
    (_, response) => {
      heard += 1;
      response.writeHead(204).end();
    },
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const plain = await openReceiver();
  const { setupUrl, admin, drop } = await scratchDatabase();
  t.after(async () => {
    server.close();
    await plain.close();
    await drop();
  });
  const trusting = { NODE_EXTRA_CA_CERTS: certificate };

  for (const [url, env, said] of [
    [`https://localhost:${port}/`, trusting, /204 after \d+ ms: taken/],
    [`https://localhost:${port}/`, {}, /no answer after \d+ ms: self-signed certificate/],
    [
      `https://127.0.0.1:${port}/`,
      trusting,
      /no answer after \d+ ms: Hostname\/IP does not match certificate's altnames/,
    ],
    [plain.url.replace("http:", "https:"), trusting, /no answer after \d+ ms: .*(SSL|EPROTO|packet length)/],
  ] as const) {
    heard = 0;
    await admin`select from set_webhook('crm', ${url})`;
    const { status, stdout, stderr } = await runSd(["webhooks", "test", "crm"], {
      dataDir: await temporaryDirectory(),
      env: { DATABASE_URL: setupUrl, WEBHOOKS_ALLOW_PRIVATE: "on", ...env },
    });
    const isTaken = said.source.includes("taken");
    assert.match(stdout, said, stderr);
    assert.match(stdout, /^.+\n.+\n$/, "a line of what was sent, and one of what came of it");
    assert.deepEqual([status, heard], isTaken ? [0, 1] : [1, 0], url);
  }
  assert.equal(plain.received.length, 0);
});
