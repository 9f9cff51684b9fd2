/** A request as bytes: as it should be written, or in a way that is no HTTP or lies about its length. */
import { authorizationOf } from "./callers.ts";
import type { Asked } from "./requests.ts";

/** What is done to the bytes, if anything is. */
export const wires = [
  "plain",
  "chunked",
  "in pieces",
  "length 0",
  "length too long",
  "length too short",
  "length twice",
  "length wrong",
  "length and chunks",
  "broken chunk",
  "no host",
  "two hosts",
  "bytes in a header",
  "line feed in a header",
  "nothing of a header",
  "folded header",
  "large head",
  "HTTP/1.0",
  "HTTP/3.0",
  "no version",
  "absolute target",
  "bytes in the target",
  "cut",
  "garbage",
  "two at once",
] as const;
export type Wire = (typeof wires)[number];

/** What goes over the wire, in one piece or in several. */
export function bytesOf(asked: Asked, wire: Wire): Buffer[] {
  const { method, headers, body } = asked;
  const authorization = authorizationOf(asked.caller);
  const content = Buffer.from(body ?? "");
  const length = content.length;
  const lengths: Partial<Record<Wire, string[]>> = {
    chunked: ["transfer-encoding: chunked"],
    "broken chunk": ["transfer-encoding: chunked"],
    "length 0": ["content-length: 0"],
    "length too long": [`content-length: ${length + 10}`],
    "length too short": [`content-length: ${Math.max(0, length - 3)}`],
    "length twice": [`content-length: ${length}`, `content-length: ${length + 1}`],
    "length wrong": ["content-length: -1e3"],
    "length and chunks": [`content-length: ${length}`, "transfer-encoding: chunked"],
  };
  const extras: Partial<Record<Wire, string[]>> = {
    "no host": [],
    "two hosts": ["host: localhost", "host: evil.example"],
    "bytes in a header": ["host: localhost", "x-request-id: \xff\xfe\x80"],
    "line feed in a header": ["host: localhost", "x-request-id: a\nx-b: c"],
    "nothing of a header": ["host: localhost", ": a", "b"],
    "folded header": ["host: localhost", "x-request-id: a\r\n b"],
    "large head": ["host: localhost", `x-large: ${"a".repeat(20_000)}`],
  };
  // A URL that fetch() would have written; in a request line a space or a control character ends it.
  const target =
    wire === "bytes in the target"
      ? `${asked.target}\xff\x80`
      : asked.target.replace(/#.*$/, "").replace(/[^\x21-\x7e]/g, "");
  const versions: Partial<Record<Wire, string>> = {
    "HTTP/1.0": " HTTP/1.0",
    "HTTP/3.0": " HTTP/3.0",
    "no version": "",
  };
  const head = [
    `${method} ${wire === "absolute target" ? `http://evil.example${target}` : target}${versions[wire] ?? " HTTP/1.1"}`,
    ...(extras[wire] ?? ["host: localhost"]),
    // Once more and it would be a pipeline; "two at once" wants one.
    ...(wire === "two at once" ? [] : ["connection: close"]),
    ...Object.entries(headers)
      .filter(([name]) => name !== "expect")
      .map(([name, value]) => `${name}: ${value}`),
    ...(authorization === undefined ? [] : [`authorization: ${authorization}`]),
    ...(lengths[wire] ?? (body === undefined ? [] : [`content-length: ${length}`])),
    "",
    "",
  ].join("\r\n");
  const chunks = wire === "broken chunk" ? "zz\r\nabc\r\n" : `${length.toString(16)}\r\n`;
  const whole = Buffer.concat([
    Buffer.from(head, "latin1"),
    ...(wire === "chunked" || wire === "length and chunks"
      ? [...(length > 0 ? [Buffer.from(chunks), content, Buffer.from("\r\n")] : []), Buffer.from("0\r\n\r\n")]
      : wire === "broken chunk"
        ? [Buffer.from(chunks)]
        : [content]),
  ]);
  switch (wire) {
    case "in pieces": {
      const third = Math.ceil(whole.length / 3);
      return [whole.subarray(0, third), whole.subarray(third, 2 * third), whole.subarray(2 * third)];
    }
    case "cut":
      return [whole.subarray(0, whole.length >> 1)];
    case "garbage":
      return [Buffer.from(whole.map((byte, i) => (i % 7 === 3 ? byte ^ 0x91 : byte)))];
    case "two at once":
      return [whole, whole];
    default:
      return [whole];
  }
}
