/** A TCP proxy between server and database, for all that a network does to a connection. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type Mode =
  | { is: "pass" }
  /** Each part comes so much later, both ways, in order. */
  | { is: "delay"; ms: number }
  /** So many bytes at a time, 2 ms apart. */
  | { is: "drip"; bytes: number }
  /** What the server sends is lost; what the database sends arrives. */
  | { is: "deaf" }
  /** What the server sends arrives; what the database sends is lost. */
  | { is: "mute" }
  /** Nothing arrives any more, and nobody is told: also whoever connects anew. */
  | { is: "half-open" }
  /** Whoever connects is hung up on. */
  | { is: "hang up" }
  /** Whoever connects is reset. */
  | { is: "refuse" };

export interface Proxy {
  /** The database's URL, by way of the proxy. */
  url: string;
  mode: Mode;
  /** Connections of this moment. */
  connections(): number;
  /** Resets all connections (RST). */
  reset(): void;
  /** Ends all connections (FIN). */
  end(): void;
  close(): Promise<void>;
}

export async function openProxy(databaseUrl: string): Promise<Proxy> {
  const to = new URL(databaseUrl);
  const pairs = new Set<[Socket, Socket]>();
  const server = createServer((client) => {
    client.on("error", () => {});
    if (proxy.mode.is === "hang up") return void client.end();
    if (proxy.mode.is === "refuse") return void client.resetAndDestroy();
    const upstream = connect(Number(to.port), to.hostname);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      // Under half-open nobody is told that the other side has gone.
      socket.once("close", () => {
        pairs.delete(pair);
        if (proxy.mode.is !== "half-open") for (const other of pair) other.destroy();
        else halfOpen.push(...pair);
      });
    }
    carry(client, upstream, "deaf");
    carry(upstream, client, "mute");
  });
  const halfOpen: Socket[] = [];

  /** In order, whatever the mode of each part was. */
  function carry(from: Socket, to: Socket, lostIn: Mode["is"]): void {
    let before: Promise<void> = Promise.resolve();
    let waiting = 0;
    from.on("data", (data) => {
      const { mode } = proxy;
      if (mode.is === lostIn || mode.is === "half-open") return;
      if (mode.is !== "delay" && mode.is !== "drip" && waiting === 0) return void to.write(data);
      waiting += 1;
      before = before
        .then(() => pass(mode, data, to))
        .finally(() => {
          waiting -= 1;
        });
    });
  }

  async function pass(mode: Mode, data: Buffer, to: Socket): Promise<void> {
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    if (mode.is === "delay") await pause(mode.ms);
    const step = mode.is === "drip" ? mode.bytes : data.length;
    for (let at = 0; at < data.length; at += step) {
      if (at > 0) await pause(2);
      if (!to.destroyed) to.write(data.subarray(at, at + step));
    }
  }

  const each = (act: (socket: Socket) => void) => {
    for (const pair of [...pairs]) for (const socket of pair) act(socket);
    for (const socket of halfOpen.splice(0)) act(socket);
  };

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  const proxy: Proxy = {
    url: url.href,
    mode: { is: "pass" },
    connections: () => pairs.size,
    reset: () => each((socket) => socket.resetAndDestroy()),
    end: () => each((socket) => socket.destroy()),
    async close() {
      each((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
