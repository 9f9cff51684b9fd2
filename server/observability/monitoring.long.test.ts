/**
 * Compares the dashboard, the alert rules and the table in server/README.md with the metrics, labels and routes of a running
 * server. UPDATE_README=1 writes the table.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeCoupon } from "../../bench/harness/coupons.ts";
import { checkBlock } from "../../bench/harness/readme-blocks.ts";
import { type Service, startService } from "../../bench/harness/service.ts";
import { adminToken } from "../../bench/harness/tokens.ts";
import { until, untilReady } from "../../bench/harness/waiting.ts";

const at = (name: string) => fileURLToPath(new URL(name, import.meta.url));

interface Metric {
  type: string;
  help: string;
  /** The values of each label. */
  labels: Map<string, Set<string>>;
}

let service: Service;
let text: string;
/** By the name that an expression says: those of a histogram's series are three. */
const series = new Map<string, Metric>();
/** By the name of the metric. */
const metrics = new Map<string, Metric>();

before(async () => {
  service = await startService(2);
  const path = `/coupons/${await makeCoupon(service.database.admin, { code: "A", count: 1 })}`;
  for (const [method, to, user, status] of [
    ["POST", `${path}/issue`, 1, 201],
    ["POST", `${path}/issue`, 2, 409],
    ["GET", path, 2, 200],
  ] as const) {
    const authorization = `Bearer ${service.token(user)}`;
    assert.equal((await fetch(service.url + to, { method, headers: { authorization } })).status, status);
  }
  await untilReady(service.url);
  // A failure of ours, which has a label more.
  await service.database.owner`revoke execute on function public.list_plan() from coupon_api`;
  const headers = { authorization: `Bearer ${adminToken(service.secret)}` };
  assert.equal((await fetch(`${service.url}/plan`, { headers })).status, 500);
  await service.database.owner`grant execute on function public.list_plan() to coupon_api`;
  const scrape = async () =>
    (await fetch(`${service.url}/metrics`, { headers: service.metricsHeaders })).text();
  // Only a lease says since when it is sold out, and it comes by itself.
  await until(async () => {
    const authorization = `Bearer ${service.token(2)}`;
    await (await fetch(`${service.url}${path}/issue`, { method: "POST", headers: { authorization } })).text();
    text = await scrape();
    return text.includes("coupon_sold_out_timestamp_seconds{");
  });
  for (const [, name = "", help = ""] of text.matchAll(/^# HELP (\S+) (.*)$/gm)) {
    const [, type = ""] = text.match(new RegExp(`^# TYPE ${name} (\\w+)$`, "m")) ?? [];
    const metric = { type, help, labels: new Map() };
    metrics.set(name, metric);
    const told = type === "histogram" ? ["_bucket", "_sum", "_count"].map((part) => name + part) : [name];
    for (const one of told) series.set(one, metric);
  }
  for (const [, name = "", labels = ""] of text.matchAll(/^([a-z_]+)\{(.*)\} \S+$/gm))
    for (const [, label = "", value = ""] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
      const known = series.get(name)?.labels;
      known?.set(label, (known.get(label) ?? new Set()).add(value));
    }
});
after(() => service.stop());

/** prom-client adds those of Node.js. */
const isOurs = (name: string) => /^(coupon|http)_/.test(name);

/** What Prometheus itself adds. */
const OWN_LABELS = ["instance", "job"];
const FUNCTIONS = "rate increase sum max by histogram_quantile max_over_time label_values".split(" ");

/** What of an expression isn't there. */
function wrong(expression: string): string[] {
  const found: string[] = [];
  const selectors = [...expression.matchAll(/([a-z_]+)\{((?:[^}"]|"[^"]*")*)\}/g)];
  for (const [, name = "", matchers = ""] of selectors)
    for (const [, label = "", operator, value = ""] of matchers.matchAll(/(\w+)(=~|!=|=)"([^"]*)"/g)) {
      const values = series.get(name)?.labels.get(label);
      if (values === undefined && !OWN_LABELS.includes(label)) found.push(`${name}{${label}}`);
      const isExact = operator !== "=~" && label !== "http_response_status_code";
      if (isExact && values && !values.has(value)) found.push(`${name}{${label}="${value}"}`);
    }
  const labels = new Set([...series.values()].flatMap((metric) => [...metric.labels.keys()]));
  for (const [, list = ""] of expression.matchAll(/by \(([^)]*)\)/g))
    for (const label of list.split(", "))
      if (!labels.has(label) && !OWN_LABELS.includes(label)) found.push(`by (${label})`);
  const rest = expression
    .replace(/\{(?:[^}"]|"[^"]*")*\}/g, "")
    .replace(/\[[^\]]*\]/g, "")
    .replace(/by \([^)]*\)/g, "");
  for (const [name] of rest.matchAll(/[a-z_]\w*/gi))
    if (!FUNCTIONS.includes(name) && !series.has(name) && name !== "up") found.push(name);
  return found;
}

