/** Faults of the server's own process. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "../fault.ts";
import type { Ground, Server } from "../ground.ts";
import { standStill } from "../processes.ts";
import { met } from "./network.ts";

export const servers: readonly Fault[] = [
  {
    name: "server killed",
    about: "kill -9 of the server between the commit and the reply",
    seen: "the database's reply is lost, and the process has ended",
    isServers: true,
    async strike(ground) {
      const server = one(ground);
      const { proxy } = ground;
      await met(proxy, { is: "mute" });
      // What else was sent is committed by then.
      await sleep(30);
      await kill(server);
      proxy.mode = { is: "pass" };
      await startAgain(ground, server);
    },
  },
  {
    name: "server stopped",
    about: "SIGSTOP of the server, and SIGCONT",
    seen: "the kernel says that the process is stopped",
    isServers: true,
    async strike(ground) {
      const { pid } = one(ground);
      await standStill([pid], () => ground.hold(200, 8_000));
    },
  },
  {
    name: "restart",
    about: "SIGTERM of the only server in a burst, then a new one on the same port",
    seen: "the process has ended",
    isServers: true,
    async strike(ground) {
      const server = one(ground);
      await server.stop();
      await startAgain(ground, server);
    },
  },
  {
    name: "roll-out",
    about: "a new server beside the old one, which is told to end in a burst",
    seen: "the new one answers, and the old one has ended",
    async strike(ground) {
      const old = one(ground);
      const next = await ground.startServer();
      replace(ground, old, next);
      await old.stop();
    },
  },
  {
    name: "two servers",
    about: "two servers on one database, of which one is killed with -9 or stopped",
    seen: "the process has ended, or the kernel says that it is stopped",
    servers: 2,
    isServers: true,
    async strike(ground) {
      const server = ground.servers[ground.random() < 0.5 ? 0 : 1] as Server;
      if (ground.random() < 0.5) return standStill([server.pid], () => ground.hold(200, 3_000));
      await kill(server);
      await startAgain(ground, server);
    },
  },
];

function one({ servers }: Ground): Server {
  return servers[0] as Server;
}

async function kill(server: Server): Promise<void> {
  server.dismiss();
  process.kill(server.pid, "SIGKILL");
  await server.ended;
}

async function startAgain(ground: Ground, old: Server): Promise<void> {
  replace(ground, old, await ground.startServer(old.port));
}

function replace({ servers, targets }: Ground, old: Server, next: Server): void {
  servers.splice(servers.indexOf(old), 1, next);
  targets.splice(targets.indexOf(old.url), 1, next.url);
}
