/**
 * The HTTP server: the limits of a connection, and the answer to bytes that are no request. Like any refusal that answer is a problem
 * document, counted and logged, though no route sees it.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
import type { Sent } from "./answer.ts";
import { Incoming } from "./incoming.ts";
import { Problem } from "./problem.ts";

/** Times in ms. Node's own are a minute for a head, five for a request, looked at every 30 s, and any number of connections. */
export const LIMITS = {
  /** Of a request's head. */
  headBytes: 16 * 1024,
  headers: 100,
  /** From the connection, or the first byte of the next request, to the end of the head … */
  headMs: 5_000,
  /** … and to the end of the body. Whose answer has begun may go on: POST /users/import answers while it reads. */
  requestMs: 10_000,
  /** How often those two are looked at. */
  checkMs: 1_000,
  /** Without a byte, either way: of readers that stopped and peers that are gone. Event streams send one every 15 s. */
  silentMs: 60_000,
  /** Between two requests: KEEP_ALIVE_TIMEOUT in its place. */
  idleMs: 65_000,
  /** Of a process. The next one is closed at once. */
  connections: 20_000,
  /** The last of them is answered with Connection: close. */
  requestsPerConnection: 100_000,
  /** What a client that was answered may still send before its connection is cut: cut at once, it might not see the answer. */
  lingerMs: 1_000,
};

/** Makes the answer to what is no request, counts it and logs it. The connection is closed after it. */
type Refuse = (why: Problem) => Sent;

/** What a Host may be (RFC 9112, 3.2): empty as well, which health checks send. It names nothing here. */
const HOST = /^(\[[\w.~%!$&'()*+,;=:-]+\]|[\w.~%!$&'()*+,;=-]*)(:\d*)?$/;

/** A login in a target that is a whole address. */
const LOGIN = /^[^/]+\/\/[^/?#]*@/;

/** What Node keeps on a socket: the answer that is due now, of those that are not finished. */
type Connection = Socket & { _httpMessage?: ServerResponse<IncomingMessage> | null };

/** What Node marks the last answer of a connection with. */
type Last = ServerResponse & { maxRequestsOnConnectionReached?: boolean };

/** An HTTP server with these limits; `listener` gets requests that have one Host, and one Authorization at most. */
export function createHttpServer(
  listener: RequestListener<typeof Incoming>,
  refuse: Refuse,
  limits = LIMITS,
): Server<typeof Incoming> {
  const server = createServer({
    IncomingMessage: Incoming,
    maxHeaderSize: limits.headBytes,
    headersTimeout: limits.headMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkMs,
    keepAliveTimeout: limits.idleMs,
    requireHostHeader: false, // Node's own answer says nothing
  });
  server.maxHeadersCount = limits.headers + 1; // those beyond it Node leaves out
  closeBeyond(server, limits.connections);
  server.on("connection", (socket: Socket) => lingerAtEnd(socket, limits.lingerMs));
  server.maxRequestsPerSocket = limits.requestsPerConnection;
  server.timeout = limits.silentMs;

  const tellWhenLost = createTellWhenLost();
  const ending = new WeakSet<Socket>();
  function turnAway(socket: Socket, outgoing: ServerResponse, why: Problem): void {
    ending.add(socket);
    readNoMore(socket);
    send(outgoing, refuse(why));
  }
  server.on("request", (incoming, outgoing) => {
    if (outgoing.socket === null) tellWhenLost(incoming.socket, outgoing);
    if (ending.has(incoming.socket)) return; // it came in one packet with what was refused
    // Node.js (20.20.2, 24.22.3) drops what follows an upgrade that nobody listens for in the same packet, and answers what follows the
    // last request with an empty 503, as its documentation says.
    if (incoming.headers.upgrade !== undefined || (outgoing as Last).maxRequestsOnConnectionReached)
      outgoing.shouldKeepAlive = false;
    const why = faultOf(incoming, limits.headers);
    // The adapter (@hono/node-server 2.1.8) makes a URL with it, and not every valid Host makes one: 1.2.3.4.5, or none at all.
    incoming.headers.host = "host.invalid";
    if (why === undefined) listener(incoming, outgoing);
    else turnAway(incoming.socket, outgoing, why);
  });
  server.on("checkExpectation", ({ socket }, outgoing) => {
    if (!ending.has(socket))
      turnAway(socket, outgoing, refusal(417, "Nothing but 100-continue can be expected here."));
  });
  server.on("connect", (_, duplex) => {
    const socket = duplex as Connection;
    listenAgain(socket);
    endAfterAnswers(socket, () => refuse(refusal(400, "This is no proxy.")), limits.lingerMs);
  });

  server.on("clientError", (error: Error & { code?: string }, duplex) => {
    const socket = duplex as Connection;
    const answer = socket._httpMessage;
    const isLate = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
    if (ending.has(socket) || (isLate && answer?.headersSent && !answer.req.complete)) return;
    ending.add(socket);
    readNoMore(socket);
    const why = refusalOf(error.code);
    endAfterAnswers(socket, why && (() => refuse(why)), limits.lingerMs);
  });
  return server;
}

/**
 * Closes a connection that is one too many at once. With Node's maxConnections (20.20.2) it would hang where several workers are all
 * full: the primary process offers it to one after the other, without end.
 */
function closeBeyond(server: Server<typeof Incoming>, most: number): void {
  let open = 0;
  server.on("connection", (socket: Socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
    });
    if (open > most) socket.destroy();
  });
}

