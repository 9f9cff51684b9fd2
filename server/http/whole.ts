/**
 * Sends an answer in one write, with the same bytes as Node: its writeHead() looks at each header, and its end() makes two writes, a
 * list of them and a callback. Node's request and response stay, so that limits, queues and shutdown are Node's.
 */
import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Sent } from "./answer.ts";

/** What Node keeps of an answer beside what it documents. */
type Outgoing = Omit<ServerResponse, "finished"> & {
  _header: string | null;
  finished: boolean;
  _keepAliveTimeout: number;
  _maxRequestsPerSocket: number;
  maxRequestsOnConnectionReached?: boolean;
};

export type SendWhole = (outgoing: ServerResponse, sent: Sent) => void;

/** Texts must be ASCII. */
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
    headers["content-length"] = String(Buffer.byteLength(text));
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
    writeWhole(socket, node, head + ending(node), text);
  };
}

function writeWhole(socket: Socket, outgoing: Outgoing, head: string, text: string): void {
  outgoing._header = head; // it is sent
  outgoing.finished = true;
  socket.write(head + text, "latin1");
  outgoing.emit("finish");
}
