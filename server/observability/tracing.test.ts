/** Spans of a service, as a collector gets them. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { openWorld, userToken } from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { collector, type Sent } from "../../bench/harness/collector.ts";
import { until } from "../../bench/harness/waiting.ts";
import { freePort } from "../../db/embedded/port.ts";
import { version } from "../api/version.ts";
import { createExporter, MAX_BATCH, MAX_QUEUE } from "./otlp.ts";
import { createRequests } from "./requests.ts";
import { type Ended, samplerOf, spanOf } from "./tracer.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const STATE = "ot=th:fd70a4;rv:fe123456789abc,rojo=00f067aa0ba902b7";

async function tracedWorld(t: TestContext, env: Record<string, unknown> = {}, ready?: Promise<void>) {
  const to = await collector(t, ready);
  const world = await openWorld({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: to.url, OTEL_TRACES_SAMPLER: "parentbased_always_off", ...env },
  });
  t.after(() => world.close());
  return { ...to, world };
}

const plain = ({ attributes }: Pick<Sent, "attributes">) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

test("a request that its caller samples is a span by the HTTP conventions, and its answer says which", async (t) => {
  const { world, posted, spans } = await tracedWorld(t, {
    OTEL_SERVICE_NAME: "shop-coupons",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=a%20b",
    OTEL_EXPORTER_OTLP_HEADERS: "x-key=k%3D1",
  });
  const [coupon, user] = [await world.newCoupon(), await world.newUser()];
  const began = Date.now();
  const headers = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: STATE };
  const token = await userToken(user);
  const issued = await world.call(`POST /coupons/${coupon}/issue`, { token, headers });
  const missing = await world.call("GET /nothing?secret=1", { headers });
  await world.spans?.end();
  const ended = Date.now();

  assert.deepEqual([issued.status, missing.status], [201, 404]);
  const [grant, nothing, ...none] = spans();
  assert.ok(grant && nothing);
  assert.deepEqual(none, []);
  assert.equal(issued.headers.get("traceparent"), `00-${TRACE}-${grant.spanId}-01`);
  assert.match(grant.spanId, /^[0-9a-f]{16}$/);
  assert.notEqual(grant.spanId, nothing.spanId);
  const { spanId: _, startTimeUnixNano, endTimeUnixNano, attributes: __, ...rest } = grant;
  assert.deepEqual(rest, {
    traceId: TRACE,
    traceState: STATE,
    parentSpanId: PARENT,
    name: "POST /coupons/{coupon_id}/issue",
    kind: 2,
    status: {},
  });
  assert.deepEqual(plain(grant), {
    "http.request.method": "POST",
    "http.response.status_code": "201",
    "http.route": "/coupons/{coupon_id}/issue",
    "url.path": `/coupons/${coupon}/issue`,
    "url.scheme": "http",
  });
  const [from, to] = [startTimeUnixNano, endTimeUnixNano].map((ns) => Number(BigInt(ns) / 1_000_000n));
  assert.ok(from !== undefined && to !== undefined && began - 1 <= from && from <= to && to <= ended);
  assert.deepEqual([nothing.name, nothing.status], ["GET", {}]);
  assert.deepEqual(plain(nothing), {
    "http.request.method": "GET",
    "http.response.status_code": "404",
    "url.path": "/nothing",
    "url.scheme": "http",
  });
  assert.deepEqual(
    [posted[0]?.path, posted[0]?.headers["content-type"], posted[0]?.headers["x-key"]],
    ["/v1/traces", "application/json", "k=1"],
  );
  assert.deepEqual(posted[0]?.body.resourceSpans[0]?.resource, {
    attributes: [
      { key: "service.name", value: { stringValue: "shop-coupons" } },
      { key: "service.version", value: { stringValue: version } },
      { key: "deployment.environment.name", value: { stringValue: "a b" } },
    ],
  });
  const lines = world.logged.filter(
    ({ message, path }) => message === "request" && path === `/coupons/${coupon}/issue`,
  );
  assert.deepEqual(
    lines.map(({ trace_id }) => trace_id),
    [TRACE],
  );
  assert.match(await world.metrics.registry.metrics(), /^coupon_spans_total\{result="exported"\} 2$/m);
});

for (const [given, name, said] of [
  [{}, "coupon-drop", version],
  [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=shop,service.version=7" }, "shop", "7"],
  [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=shop", OTEL_SERVICE_NAME: "coupons" }, "coupons", version],
] as const)
  test(`OTEL_SERVICE_NAME comes before OTEL_RESOURCE_ATTRIBUTES, and these before ours: ${name} ${said}`, async (t) => {
    const { world, posted } = await tracedWorld(t, { ...given, OTEL_TRACES_SAMPLER: "always_on" });
    await world.call("GET /livez");
    await world.spans?.end();
    assert.deepEqual(plain(posted[0]?.body.resourceSpans[0]?.resource as Pick<Sent, "attributes">), {
      "service.name": name,
      "service.version": said,
    });
  });

test("what is not sampled is no span, and its answer has no traceparent", async (t) => {
  const { world, posted } = await tracedWorld(t);
  for (const headers of [{ traceparent: `00-${TRACE}-${PARENT}-00` }, {}]) {
    const { status, headers: answered } = await world.call("GET /livez", { headers });
    assert.deepEqual([status, answered.get("traceparent")], [200, null]);
  }
  await world.spans?.end();
  assert.deepEqual(posted, []);
});

test("without a collector there is no exporter, and what its caller samples has no traceparent", async (t) => {
  const posted: unknown[] = [];
  const world = await openWorld({
    env: { OTEL_TRACES_SAMPLER: "always_on" },
    sendSpans: async (...given) => {
      posted.push(given);
      return new Response();
    },
  });
  t.after(() => world.close());
  assert.equal(world.spans, undefined);
  const { status, headers } = await world.call("GET /livez", {
    headers: { traceparent: `00-${TRACE}-${PARENT}-01` },
  });
  assert.deepEqual([status, headers.get("traceparent"), posted], [200, null, []]);
});

test("while too many wait an answer has no traceparent, since its span is dropped", async (t) => {
  let answer = () => {};
  const ready = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const { world, spans } = await tracedWorld(t, { OTEL_TRACES_SAMPLER: "always_on" }, ready);
  const ask = async () => (await world.call("GET /livez")).headers.get("traceparent");
  // The collector has a batch and is silent, and so many more wait.
  for (let i = 0; i < MAX_BATCH + MAX_QUEUE; i++) world.spans?.take(ended(i));
  assert.equal(await ask(), null);
  assert.equal(world.spans?.dropped(), 1);
  answer();
  await until(() => world.spans?.hasRoom() === true);
  const told = await ask();
  await world.spans?.end();
  assert.deepEqual([world.spans?.dropped(), spans().length], [1, MAX_BATCH + MAX_QUEUE + 1]);
  assert.equal(told, `00-${spans().at(-1)?.traceId}-${spans().at(-1)?.spanId}-01`);
});

test("a new trace begins here; a failure of ours is an error, with its status", async (t) => {
  const { world, spans } = await tracedWorld(t, { OTEL_TRACES_SAMPLER: "always_on" });
  await world.db.close(1);
  // Of no trace that could be read, nothing is told on.
  const { status, headers } = await world.call("GET /readyz", { headers: { tracestate: STATE } });
  assert.equal(status, 503);
  await world.spans?.end();
  const [span] = spans();
  assert.ok(span);
  assert.deepEqual(
    [span.traceState, span.parentSpanId, span.status, plain(span)["error.type"]],
    [undefined, undefined, { code: 2 }, "503"],
  );
  assert.equal(headers.get("traceparent"), `00-${span.traceId}-${span.spanId}-01`);
  assert.match(span.traceId, /^[0-9a-f]{32}$/);
});

test("a span and the metric name a method alike: those of RFC 9110, and any other as _OTHER", () => {
  const { of, all } = createRequests();
  const named = ["PUT", "PATCH", "PROPFIND"].map((method) => {
    of(method)(404, 1);
    const { name, attributes } = spanOf({ ...ended(1), method });
    const told = plain({ attributes });
    return [name, told["http.request.method"], told["http.request.method_original"]];
  });
  assert.deepEqual(named, [
    ["PUT", "PUT", undefined],
    ["PATCH", "PATCH", undefined],
    ["HTTP", "_OTHER", "PROPFIND"],
  ]);
  assert.deepEqual(
    all().map(({ labels }) => labels["http_request_method"]),
    named.map(([, method]) => method),
  );
});

test("a sampler by ratio takes that part of traces, the same each time, and the caller decides first", () => {
  const ids = Array.from(
    { length: 4_096 },
    (_, i) => `${"0".repeat(19)}${(i * 16 + 8).toString(16).padStart(4, "0")}${"0".repeat(9)}`,
  );
  const taken = (name: Parameters<typeof samplerOf>[0], ratio: number) =>
    ids.filter((id) => samplerOf(name, ratio)(id, undefined)).length;
  assert.deepEqual(
    [0, 0.25, 0.5, 1].map((ratio) => taken("traceidratio", ratio)),
    [0, 1_024, 2_048, 4_096],
  );
  assert.equal(taken("parentbased_traceidratio", 0.25), 1_024);
  const of = (isSampled: boolean) => ({ traceId: TRACE, parentId: PARENT, isSampled });
  assert.equal(samplerOf("parentbased_traceidratio", 0)(TRACE, of(true)), true);
  assert.equal(samplerOf("parentbased_always_on", 1)(TRACE, of(false)), false);
  assert.equal(samplerOf("traceidratio", 0)(TRACE, of(true)), false);
  assert.equal(samplerOf("always_off", 1)(TRACE, of(true)), false);
});

const ended = (i: number): Ended => ({
  span: { traceId: TRACE, spanId: i.toString(16).padStart(16, "0"), parentId: undefined },
  ...{ method: "GET", route: undefined, path: "/", state: undefined, status: 200, at: 1_000, ms: 1 },
});

/** An exporter, and a collector that answers when it is told to. */
function exporting() {
  const clock = createClock();
  const failures: string[] = [];
  const requests: {
    spans: number;
    answer: (status: number, body?: unknown, headers?: Record<string, string>) => void;
  }[] = [];
  const send = ((_: string, { body }: { body: string }) =>
    new Promise<Response>((resolve) => {
      const spans = JSON.parse(body).resourceSpans[0].scopeSpans[0].spans.length;
      requests.push({
        spans,
        answer: (status, said = {}, headers = {}) =>
          resolve(new Response(JSON.stringify(said), { status, headers })),
      });
    })) as unknown as typeof fetch;
  const exporter = createExporter(
    { url: "http://collector/v1/traces", headers: {}, resource: {}, version },
    clock,
    (error) => void failures.push((error as Error).message),
    send,
  );
  const asked = async (times: number) => until(() => requests.length === times);
  return { ...exporter, clock, failures, requests, asked };
}

