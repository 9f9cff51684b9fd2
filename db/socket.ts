/** The sockets of the driver's connections. */
import dns, { type LookupAddress } from "node:dns";
import { connect as connectSocket, type LookupFunction } from "node:net";
import { Duplex } from "node:stream";
import { HUNG_UP, NO_POSTGRESQL, NO_TLS } from "./errors.ts";
import type { ParameterOptions } from "./parameters.ts";

/** What the driver gives of its options, and what we add. */
export interface SocketOptions {
  host: string[];
  port: number[];
  path?: string | false;
  ssl: ParameterOptions["ssl"];
  /** Told of the end. The driver takes all listeners off a socket that it uses for TLS. */
  closed?: () => void;
}

/** To connect to one of a name's addresses, before the next one is tried: the default of Node.js, of which the server takes more for what is far away. */
const ATTEMPT_MS = 250;

/** What is being looked up, with who waits for it. */
const lookUps = new Map<string, Promise<LookupAddress[]>>();

/**
 * One look-up of a name at a time: whoever asks meanwhile shares it. A socket that is given up leaves its own running, and libuv (1.46) gives
 * look-ups two threads: a host whose name servers keep silent took both for good, and no other host of the URL was found. One that
 * is answered after longer than anybody waits for a connection is answered to who waits then.
 */
const lookUp: LookupFunction = (name, options, answer) => {
  const key = JSON.stringify([name, options]);
  let asked = lookUps.get(key);
  if (asked === undefined) {
    asked = new Promise<LookupAddress[]>((resolve, reject) => {
      dns.lookup(name, { ...options, all: true }, (error, found) => (error ? reject(error) : resolve(found)));
    }).finally(() => lookUps.delete(key));
    lookUps.set(key, asked);
  }
  asked.then(
    (found) => {
      const [{ address, family }] = found as [LookupAddress];
      if (options.all) answer(null, found);
      else answer(null, address, family);
    },
    (error) => answer(error, ""),
  );
};

/**
 * A proxy without a backend accepts connections and closes them. The driver (postgres 3.4.9, porsager/postgres#1193) then reconnects at
 * once, for ever: 2,000 connections in 3 s for one call. This socket reports such a close as an error, so the caller is told and the
 * back-off works.
 *
 * So it does with the first byte of a server that is no PostgreSQL, and of one that offers no TLS where the URL asks for it: the driver
 * (3.4.9; no report is known) goes on with the first for ever, and begins TLS with the second, as it does for sslmode=allow
 * (findings/postgres-js-sslmode-allow.sh).
 *
 * It also reports an error and the close that follows in the same turn: the driver (3.4.9; no report is known) never sends a call that it
 * hands to a connection between the two.
 */
export function openSocket({ host: [host], port: [port], path, ssl, closed }: SocketOptions) {
  // The driver says them where it fails.
  const to = { host, port: Number(port), lookup: lookUp, autoSelectFamilyAttemptTimeout: ATTEMPT_MS };
  const socket = Object.assign(path ? connectSocket(path) : connectSocket(to), { host, port });
  let hasSpoken = false;
  const failure = (code: string) => Object.assign(new Error(code), { code });
  const ended = () => void socket.destroy(failure(HUNG_UP));
  socket.once("end", ended);
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  let error: { code?: string } | undefined;
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event === "data" && !hasSpoken) {
      hasSpoken = true;
      socket.off("end", ended);
      const code = refusal(args[0] as Buffer, ssl);
      if (code !== undefined) {
        socket.destroy(failure(code));
        return true;
      }
    }
    if (event === "error") {
      error = args[0] as { code?: string };
      return true;
    }
    if (event === "close") closed?.();
    if (event === "close" && error)
      emit("error", error.code === "ECONNRESET" && !hasSpoken ? failure(HUNG_UP) : error);
    return emit(event, ...args);
  };
  return socket;
}

/**
 * What the driver is given where there is nothing to connect to: it never uses a connection again whose socket could not be made (postgres
 * 3.4.9: its createSocket() leaves it among those that connect; no report is known), or whose socket ends before it was written to.
 */
export function failingSocket(failure: Error): Duplex {
  return new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(failure) });
}

/**
 * What is wrong with the first answer, as a code. A client that wants TLS asks for it, and PostgreSQL answers by one byte, S or N. Without
 * TLS it begins with a message: authentication (R), an error (E), a notice (N), or the protocol that it speaks (v).
 */
function refusal(answer: Buffer, ssl: ParameterOptions["ssl"]): string | undefined {
  const text = answer.toString("latin1");
  if (!(ssl === false ? /^[RENv]/ : /^([SN]$|E)/).test(text)) return NO_POSTGRESQL;
  return ssl !== false && ssl !== "prefer" && text === "N" ? NO_TLS : undefined;
}
