/** The proxy, mode by mode, against a server that echoes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { listen } from "../../db/embedded/port.ts";
import { until } from "../harness/waiting.ts";
import { openProxy } from "./proxy.ts";

async function open(t: TestContext) {
  const heard: string[] = [];
  const echo = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      heard.push(data.toString());
      socket.write(data);
    });
  });
  await listen(echo, { host: "127.0.0.1", port: 0 });
  const proxy = await openProxy(`postgres://u:p@127.0.0.1:${(echo.address() as AddressInfo).port}/d`);
  t.after(async () => {
    await proxy.close();
    echo.close();
  });
  const dial = () => {
    const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
    const said: string[] = [];
    const ended = new Promise<string>((resolve) => {
      socket.once("error", ({ code = "" }: { code?: string }) => resolve(code));
      socket.once("close", () => resolve("closed"));
    });
    socket.on("data", (data) => said.push(data.toString()));
    t.after(() => socket.destroy());
    return { socket, said, ended, untilSaid: () => once(socket, "data") };
  };
  return { proxy, heard, dial };
}

test("pass, delay and drip: everything, in order, whatever the mode was meanwhile", async (t) => {
  const { proxy, dial } = await open(t);
  const { socket, said, untilSaid } = dial();
  const sent: string[] = [];
  for (const mode of [
    { is: "pass" },
    { is: "drip", bytes: 3 },
    { is: "delay", ms: 5 },
    { is: "pass" },
  ] as const) {
    proxy.mode = mode;
    const part = `part ${sent.length} of what is sent\n`;
    sent.push(part);
    socket.write(part);
    await untilSaid();
  }
  while (said.join("").length < sent.join("").length) await untilSaid();
  assert.equal(said.join(""), sent.join(""));
  assert.ok(proxy.met >= 2);
});

test("mute and deaf: one way only, and a connection that lost something stays half open", async (t) => {
  const { proxy, heard, dial } = await open(t);
  const mute = dial();
  proxy.mode = { is: "mute" };
  mute.socket.write("a");
  await until(() => proxy.met === 1);
  proxy.mode = { is: "deaf" };
  const deaf = dial();
  deaf.socket.write("b");
  await until(() => proxy.met === 2);
  proxy.mode = { is: "pass" };
  const other = dial();
  mute.socket.write("c");
  other.socket.write("d");
  await other.untilSaid();
  await until(() => heard.includes("c"));
  assert.deepEqual([heard.toSorted().join(""), mute.said, other.said], ["acd", [], ["d"]]);
  // "c" was answered, and that was lost too: its connection is half open.
  await until(() => proxy.met === 3);
});

test("hang up, refuse and reset: as told by the socket", async (t) => {
  const { proxy, dial } = await open(t);
  const there = dial();
  there.socket.write("a");
  await there.untilSaid();
  assert.equal(proxy.reset(), 1);
  assert.equal(await there.ended, "ECONNRESET");
  proxy.mode = { is: "hang up" };
  const hungUp = dial();
  assert.equal(await hungUp.ended, "closed");
  proxy.mode = { is: "refuse" };
  assert.equal(await dial().ended, "ECONNRESET");
  assert.equal(proxy.met, 2);
});
