/**
 * Requests as bytes on a real socket, to the server with its fast path in front: the same requests, and ones that are no HTTP, or lie
 * about their length.
 */
import assert from "node:assert/strict";
import { type AddressInfo, connect } from "node:net";
import fc from "fast-check";
import { listen } from "../../db/embedded/port.ts";
import type { Answer } from "../harness/app.ts";
import { judge, MAX_MS, routeOf } from "./judge.ts";
import { type Asked, request } from "./requests.ts";
import { checkedRun, type Tally, type Task } from "./run.ts";
import { bytesOf, type Wire, wires } from "./wires.ts";
import { assertSound, furnish, openDemo, secretsOf } from "./world.ts";

const BURST = 16;
/** How long a request that has no end is left without an answer, ms. */
const PATIENCE_MS = 300;

interface Sent {
  asked: Asked;
  wire: Wire;
}

const sent: fc.Arbitrary<Sent> = fc.record({
  asked: request,
  wire: fc.oneof(
    { weight: 2, arbitrary: fc.constant<Wire>("plain") },
    { weight: 3, arbitrary: fc.constantFrom(...wires) },
  ),
});

/** These say the same as the request in another way. Their answers are judged like any other. */
const FAITHFUL = new Set<Wire>(["plain", "in pieces"]);

/** Some inputs on a server and a database of their own, made of this seed. */
export async function fuzzSockets(task: Task): Promise<void> {
  const world = await openDemo();
  const { app, server } = world;
  await listen(server, { host: "127.0.0.1", port: 0 });
  try {
    await furnish(world);
    await task.plant?.(world.scratch);
    const { port } = server.address() as AddressInfo;
    const secrets = secretsOf(world);
    await checkedRun("socket", task, {
      values: fc.array(sent, { minLength: 1, maxLength: BURST, size: "max" }),
      async attempt(burst) {
        await Promise.all(burst.map((each) => ask(port, each, secrets, task.tally)));
        return burst.length;
      },
      async atEnd() {
        // Whoever hung up while its stream was open is noticed by the next thing that is told.
        while (app.streams() > 0) await new Promise((resolve) => setTimeout(resolve, 50));
        await assertSound(world, app.streams);
      },
    });
  } finally {
    server.closeAllConnections();
    server.close();
    await world.close();
  }
}

async function ask(
  port: number,
  { asked, wire }: Sent,
  secrets: readonly string[],
  tally: Tally,
): Promise<void> {
  const began = performance.now();
  const bytes = bytesOf(asked, wire);
  const raw = await exchange(port, bytes, wire);
  const ms = performance.now() - began;
  const where = `${wire}: ${asked.method} ${asked.target}`;
  assert.ok(ms < MAX_MS, `${where}: took ${ms.toFixed()} ms`);
  for (const secret of secrets) assert.ok(!raw.includes(secret), `${where}: tells a secret`);
  const answer = answerOf(raw);
  if (answer === undefined) {
    assert.ok(!FAITHFUL.has(wire), `${where}: no answer: ${JSON.stringify(raw.slice(0, 300))}`);
    tally.count(`bytes: ${wire}`, "closed", undefined, undefined, ms);
    return;
  }
  assert.ok(
    answer.status < 500 || isOfNode(answer, wire),
    `${where}: a failure of ours: ${raw.slice(0, 500)}`,
  );
  const url = `http://localhost${asked.target.startsWith("/") ? asked.target : "/"}`;
  // The parser and the adapter refuse what they can't read without a word.
  const isUnread = answer.headers.get("x-request-id") === null && answer.status >= 400;
  if (FAITHFUL.has(wire) && !isUnread) {
    const parsed = parsedAnswer(asked, url, answer);
    const judged = judge(asked, url, parsed, raw, ms, secrets);
    tally.count(judged.route, `${answer.status}`, judged.outcome, judged.refused, ms);
    return;
  }
  if (FAITHFUL.has(wire))
    assert.ok(
      [400, 417, 431].includes(answer.status) && answer.text === "",
      `${where}: ${raw.slice(0, 300)}`,
    );
  tally.count(`bytes: ${wire}`, `${answer.status}`, undefined, undefined, ms);
}

/** 505 for another version is Node's own word. */
function isOfNode({ status }: Told, wire: Wire): boolean {
  return (status === 505 || status === 501) && wire !== "plain";
}

interface Told {
  status: number;
  headers: Headers;
  text: string;
}

/** The first answer in these bytes; undefined where there is none. */
function answerOf(raw: string): Told | undefined {
  const [, status, head = "", rest = ""] =
    raw.match(/^HTTP\/1\.1 (\d{3}) [^\r]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/) ??
    raw.match(/^HTTP\/1\.1 (\d{3}) [^\r]*\r\n()\r\n([\s\S]*)$/) ??
    [];
  if (status === undefined) return undefined;
  const headers = new Headers(
    head
      .split("\r\n")
      .filter(Boolean)
      .map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
  );
  const length = headers.get("content-length");
  const text =
    headers.get("transfer-encoding") === "chunked"
      ? unchunked(rest)
      : length === null
        ? rest
        : Buffer.from(rest).subarray(0, Number(length)).toString();
  return { status: Number(status), headers, text };
}

function unchunked(text: string): string {
  let bytes = Buffer.from(text);
  let whole = "";
  for (;;) {
    const end = bytes.indexOf("\r\n");
    const size = Number.parseInt(bytes.subarray(0, end).toString(), 16);
    if (end < 0 || !(size > 0)) return whole;
    whole += bytes.subarray(end + 2, end + 2 + size).toString();
    bytes = bytes.subarray(end + 2 + size + 2);
  }
}

function parsedAnswer({ method }: Asked, url: string, { status, headers, text }: Told): Answer {
  const type = headers.get("content-type") ?? "";
  const isPage = routeOf(method, url) === undefined && status < 400;
  const lines = () =>
    text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  const event = () => JSON.parse(/^data: ([^\n]*)\n/m.exec(text)?.[1] ?? "null");
  const body =
    method === "HEAD" || isPage || text === ""
      ? null
      : type === "application/x-ndjson"
        ? lines()
        : type === "text/event-stream"
          ? event()
          : type.startsWith("text/csv")
            ? text
            : JSON.parse(text);
  return { status, headers, body };
}

/** Sends, and returns all that comes until the server closes, or until the first event. */
function exchange(port: number, pieces: Buffer[], wire: Wire): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const parts: Buffer[] = [];
    const end = (error?: NodeJS.ErrnoException) => {
      clearTimeout(late);
      socket.destroy();
      if (error && !["ECONNRESET", "EPIPE"].includes(error.code ?? "")) reject(error);
      else resolve(Buffer.concat(parts).toString());
    };
    const late = setTimeout(end, FAITHFUL.has(wire) ? MAX_MS : PATIENCE_MS);
    socket.on("data", (part) => {
      parts.push(part);
      const said = Buffer.concat(parts);
      // The first event is enough.
      const data = said.indexOf("\ndata: ");
      if (data >= 0 && said.includes("\n\n", data)) end();
    });
    socket.once("close", () => end());
    socket.once("error", end);
    socket.once("connect", () => {
      let i = 0;
      const next = () => {
        const piece = pieces[i++];
        if (piece !== undefined && !socket.destroyed) socket.write(piece, () => setImmediate(next));
      };
      next();
    });
  });
}
