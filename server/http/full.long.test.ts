/** Several processes behind one port, each with as many connections as it may have. This file is their program too. */
import assert from "node:assert/strict";
import cluster from "node:cluster";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { TYPESCRIPT } from "../typescript.ts";
import { createHttpServer, LIMITS } from "./wire.ts";

const WORKERS = 2;

if (cluster.isWorker) {
  const refuse = () => ({ status: 400, headers: {}, text: "" });
  const server = createHttpServer((_, outgoing) => void outgoing.end(), refuse, {
    ...LIMITS,
    connections: 1,
  });
  server.listen(0, "127.0.0.1");
} else
  test("one connection more than all of several processes may have is closed", async (t) => {
    cluster.setupPrimary({
      exec: fileURLToPath(import.meta.url),
      execArgv: [...TYPESCRIPT],
    });
    const workers = Array.from({ length: WORKERS }, () => cluster.fork());
    t.after(() => {
      for (const worker of workers) worker.process.kill("SIGKILL");
    });
    const [[{ port }]] = (await Promise.all(workers.map((worker) => once(worker, "listening")))) as [
      [{ port: number }],
    ];
    const open = (): Socket => {
      const socket = connect(port, "127.0.0.1").resume();
      t.after(() => socket.destroy());
      return socket;
    };
    for (let i = 0; i < WORKERS; i++) {
      const socket = open();
      socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await once(socket, "data");
    }
    const beyond = open().on("error", () => {}); // a reset is an end too
    beyond.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await new Promise((resolve) => beyond.once("close", resolve));
    assert.equal(beyond.bytesRead, 0);
  });
