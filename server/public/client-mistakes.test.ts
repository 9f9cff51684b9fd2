/** What a program that uses the client does wrong is told at once, and nothing is sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { couponClient } from "./client.js";

const NEEDED = { name: "TypeError", message: "baseUrl is needed: only in a browser is there an origin" };

test("without a page the client needs baseUrl: calls, lists and streams say so", async () => {
  const client = couponClient({ token: "t" });
  await assert.rejects(client.issueCoupon({ coupon_id: 1 }), NEEDED);
  await assert.rejects(client.listUsers(), NEEDED);
  assert.throws(() => client.watchCoupons(), NEEDED);
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