function expressions(): string[] {
  const { panels, templating } = JSON.parse(readFileSync(at("dashboard.json"), "utf8"));
  const shown = panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
    targets.map(({ expr }) => expr),
  );
  const chosen = templating.list
    .filter(({ type }: { type: string }) => type === "query")
    .map(({ query }: { query: string }) => query.replace(/, \w+\)$/, ")"));
  const alerting = [...readFileSync(at("alerts.yml"), "utf8").matchAll(/^ *expr: (.*)$/gm)].map(
    ([, expr]) => expr,
  );
  assert.ok(shown.length > 20 && chosen.length === 1 && alerting.length >= 10);
  return [...shown, ...chosen, ...alerting];
}

test("the dashboard and the alerts read what is there", () => {
  for (const expression of expressions()) assert.deepEqual(wrong(expression), [], expression);
});

test("the check finds what isn't there", () => {
  for (const [expression, missing] of [
    ["rate(coupon_grants_total[1m])", ["coupon_grants_total"]],
    ["coupon_batch_size", ["coupon_batch_size"]],
    ['coupon_pool_size{pol="issue"}', ["coupon_pool_size{pol}"]],
    ['coupon_pool_size{pool="admin"}', ['coupon_pool_size{pool="admin"}']],
    ["sum by (http_route, path) (coupon_lane_queued)", ["by (path)"]],
  ] as const)
    assert.deepEqual(wrong(expression), missing);
});

test("every metric of ours is on the dashboard", () => {
  const all = expressions().join("\n");
  const ours = [...metrics.keys()].filter((name) => isOurs(name));
  assert.deepEqual(
    ours.filter((name) => !all.includes(name)),
    [],
  );
});

test("each alert names a severity and says what is wrong", () => {
  const rules = readFileSync(at("alerts.yml"), "utf8").split("- alert: ").slice(1);
  for (const rule of rules) assert.match(rule, /severity: (page|warn) .*\n.*annotations:\n +summary: ".+"/);
});

test("server/README.md lists the metrics of /metrics", () => {
  const ours = [...metrics].filter(([name]) => isOurs(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = ours.map(([name, { type, labels, help }]) => {
    const names = [...labels.keys()].filter((label) => label !== "le").join(", ");
    return `| \`${name}\` | ${type} | ${names} | ${help.replace(/\.$/, "")} |`;
  });
  const table = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
  checkBlock(new URL("../README.md", import.meta.url), "metrics", table);
});

// ---- promtool -------------------------------------------------------------------------------------------------------

const has = spawnSync("promtool", ["--version"]).status === 0;
const skip = has ? false : "needs promtool (Debian: prometheus)";

test("promtool: the rules are rules", { skip }, () => {
  execFileSync("promtool", ["check", "rules", at("alerts.yml")]);
});

test("promtool: the alerts fire when they should", { skip }, () => {
  execFileSync("promtool", ["test", "rules", at("../../bench/harness/alerts.test.yml")]);
});

test("promtool: our metrics are named and explained as they should be", { skip }, () => {
  const ours = text
    .split("\n\n")
    .filter((metric) => /^# HELP (coupon|http)_/.test(metric))
    .map((metric) => `${metric.trimEnd()}\n`);
  assert.equal(ours.length, [...metrics.keys()].filter((name) => isOurs(name)).length);
  execFileSync("promtool", ["check", "metrics"], { input: ours.join("") });
});
