/** A TCP proxy between server and database, for all that a network does to a connection. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { listen } from "../../db/embedded/port.ts";

export type Mode =
  | { is: "pass" }
  /** Each part arrives so much later, in both directions and in order. */
  | { is: "delay"; ms: number }
  /** Sends so many bytes at a time, 2 ms apart. */
  | { is: "drip"; bytes: number }
  /** What the server sends is lost; what the database sends arrives. */
  | { is: "deaf" }
  /** What the server sends arrives; what the database sends is lost. */
  | { is: "mute" }
  /** Nothing arrives, and nobody is told. */
  | { is: "silent" }
  /** Whoever connects is hung up on. */
  | { is: "hang up" }
  /** Whoever connects is reset. */
  | { is: "refuse" };

export interface TcpProxy {
  /** The database's URL, by way of the proxy. */
  url: string;
  /** A connection that lost a part of what went one way carries no more of it, whatever the mode is later: it is half open. */
  mode: Mode;
  /** Resets all connections (RST), and says how many there were. */
  reset(): number;
  /** How often a mode other than "pass" met something: a part of what is sent, or one who connects. */
  readonly met: number;
  /** How many connections there are. */
  readonly connections: number;
  close(): Promise<void>;
}

export async function openProxy(databaseUrl: string): Promise<TcpProxy> {
  const to = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let met = 0;
  const server = createServer((client) => {
    client.on("error", () => {});
    if (proxy.mode.is === "hang up" || proxy.mode.is === "refuse") met += 1;
    if (proxy.mode.is === "hang up") return void client.resume().end();
    if (proxy.mode.is === "refuse") return void client.resetAndDestroy();
    const database = connect(Number(to.port), to.hostname);
    const pair = [client, database];
    for (const socket of pair) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        for (const other of pair) other.destroy();
      });
    }
    carry(client, database, "deaf");
    carry(database, client, "mute");
  });

  /** Parts keep their order, whatever the mode of each one was. */
  function carry(from: Socket, to: Socket, lostIn: Mode["is"]): void {
    let before: Promise<void> | undefined;
    let isLost = false;
    from.on("data", (data) => {
      const { mode } = proxy;
      isLost ||= mode.is === lostIn || mode.is === "silent";
      const isSlowed = mode.is === "delay" || mode.is === "drip";
      if (isLost || isSlowed) met += 1;
      if (isLost) return;
      if (!isSlowed && before === undefined) return void to.write(data);
      const mine = (before ?? Promise.resolve())
        .then(() => pass(mode, data, to))
        .finally(() => {
          if (before === mine) before = undefined;
        });
      before = mine;
    });
  }

  async function pass(mode: Mode, data: Buffer, to: Socket): Promise<void> {
    if (mode.is === "delay") await pause(mode.ms);
    const step = mode.is === "drip" ? mode.bytes : data.length;
    for (let at = 0; at < data.length && !to.destroyed; at += step) {
      if (at > 0) await pause(2);
      to.write(data.subarray(at, at + step));
    }
  }

  await listen(server, { host: "127.0.0.1", port: 0 });
  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  const proxy: TcpProxy = {
    url: url.href,
    mode: { is: "pass" },
    get met() {
      return met;
    },
    get connections() {
      return sockets.size / 2;
    },
    reset() {
      const all = [...sockets];
      for (const socket of all) socket.resetAndDestroy();
      return all.length / 2;
    },
    async close() {
      for (const socket of [...sockets]) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
