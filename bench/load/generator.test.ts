import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type Generator, useAutocannon, useWrk, wrkVersion } from "./generator.ts";

/** A service that refuses all; what it was asked with. */
async function refuser(t: TestContext) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    request.resume().on("end", () => response.writeHead(409, { "content-length": 2 }).end("{}"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const version = wrkVersion();
const generators: [string, () => Generator, string | undefined][] = [
  ["autocannon", useAutocannon, undefined],
  ["wrk", () => useWrk(version as string), version === undefined ? "needs wrk" : undefined],
];
for (const [name, use, missing] of generators) {
  test(`${name}: no token twice, and what was answered`, { skip: missing ?? false }, async (t) => {
    const { asked, url } = await refuser(t);
    const generator = use();
    const tokens = Array.from({ length: generator.tokens(undefined, 0.2, 8) }, (_, i) => `token-${i}`);
    const told = await generator.volley({ url, couponId: 7, connections: 8, seconds: 0.2, tokens });
    const open = asked.length - told.answers;
    assert.ok(open >= 0 && open <= generator.openAtEnd(8), `${asked.length} asked, ${told.answers} answered`);
    assert.equal(new Set(asked).size, asked.length);
    const mayBe = new Set(tokens.map((token) => `POST /coupons/7/issue Bearer ${token}`));
    assert.deepEqual(
      asked.filter((each) => !mayBe.has(each)),
      [],
    );
    assert.deepEqual([told.refused, told.failed, told.ranOut], [told.answers, 0, false]);
  });
}

test("wrk says when a token may have come twice", {
  skip: version === undefined && "needs wrk",
}, async (t) => {
  const { asked, url } = await refuser(t);
  const tokens = ["one", "two"];
  const { ranOut } = await useWrk(version as string).volley({
    url,
    couponId: 7,
    connections: 1,
    seconds: 1,
    tokens,
  });
  assert.ok(asked.length > 2);
  assert.equal(ranOut, true);
});
