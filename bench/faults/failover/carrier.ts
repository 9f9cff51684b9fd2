/**
 * Proxies in a process of their own. In the clients' process a question to etcd takes longer than Patroni waits for the answer, as soon as
 * thousands ask again at once: then nodes that nobody has cut off give up the leader's lock.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { atEnd } from "../../harness/cleanup.ts";
import { type Mode, openProxy, type TcpProxy } from "../proxy.ts";

interface Carrier {
  /** A way to this port of loopback. */
  open(to: number): Promise<Way>;
  /** Ends all ways. */
  close(): Promise<void>;
}

export interface Way {
  port: number;
  /** Resolves when it is so. */
  set(mode: Mode): Promise<unknown>;
  /** What the proxy has counted so far. */
  count(): Promise<Counts>;
}

type Counts = Pick<TcpProxy, "met" | "connections">;
type Ask = { to: number } | { port: number; mode?: Mode };
type Told = Counts & { port: number };

export function startCarrier(): Carrier {
  const child = fork(fileURLToPath(import.meta.url));
  const asks = new Map<number, (told: Told | undefined) => void>();
  let asked = 0;
  let isOver = false;
  child.on("message", ({ id, told }: { id: number; told: Told }) => {
    asks.get(id)?.(told);
    asks.delete(id);
  });
  child.once("exit", () => {
    isOver = true;
    for (const answer of asks.values()) answer(undefined);
  });
  async function ask(what: Ask): Promise<Told> {
    const id = asked++;
    const told = await new Promise<Told | undefined>((resolve) => {
      if (isOver) return resolve(undefined);
      asks.set(id, resolve);
      child.send({ id, what });
    });
    if (told === undefined) throw new Error("the process of the ways has ended");
    return told;
  }
  return {
    async open(to) {
      const { port } = await ask({ to });
      return { port, set: (mode) => ask({ port, mode }), count: () => ask({ port }) };
    },
    close: atEnd(async () => {
      if (isOver) return;
      const ended = once(child, "exit");
      child.kill();
      await ended;
    }),
  };
}

/** The process itself. */
function carry(): void {
  const proxies = new Map<number, TcpProxy>();
  async function proxyFor(what: Ask): Promise<[port: number, proxy: TcpProxy]> {
    if ("port" in what) return [what.port, proxies.get(what.port) as TcpProxy];
    const proxy = await openProxy(`http://127.0.0.1:${what.to}`);
    const port = Number(new URL(proxy.url).port);
    proxies.set(port, proxy);
    return [port, proxy];
  }
  process.on("message", async ({ id, what }: { id: number; what: Ask }) => {
    const [port, proxy] = await proxyFor(what);
    if ("mode" in what) proxy.mode = what.mode;
    const { met, connections } = proxy;
    process.send?.({ id, told: { port, met, connections } });
  });
  // Whoever has started it is gone.
  process.once("disconnect", () => process.exit());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) carry();