/**
 * Node.js (20.20.2) cuts a connection once its last answer is written. A client that is still sending its body would get a reset in
 * place of the answer, so it may go on for a while.
 */
function lingerAtEnd(
  socket: Socket & { parser?: { incoming?: IncomingMessage | null } },
  lingerMs: number,
): void {
  const { destroySoon } = socket;
  socket.destroySoon = () => {
    if (socket.parser?.incoming?.complete ?? true) {
      destroySoon.call(socket);
      return;
    }
    socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  };
}

/**
 * Before "connect" Node.js (20.20.2) takes its own listeners off the socket. Without them an error would end the process, and an answer
 * that is still due would never go on, nor be late.
 */
function listenAgain(socket: Connection): void {
  socket
    .on("error", () => {})
    .on("end", () => socket.end())
    .on("timeout", () => socket.destroy())
    .on("drain", () => socket._httpMessage?.emit("drain"));
  readNoMore(socket);
}

/**
 * When a connection is lost, Node.js (20.20.2, no longer 24.22.3: nodejs/node#62534) emits "close" on the answer that is due only. Those
 * queued behind it would wait for ever.
 */
function createTellWhenLost(): (socket: Socket, outgoing: ServerResponse) => void {
  const queued = new WeakMap<Socket, Set<ServerResponse>>();
  return (socket, outgoing) => {
    const known = queued.get(socket);
    const waiting = known ?? new Set();
    waiting.add(outgoing);
    outgoing.once("close", () => waiting.delete(outgoing));
    if (known) return;
    queued.set(socket, waiting);
    socket.once("close", () => {
      for (const each of waiting) if (each.socket === null) each.emit("close");
    });
  };
}

/** Reads on, so that the client sees the refusal, but without the parser: what was refused must not be completed, nor followed. */
function readNoMore(socket: Socket): void {
  socket
    .removeAllListeners("data")
    .on("data", () => {})
    .resume();
}

function send(outgoing: ServerResponse, { status, headers, text }: Sent): void {
  outgoing.writeHead(status, headers).end(text);
}

/**
 * Ends a connection once the complete requests on it are answered. Sends the refusal where the client can still read it, and cuts the
 * connection `lingerMs` later.
 */
function endAfterAnswers(socket: Connection, refuse: (() => Sent) | undefined, lingerMs: number): void {
  const answer = socket._httpMessage;
  if (answer?.req.complete) {
    answer.once("close", () => endAfterAnswers(socket, refuse, lingerMs));
    return;
  }
  // Browsers open connections in advance and send nothing on them.
  const wasUsed = socket.bytesRead > 0;
  if (refuse === undefined || !socket.writable || answer?.headersSent || !wasUsed) {
    socket.destroy();
    return;
  }
  const { status, headers, text } = refuse();
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${text}`);
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

function refusal(status: 400 | 413 | 417 | 431, detail: string): Problem {
  return new Problem("invalid_request", { status, detail });
}

/** By the error of Node or of its parser; undefined when the connection itself is gone. */
function refusalOf(code = ""): Problem | undefined {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new Problem("request_timeout");
  if (code === "HPE_HEADER_OVERFLOW") return refusal(431, "The head of the request is too large.");
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return refusal(413, "The chunk extensions are too large.");
  return code.startsWith("HPE_") ? refusal(400, "This is not HTTP/1.1 as it should be.") : undefined;
}

/**
 * Why a request must not reach a route. With two Host or two Authorization headers (RFC 9112, 3.2; RFC 9110, 5.3) a proxy in front may
 * have read the other one; and a proxy that speaks HTTP/1.0 may have seen the end of a chunked body elsewhere (RFC 9112, 6.1).
 */
function faultOf(incoming: IncomingMessage, maxHeaders: number): Problem | undefined {
  const { rawHeaders, httpVersion } = incoming;
  if (rawHeaders.length > 2 * maxHeaders) return refusal(431, `There are more than ${maxHeaders} headers.`);
  let hosts = 0;
  let host = "";
  let tokens = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === "host") {
      hosts += 1;
      host = rawHeaders[i + 1] as string;
    } else if (name.length === 13 && name.toLowerCase() === "authorization") tokens += 1;
  }
  if (hosts > 1 || (hosts === 0 && httpVersion !== "1.0"))
    return refusal(400, "There must be one Host header.");
  if (!HOST.test(host)) return refusal(400, "The Host header is not valid.");
  if (httpVersion !== "1.1" && incoming.headers["transfer-encoding"] !== undefined)
    return refusal(400, "Transfer-Encoding needs HTTP/1.1.");
  if (tokens > 1) return refusal(400, "There must be one Authorization header at most.");
  // RFC 9110, 4.2.4. Of a URL that has a login no Request can be made, by which the adapter reads uploads.
  if (LOGIN.test(incoming.url ?? "")) return refusal(400, "The target is not valid.");
  return undefined;
}