test("spans wait for five seconds or a full batch, one batch at a time, and what finds no room is counted", async () => {
  const { take, exported, dropped, clock, requests, asked } = exporting();
  take(ended(0));
  await clock.pass(4_999);
  assert.equal(requests.length, 0);
  await clock.pass(1);
  await asked(1);
  // The collector is silent: nobody waits, and the queue is bounded.
  for (let i = 0; i < MAX_QUEUE + 10; i++) take(ended(i));
  assert.deepEqual([requests.length, dropped()], [1, 10]);
  requests[0]?.answer(200);
  for (let batch = 1; batch <= MAX_QUEUE / MAX_BATCH; batch++) {
    await asked(batch + 1);
    assert.equal(requests[batch]?.spans, MAX_BATCH);
    requests[batch]?.answer(200);
  }
  await until(() => exported() === MAX_QUEUE + 1);
  assert.deepEqual([requests.length, dropped()], [1 + MAX_QUEUE / MAX_BATCH, 10]);
});

test("a batch is sent again while the collector is busy, after the time that it says, and given up when refused", async () => {
  const { take, exported, dropped, clock, failures, requests, asked } = exporting();
  take(ended(0));
  await clock.pass(5_000);
  await asked(1);
  requests[0]?.answer(503, {}, { "retry-after": "7" });
  await until(() => failures.length === 1);
  await clock.pass(6_999);
  assert.equal(requests.length, 1);
  await clock.pass(1);
  await asked(2);
  requests[1]?.answer(400);
  await until(() => dropped() === 1);
  take(ended(1));
  take(ended(2));
  await clock.pass(5_000);
  await asked(3);
  requests[2]?.answer(200, { partialSuccess: { rejectedSpans: "1" } });
  await until(() => dropped() === 2);
  take(ended(3));
  await clock.pass(5_000);
  await asked(4);
  requests[3]?.answer(200, { partialSuccess: { rejectedSpans: "none" } });
  await until(() => exported() === 2);
  assert.equal(dropped(), 2);
  assert.deepEqual(failures, [
    "the collector of traces answers 503",
    "the collector of traces answers 400",
    "the collector of traces refuses spans",
  ]);
});

