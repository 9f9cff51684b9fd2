/** Free ports of the loopback address. */
import { once } from "node:events";
import { createServer, type ListenOptions, type Server } from "node:net";

/** `wanted` if it is free and not 0, else another free port. Somebody else may bind it before the caller does. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer();
  try {
    await listen(server, { host: "127.0.0.1", port: wanted });
  } catch (error) {
    if (wanted === 0) throw error;
    return freePort();
  }
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

export function listen(server: Server, on: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => void server.once("error", reject).listen(on, resolve));
}
