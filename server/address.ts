/** The address that the server listens on: HOST and PORT. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { listen } from "../db/embedded/port.ts";
import { type Env, urlOf } from "./env.ts";

/** Listens there. Rejects with a sentence for who sets HOST and PORT. */
export async function listenAt({ HOST, PORT }: Env, server: Server): Promise<void> {
  await listen(server, { host: HOST, port: PORT, backlog: 4096 }).catch(
    (error: { code?: string; message: string }) => {
      if (error.code === "EADDRINUSE")
        throw new Error(`port ${PORT} is in use: end what listens there, or set PORT to another one`);
      if (error.code === "EACCES")
        throw new Error(`port ${PORT} needs more rights: set PORT to one from 1024 on`);
      if (error.code === "EADDRNOTAVAIL") throw new Error(`HOST ${HOST} is no address of this machine`);
      throw error;
    },
  );
}

/** The port: PORT, or a free one if that is 0. Throws what a server would throw that listened now. */
export async function checkAddress(env: Env): Promise<number> {
  const server = createServer();
  await listenAt(env, server);
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Where a browser or curl on this machine finds the server that listens there. */
export function localUrl({ HOST, PORT }: Pick<Env, "HOST" | "PORT">): string {
  // All addresses, or the one that localhost is everywhere.
  const isLocalhost = ["0.0.0.0", "::", "127.0.0.1", "localhost"].includes(HOST);
  return isLocalhost ? `http://localhost:${PORT}` : urlOf({ HOST }, PORT);
}
