/** What a program that uses the client does wrong is told at once, and nothing is sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { couponClient } from "./client.js";

const NEEDED = { name: "TypeError", message: "baseUrl is needed: there is no origin here" };

test("without a page the client needs baseUrl: calls, lists and streams say so", async () => {
  const client = couponClient({ token: "t" });
  await assert.rejects(client.issueCoupon({ coupon_id: 1 }), NEEDED);
  await assert.rejects(client.listUsers(), NEEDED);
  assert.throws(() => client.watchCoupons(), NEEDED);
});

test("nor has a worker that a bundler made of a blob an origin", async (t) => {
  t.after(() => Reflect.deleteProperty(globalThis, "location"));
  t.mock.method(globalThis, "fetch", () => assert.fail("it is sent"));
  const value = new URL("blob:http://shop.example/2c5a4a1c");
  Object.defineProperty(globalThis, "location", { configurable: true, value });
  await assert.rejects(couponClient().livez(), NEEDED);
});

test("a member that the path needs is named when it is missing", async () => {
  const sent: string[] = [];
  const fetch = async (url: unknown) => {
    sent.push(String(url));
    return Response.json({ outcome: "issued" });
  };
  const client = couponClient({ baseUrl: "http://shop.example", fetch: fetch as typeof globalThis.fetch });
  const anything = (request: object) => request as { coupon_id: number };
  for (const request of [{}, { coupon_id: undefined }, { coupon_id: null }]) {
    const message = "coupon_id is needed: POST /coupons/{coupon_id}/issue";
    await assert.rejects(client.issueCoupon(anything(request)), { name: "TypeError", message });
  }
  const message = "coupon_id is needed: GET /coupons/{coupon_id}/grants";
  await assert.rejects(client.listGrants(anything({})), { name: "TypeError", message });
  assert.deepEqual(sent, []);
});

const isNoBase = {
  name: "TypeError",
  message: "baseUrl must be an http:// or https:// URL without login, query and fragment",
};
for (const baseUrl of [
  ...["shop.example", "localhost:3000", "/api", "ftp://shop.example", "https://shop.example:99999"],
  ...[
    "https://ann:x@shop.example",
    "https://shop.example/?a=b",
    "https://shop.example/#a",
    "https://shop.example?",
  ],
])
  test(`a baseUrl that no request can go to is told at once: ${baseUrl}`, async () => {
    const client = couponClient({ baseUrl, token: "t" });
    await assert.rejects(client.issueCoupon({ coupon_id: 1 }), isNoBase);
    await assert.rejects(client.listUsers(), isNoBase);
    assert.throws(() => client.watchCoupons(), isNoBase);
  });

test("a baseUrl may have a path, and slashes behind it", async (t) => {
  const sent: string[] = [];
  t.mock.method(globalThis, "fetch", async (url: unknown) => {
    sent.push(String(url));
    return Response.json({ status: "ok" });
  });
  for (const baseUrl of ["http://shop.example/api", "HTTPS://shop.example/api//"])
    assert.deepEqual(await couponClient({ baseUrl }).livez(), { status: "ok" });
  assert.deepEqual(sent, ["http://shop.example/api/livez", "HTTPS://shop.example/api/livez"]);
});

test("a token that no header can have is told at once, without the token", async () => {
  const baseUrl = "http://shop.example";
  const isNoToken = { name: "TypeError", message: "token has a character that no header can have" };
  const fetch = () => assert.fail("it is sent");
  for (const token of ["ey…", "ey\ny"]) {
    const client = couponClient({ baseUrl, token, fetch });
    await assert.rejects(client.issueCoupon({ coupon_id: 1 }), isNoToken);
    assert.throws(() => client.watchCoupons(), isNoToken);
    const asking = couponClient({ baseUrl, token: async () => token, fetch });
    await assert.rejects(asking.issueCoupon({ coupon_id: 1 }), isNoToken);
    await assert.rejects(asking.listUsers(), isNoToken);
  }
});
