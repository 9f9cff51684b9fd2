import assert from "node:assert/strict";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import fc from "fast-check";
import {
  adminToken,
  env,
  metricsToken,
  openApp,
  openWorld,
  serviceToken,
  userToken,
  type World,
} from "../../bench/harness/app.ts";
import { until } from "../../bench/harness/waiting.ts";
import { outcomes } from "../api/outcomes.ts";
import { metricsTokenOf } from "../auth/secret.ts";
import { createMetrics } from "./metrics.ts";
import { createRequests } from "./requests.ts";

/** The values of a text for Prometheus, by series. */
type Series = Record<string, number>;

function seriesOf(text: string): Series {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(" ")),
      Number(line.slice(line.lastIndexOf(" ") + 1)),
    ]),
  );
}

/** What became more, and by how much. */
function more(before: Series, after: Series): Series {
  const grown = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, by]) => by !== 0));
}

/** The service on a port. */
async function listen(t: { after: (end: () => unknown) => void }, { server }: Pick<World, "server">) {
  t.after(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return (method: string, path: string, headers: Record<string, string> = {}, body = "") =>
    new Promise<{ status: number | undefined; type: string | undefined; text: string }>((resolve, reject) => {
      const length = body === "" ? {} : { "content-length": `${Buffer.byteLength(body)}` };
      const all = { "content-type": "application/json", ...length, ...headers };
      const sent = request(
        { host: "127.0.0.1", port, method, path, headers: all, agent: false },
        async (response) => {
          const type = response.headers["content-type"];
          const isEndless = type === "text/event-stream";
          const parts = isEndless ? [] : await response.toArray();
          if (isEndless) response.destroy();
          resolve({ status: response.statusCode, type, text: Buffer.concat(parts).toString() });
        },
      );
      sent.once("error", reject).end(body);
    });
}

let world: World;
let ask: Awaited<ReturnType<typeof listen>>;
const ends: (() => unknown)[] = [];
before(async () => {
  world = await openWorld();
  ask = await listen({ after: (end) => void ends.push(end as () => unknown) }, world);
});
after(async () => {
  for (const end of ends) end();
  await world.close();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const scrape = async () => seriesOf((await ask("GET", "/metrics", bearer(metricsToken))).text);
const requests = (method: string, route: string | undefined, status: number) => {
  const matched = route === undefined ? "" : `http_route="${route}",`;
  return `http_server_request_duration_seconds_count{http_request_method="${method}",http_response_status_code="${status}",${matched}url_scheme="http"}`;
};
const outcome = (command: string, told: string) =>
  `coupon_outcomes_total{command="${command}",outcome="${told}"}`;

/** What grew, but for the scrape itself, for how long things took and for what a session was told first. */
async function counts(work: () => Promise<unknown>): Promise<Series> {
  const earlier = await scrape();
  await work();
  const grown = more(earlier, await scrape());
  return Object.fromEntries(
    Object.entries(grown).filter(
      ([name]) =>
        !/_bucket|_sum|http_route="\/metrics"|^coupon_leases_held|^coupon_commit_waits_for/.test(name),
    ),
  );
}

test("requests by route, method and status, by either path; outcomes, batches", async () => {
  const coupon = await world.newCoupon({ count: 2 });
  const users = [await world.newUser(), await world.newUser()];
  const path = `/coupons/${coupon}/issue`;
  const issue = async (user: number, body: string) => ask("POST", path, bearer(await userToken(user)), body);
  const route = "/coupons/{coupon_id}/issue";
  const grown = await counts(async () => {
    assert.equal((await issue(users[0] as number, "")).status, 201); // as a burst sends it
    assert.equal((await issue(users[1] as number, "{ }")).status, 201); // by the routes
    assert.equal((await issue(users[1] as number, "{}")).status, 200);
    assert.equal((await ask("POST", path)).status, 401);
    assert.equal((await ask("HEAD", "/livez?x=1")).status, 200);
    assert.equal((await ask("GET", "/nothing")).status, 404);
    assert.equal((await ask("PUT", "/nothing")).status, 404);
    assert.equal((await ask("PROPFIND", "/nothing")).status, 404);
  });
  assert.deepEqual(grown, {
    [requests("POST", route, 201)]: 2,
    [requests("POST", route, 200)]: 1,
    [requests("POST", route, 401)]: 1,
    [requests("HEAD", "/livez", 200)]: 1,
    [requests("GET", undefined, 404)]: 1,
    [requests("PUT", undefined, 404)]: 1,
    [requests("_OTHER", undefined, 404)]: 1,
    coupon_batch_size_count: 3,
    coupon_batch_duration_seconds_count: 3,
    coupon_demand_pending: 1,
    [outcome("issue_coupon", "issued")]: 2,
    [outcome("issue_coupon", "already_issued")]: 1,
  });
});

test("a refusal from a lease is an outcome too", async () => {
  const coupon = await world.newCoupon({ from: "1 hour", until: "2 hours" });
  const token = bearer(await userToken(await world.newUser()));
  const refuse = () => ask("POST", `/coupons/${coupon}/issue`, token);
  const grown = await counts(async () => {
    for (let hits = world.issuing.leases.hits(), refused = 0; ; refused++) {
      assert.equal((await refuse()).status, 409);
      if (world.issuing.leases.hits() > hits) return refused;
    }
  });
  assert.equal(grown["coupon_lease_hits_total"], 1);
  const asked = grown["coupon_batch_size_count"] as number;
  assert.equal(grown[outcome("issue_coupon", "not_started")], asked + 1);
  assert.equal(grown[requests("POST", "/coupons/{coupon_id}/issue", 409)], asked + 1);
  assert.equal(grown["coupon_demand_pending"], asked + 1);

  // A lease may end before the scrape.
  for (let held: number | undefined; held !== 1; held = (await scrape())["coupon_leases_held"])
    await refuse();
});

test("a coupon that is leased as sold out says since when, whoever asks for others", async () => {
  const coupon = await world.newCoupon({ count: 1 });
  const [ann, ben] = [await world.newUser(), await world.newUser()];
  const { body } = await world.issue(coupon, ann);
  const series = `coupon_sold_out_timestamp_seconds{coupon_id="${coupon}"}`;
  for (;;) {
    await world.issue(coupon, ben);
    const since = (await scrape())[series];
    if (since === undefined) continue;
    assert.equal(since, Date.parse(String(body.issued_at)) / 1_000);
    break;
  }
});

test("every other command's outcomes", async () => {
  const [user, coupon] = [await world.newUser(), await world.newCoupon()];
  assert.equal((await world.issue(coupon, user)).status, 201);
  const admin = (path: string, body: object = {}) =>
    ask("POST", path, bearer(adminToken), JSON.stringify(body));
  const at = `/coupons/${coupon}`;
  const expiry = new Date(Date.now() + 3_600_000).toISOString();
  const grown = await counts(async () => {
    await ask("POST", `${at}/use`, bearer(serviceToken), JSON.stringify({ user_id: user, reference: "r" }));
    await admin(`${at}/undo-use`, { user_id: user, reason: "r" });
    await admin(`${at}/pause`, { reason: "r" });
    await admin(`${at}/pause`, { reason: "r" });
    await admin(`${at}/resume`, { reason: "r" });
    await admin(`${at}/count`, { count: 77, reason: "r" });
    await admin(`${at}/expiry`, { expiry, reason: "r" });
    await admin("/coupons", {
      code: "METRICS",
      message: "m",
      description: "d",
      start_time: "2030-01-01T00:00:00Z",
      expiry: "2030-01-02T00:00:00Z",
      count: 1,
    });
  });
  const told = Object.entries(grown).filter(([name]) => name.startsWith("coupon_outcomes_total"));
  assert.deepEqual(Object.fromEntries(told), {
    [outcome("use_coupon", "used")]: 1,
    [outcome("undo_use", "restored")]: 1,
    [outcome("pause_coupon", "paused")]: 1,
    [outcome("pause_coupon", "already_paused")]: 1,
    [outcome("resume_coupon", "resumed")]: 1,
    [outcome("set_coupon_count", "changed")]: 1,
    [outcome("set_coupon_expiry", "changed")]: 1,
    [outcome("create_coupon", "created")]: 1,
  });
});

test("every outcome is there from the start, at 0", async () => {
  const { metrics } = await openApp(world.scratch.apiUrl).then(({ dependencies, close }) =>
    close().then(() => dependencies),
  );
  const series = seriesOf(await metrics.registry.metrics());
  const zeros = Object.entries(outcomes).flatMap(([command, answers]) =>
    Object.keys(answers).map((told) => [outcome(command, told), 0]),
  );
  const told = Object.entries(series).filter(([name]) => name.startsWith("coupon_outcomes_total"));
  assert.deepEqual(Object.fromEntries(told), Object.fromEntries(zeros));
});

test("whatever is asked, the series stay the same", async () => {
  const templates = [...new Set(world.app.routes.map(({ path }) => path))];
  const tokens = [{}, bearer(adminToken), bearer(await userToken(1))];
  const bodies = ["", "{}", "["];
  // All that there can be …
  for (const template of templates)
    for (const method of ["GET", "HEAD", "POST"])
      for (const token of tokens) {
        const to = (id: string, query = "", body = method === "POST" ? "{}" : "") =>
          ask(method, template.replace(/:\w+/, id) + query, token, body);
        for (const id of template.includes(":") ? ["x", "1", "999999"] : [""]) await to(id);
        await to("1", "?x=1");
        if (method === "POST") for (const body of bodies) await to("1", "", body);
      }
  // No route takes these.
  for (const method of ["PUT", "DELETE", "OPTIONS", "PROPFIND"]) await ask(method, "/nothing");
  const series = Object.keys(await scrape());
  const routes = new Set(series.map((name) => name.match(/http_route="([^"]*)"/)?.[1]).filter(Boolean));
  const documented = templates.map((template) => template.replace(/:(\w+)/g, "{$1}"));
  assert.deepEqual([...routes].sort(), documented.sort());

  // … and then anything.
  const word = fc.stringMatching(/^[a-z][A-Za-z0-9._~-]{0,12}(%[0-9A-F]{2})?$/);
  const id = fc.oneof(word, fc.integer({ min: 1_000_000 }).map(String));
  const path = fc.oneof(
    fc.array(id, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`),
    fc.tuple(fc.constantFrom(...templates), id).map(([template, given]) => template.replace(/:\w+/, given)),
    fc
      .tuple(fc.constantFrom(...templates), id, word)
      .map(([template, given, query]) => `${template.replace(/:\w+/, given)}?${query}`),
  );
  const method = fc.constantFrom(...["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "PURGE"]);
  const anything = fc.asyncProperty(
    fc.tuple(method, path, fc.constantFrom(...tokens), fc.constantFrom(...bodies, '{"x": 1}')),
    async (given) => void (await ask(...given)),
  );
  await fc.assert(anything, { numRuns: 300 });
  assert.deepEqual(Object.keys(await scrape()).sort(), series.sort());
});

test("buckets hold those below, too, and a value on a bound", () => {
  const { of, all } = createRequests();
  for (const ms of [0.1, 1, 1.1, 30, 30, 9_999]) of("GET", "/x/{y}")(200, ms);
  of("GET", "/x/{y}")(404, 2);
  of("GET", "/x/{y}")(503, 2);
  const [ok, missing, failed, ...none] = all();
  const labels = { http_request_method: "GET", http_route: "/x/{y}", url_scheme: "http" };
  assert.deepEqual(none, []);
  assert.deepEqual(
    [ok?.labels, missing?.labels, failed?.labels],
    [
      { ...labels, http_response_status_code: 200 },
      { ...labels, http_response_status_code: 404 },
      { ...labels, http_response_status_code: 503, error_type: 503 },
    ],
  );
  assert.deepEqual([...(ok?.buckets ?? [])], [2, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
  assert.ok(Math.abs((ok?.sum() ?? 0) - 10.0612) < 1e-9);
});

test("the text: a histogram's lines", async () => {
  const metrics = createMetrics();
  metrics.requests.of("GET", "/x")(200, 2);
  metrics.requests.of("GET", "/x")(200, 6_000);
  const text = await metrics.registry.metrics();
  const labels =
    'http_request_method="GET",http_response_status_code="200",http_route="/x",url_scheme="http"';
  const name = "http_server_request_duration_seconds";
  assert.ok(
    text.startsWith(
      `# HELP ${name} Duration of HTTP server requests.\n# TYPE ${name} histogram\n` +
        `${name}_bucket{${labels},le="0.001"} 0\n${name}_bucket{${labels},le="0.0025"} 1\n`,
    ),
    text,
  );
  for (const line of [
    `_bucket{${labels},le="5"} 1`,
    `_bucket{${labels},le="+Inf"} 2`,
    `_sum{${labels}} 6.002`,
    `_count{${labels}} 2`,
  ])
    assert.ok(text.includes(`\n${name}${line}\n`), line);
});

test("open streams", async () => {
  const streams = ["coupons", "coupons", "coupons/status"].map((what) =>
    world.ask(`/${what}/events`, { headers: { authorization: `Bearer ${adminToken}` } }),
  );
  const opened = await Promise.all(streams);
  assert.equal((await scrape())["coupon_streams_open"], 3);
  for (const { body } of opened) await body?.cancel();
  while ((await scrape())["coupon_streams_open"] !== 0); // the server hears of it a moment later
});

// ---- Who may ask ----------------------------------------------------------------------------------------------------

test("/metrics without METRICS_TOKEN: by the token that follows from the secret, and by no address, Host or Origin", async () => {
  const { status, type } = await ask("GET", "/metrics", bearer(metricsToken));
  assert.deepEqual([status, type], [200, "text/plain; version=0.0.4; charset=utf-8"]);
  for (const headers of [
    {},
    { host: "localhost" },
    { host: "evil.example", origin: "http://evil.example" },
    bearer(adminToken),
    bearer(env.JWT_SECRET as string),
  ]) {
    const refused = await ask("GET", "/metrics", headers);
    assert.deepEqual([refused.status, JSON.parse(refused.text).outcome], [401, "unauthenticated"]);
  }
  assert.equal(metricsTokenOf({ JWT_SECRET: "another" }) === metricsToken, false);
});

test("no secret and no METRICS_TOKEN: there is no /metrics", async () => {
  assert.equal(metricsTokenOf({}), undefined);
  const { scrape } = createMetrics({ token: metricsTokenOf({}) });
  for (const authorization of [undefined, "Bearer ", "Bearer undefined"])
    await assert.rejects(scrape(authorization, "id"), { status: 404 });
});

test("with METRICS_TOKEN: whoever sends it, and nobody else", async (t) => {
  const app = await openApp(world.scratch.apiUrl, { env: { METRICS_TOKEN: "0123456789+/~.=_" } });
  t.after(app.close);
  const askWithToken = await listen(t, app);
  for (const headers of [
    {},
    bearer("0123456789+/~.=-"),
    bearer("0123456789+/~.="),
    bearer(""),
    bearer(adminToken),
    bearer(metricsToken),
    { authorization: "0123456789+/~.=_" },
    { authorization: "Basic 0123456789+/~.=_" },
  ]) {
    const { status, text } = await askWithToken("GET", "/metrics", headers);
    assert.deepEqual([status, JSON.parse(text).outcome], [401, "unauthenticated"]);
  }
  for (const headers of [bearer("0123456789+/~.=_"), { authorization: "bearer 0123456789+/~.=_" }])
    assert.equal((await askWithToken("GET", "/metrics", headers)).status, 200);
});

test("/metrics never asks the database: none is there", async (t) => {
  const app = await openApp("postgres://coupon_api:x@127.0.0.1:1/none");
  t.after(() => app.close());
  const askAway = await listen(t, app);
  const { status } = await askAway("GET", "/readyz");
  assert.equal(status, 503);
  const failures = 'coupon_database_errors_total{pool="ready",kind="unavailable"}';
  let series: ReturnType<typeof seriesOf> = {};
  // Readiness answers within a second, and its call may take longer.
  await until(async () => {
    series = seriesOf((await askAway("GET", "/metrics", bearer(metricsToken))).text);
    return Boolean(series[failures]);
  });
  assert.equal(series[failures], 1);
  assert.deepEqual(
    Object.keys(app.db.pools).map((pool) => [pool, series[`coupon_pool_size{pool="${pool}"}`]]),
    Object.entries({
      issue: 4,
      lookup: 2,
      lease: 2,
      use: 4,
      operate: 2,
      offer: 2,
      report: 3,
      ready: 1,
      webhook: 1,
    }),
  );
});

test("what can't be told is asked for again", async (t) => {
  const readMetrics = () => Promise.reject(new Error("a worker is silent"));
  const app = await openApp(world.scratch.apiUrl, { readMetrics });
  t.after(app.close);
  const askAll = await listen(t, app);
  const { status, text } = await askAll("GET", "/metrics", bearer(metricsToken));
  assert.deepEqual([status, JSON.parse(text).outcome], [503, "metrics_unavailable"]);
});
