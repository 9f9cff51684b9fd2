import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { after, test } from "node:test";
import { cleanUp } from "../../harness/cleanup.ts";
import { until } from "../../harness/waiting.ts";
import { startCarrier } from "./carrier.ts";

after(cleanUp);

const server = new URL(process.env["SCRATCH_SERVER_URL"] as string);
/** Asks PostgreSQL for TLS, which it answers by one byte. */
const QUESTION = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

test("what goes by a way does not wait for the process that has opened it", async () => {
  const carrier = startCarrier();
  const { port } = await carrier.open(Number(server.port));
  const ask = `
    const socket = require("net").connect(${port}, "127.0.0.1", () => socket.write(Buffer.from([${[...QUESTION]}])));
    socket.once("data", (answer) => { console.log(answer.toString()); process.exit(); });`;
  // This process does nothing until the other one has ended.
  const { stdout } = spawnSync(process.execPath, ["-e", ask], { encoding: "utf8", timeout: 60_000 });
  assert.match(stdout, /^[SN]\n$/);
  await carrier.close();
});

test("a way is silent until it passes again, and counts what it lost", async (t) => {
  const carrier = startCarrier();
  const way = await carrier.open(Number(server.port));
  const dial = async () => {
    const socket = connect(way.port, "127.0.0.1");
    t.after(() => socket.destroy());
    await once(socket, "connect");
    socket.write(QUESTION);
    return socket;
  };
  const first = await dial();
  await once(first, "data");
  assert.deepEqual(await way.count(), { port: way.port, met: 0, connections: 1 });
  await way.set({ is: "silent" });
  const lost = await dial();
  lost.once("data", () => assert.fail("something arrived"));
  await until(async () => (await way.count()).met === 1, "the question is lost");
  await way.set({ is: "pass" });
  await once(await dial(), "data");
  // What was cut stays dead.
  assert.deepEqual(await way.count(), { port: way.port, met: 1, connections: 3 });
  await carrier.close();
  await assert.rejects(way.count(), /the process of the ways has ended/);
});
