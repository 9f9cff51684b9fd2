/** The sockets of the driver's connections. */
import { connect as connectSocket } from "node:net";
import { HUNG_UP } from "./errors.ts";

/**
 * A proxy without a backend accepts connections and closes them. The driver (postgres 3.4.9) then reconnects at once, for ever: 2,000
 * connections in 3 s for one call. This socket reports such a close as an error, so the caller is told and the back-off works.
 *
 * It also reports an error and the close that follows in the same turn: the driver never sends a call that it hands to a connection
 * between the two.
 */
export function openSocket({
  host: [host],
  port: [port],
  path,
}: {
  host: string[];
  port: number[];
  path?: string | false;
}) {
  const socket = Object.assign(path ? connectSocket(path) : connectSocket({ host, port: Number(port) }), {
    host,
  });
  let hasSpoken = false;
  const hungUp = () => Object.assign(new Error("hung up before a word"), { code: HUNG_UP });
  const ended = () => void socket.destroy(hungUp());
  socket.once("end", ended).once("data", () => {
    hasSpoken = true;
    socket.off("end", ended);
  });
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  let error: { code?: string } | undefined;
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event === "error") {
      error = args[0] as { code?: string };
      return true;
    }
    if (event === "close" && error)
      emit("error", error.code === "ECONNRESET" && !hasSpoken ? hungUp() : error);
    return emit(event, ...args);
  };
  return socket;
}