test("Retry-After: seconds or a date, and five minutes at most", async () => {
  const { take, clock, failures, requests, asked } = exporting();
  take(ended(0));
  await clock.pass(5_000);
  await asked(1);
  requests[0]?.answer(503, {}, { "retry-after": `${30 * 86_400}` });
  await until(() => failures.length === 1);
  await clock.pass(299_999);
  assert.equal(requests.length, 1);
  await clock.pass(1);
  assert.equal(requests.length, 2);
  requests[1]?.answer(429, {}, { "retry-after": new Date(clock.wall() + 7_000).toUTCString() });
  await until(() => failures.length === 2);
  await clock.pass(6_999);
  assert.equal(requests.length, 2);
  await clock.pass(1);
  assert.equal(requests.length, 3);
});

test("a failure to send quotes neither the address nor a header", async () => {
  const port = await freePort();
  const failureOf = (url: string, headers: Record<string, string>) =>
    new Promise<Error>((resolve) => {
      const clock = createClock();
      const to = { url, headers, resource: {}, version };
      const exporter = createExporter(to, clock, (error) => resolve(error as Error));
      exporter.take(ended(0));
      void exporter.end();
    });
  for (const [url, headers, why] of [
    [`http://user:hunter2@127.0.0.1:${port}`, {}, "TypeError"],
    [`http://127.0.0.1:${port}`, { "x-key": "hunter2\nhunter2" }, "TypeError"],
    [`http://127.0.0.1:${port}/?key=hunter2`, { "x-key": "hunter2" }, "ECONNREFUSED"],
  ] as const) {
    const { message, stack, cause } = await failureOf(url, headers);
    assert.equal(message, `the collector of traces can't be reached: ${why}`);
    assert.doesNotMatch(`${stack} ${cause}`, /hunter2/);
  }
});
