import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { readMetric, startService } from "../bench/harness/service.ts";
import { fire } from "../bench/load/closed-loop.ts";
import { startWatchers } from "../bench/load/watchers.ts";

const service = await startService(1);
after(service.stop);

test("what a request makes is young, also beside connections that stay", async () => {
  const pages = await startWatchers(service.url, 2_000);
  after(pages.close);
  const metric = (series: string) =>
    readMetric(service.url, service.secret, `nodejs_heap_space_size_${series}`);
  const old = () => metric('used_bytes{space="old"}');
  const live = { method: "GET", path: "/coupons/live", headers: {}, body: "" } as const;
  const read = () => fire(service.url, 20_000, 64, () => live);
  // Until V8 has compiled what is hot, and decided.
  await read();
  const before = await old();
  await read();
  // 19 on Node.js 24 and 36 on 20. As V8 decides by itself 211, and 3,456 until they are collected.
  const each = ((await old()) - before) / 20_000;
  assert.ok(each < 100, `${each} bytes a request are old`);
  // 34 million on both, as ./sd sets it; 67 and more as Node.js 24 decides.
  const room = await metric('total_bytes{space="new"}');
  assert.ok(room < 40_000_000, `${room} bytes for young objects`);
});
