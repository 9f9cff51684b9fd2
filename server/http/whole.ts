/**
 * Sends an answer in one write, with the same bytes as Node: its writeHead() looks at each header, and its end() makes two writes, a
 * list of them and a callback. Node's request and response stay, so that limits, queues and shutdown are Node's.
 */
import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Sent } from "./answer.ts";

/** What Node keeps of an answer beside what it documents. */
type Outgoing = Omit<ServerResponse, "finished"> & {
  _header: string | null;
  finished: boolean;
  _keepAliveTimeout: number;
  _maxRequestsPerSocket: number;
  maxRequestsOnConnectionReached?: boolean;
};

type SendWhole = (outgoing: ServerResponse, sent: Sent) => void;

/** Headers must be ASCII. */
export function createSendWhole(now: () => number = Date.now): SendWhole {
  let second = 0;
  let date = "";

  /** The last headers, which Node writes. They are the same for a second. */
  function ending({ _keepAliveTimeout, _maxRequestsPerSocket }: Outgoing): string {
    const at = Math.floor(now() / 1000);
    if (at !== second) {
      second = at;
      date = new Date(at * 1000).toUTCString();
    }
    const most = _maxRequestsPerSocket > 0 ? `, max=${_maxRequestsPerSocket}` : "";
    const kept =
      _keepAliveTimeout > 0 ? `Keep-Alive: timeout=${Math.floor(_keepAliveTimeout / 1000)}${most}\r\n` : "";
    return `Date: ${date}\r\nConnection: keep-alive\r\n${kept}\r\n`;
  }

  return (outgoing, { status, headers, text }) => {
    const bytes = Buffer.byteLength(text);
    headers["content-length"] = String(bytes);
    const { socket } = outgoing;
    const node = outgoing as unknown as Outgoing;
    const isLast =
      !outgoing.shouldKeepAlive || node.maxRequestsOnConnectionReached || headers["connection"] !== undefined;
    // Node knows what to do with the last answer of a connection, and with one that queues behind another or comes too late.
    if (isLast || !socket?.writable) {
      outgoing.writeHead(status, headers).end(text);
      return;
    }
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
    head += ending(node);
    node._header = head; // it is sent
    node.finished = true;
    socket.write(head + text, bytes === text.length ? "latin1" : "utf8"); // of ASCII, latin1 costs less
    node.emit("finish");
  };
}
