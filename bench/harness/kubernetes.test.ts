/** What server/kubernetes/ says fits this release and Kubernetes' own types. Nobody has applied these files to a cluster. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Deployment } from "kubernetes-types/apps/v1.js";
import type { Job } from "kubernetes-types/batch/v1.js";
import type { Container, PodSpec, Probe, Service } from "kubernetes-types/core/v1.js";
import type { PodDisruptionBudget } from "kubernetes-types/policy/v1.js";
import { parseAllDocuments } from "yaml";
import { version } from "../../server/api/version.ts";
import { CONNECTIONS } from "../../server/database/pools.ts";
import { readEnv } from "../../server/env.ts";
import { ANSWER_MS } from "../../server/observability/readiness.ts";
import { DRAIN_MS } from "../../server/serve.ts";
import { cleanUp } from "./cleanup.ts";
import { CHECKOUT } from "./sd.ts";
import { temporaryDirectory } from "./temporary.ts";

after(cleanUp);

const HOME = join(CHECKOUT, "server/kubernetes");
const read = (name: string) => readFileSync(join(HOME, name), "utf8");
const readme = readFileSync(join(CHECKOUT, "server/README.md"), "utf8");

/** The objects of a file. Kubernetes' own reader takes YAML 1.1, in which 0440 is octal. */
function objectsOf(text: string): unknown[] {
  return parseAllDocuments(text, { version: "1.1" }).map((document) => {
    assert.deepEqual([...document.errors, ...document.warnings], []);
    return document.toJS();
  });
}

const [migrate] = objectsOf(read("migrate.yaml")) as [Job];
const [deployment, service, budget] = objectsOf(read("server.yaml")) as [
  Deployment,
  Service,
  PodDisruptionBudget,
];
const podOf = ({ spec }: Job | Deployment): PodSpec & { containers: [Container] } => {
  assert.equal(spec?.template.spec?.containers.length, 1);
  return spec?.template.spec as PodSpec & { containers: [Container] };
};
const pods = { migrate: podOf(migrate), server: podOf(deployment) };
const variablesOf = ({ env = [] }: Container) =>
  Object.fromEntries(env.map(({ name, value }) => [name, value]));

/** Where the types of each kind are, as kubernetes-types has them. */
const PLACES: Record<string, string> = {
  "apps/v1 Deployment": "apps/v1",
  "batch/v1 Job": "batch/v1",
  "policy/v1 PodDisruptionBudget": "policy/v1",
  "v1 Service": "core/v1",
};

/** These objects as literals of their types. */
const literals = (objects: readonly unknown[]): string =>
  objects
    .map((object, i) => {
      const { apiVersion, kind } = object as { apiVersion: string; kind: string };
      const place = PLACES[`${apiVersion} ${kind}`];
      assert.ok(place, `no types of ${apiVersion} ${kind}`);
      return `export const object${i}: import("kubernetes-types/${place}.js").${kind} = ${JSON.stringify(object, null, 1)};`;
    })
    .join("\n");

/** What TypeScript finds wrong with each of these texts: an unknown member, a missing one, another type. */
async function mistakesIn(texts: readonly string[]): Promise<string[]> {
  const home = await temporaryDirectory();
  symlinkSync(join(CHECKOUT, "node_modules"), join(home, "node_modules"));
  const files = texts.map((text, i) => {
    writeFileSync(join(home, `${i}.ts`), text);
    return `${i}.ts`;
  });
  const options = ["--noEmit", "--strict", "--module", "nodenext", "--types", "", "--pretty", "false"];
  const tsc = join(CHECKOUT, "node_modules/.bin/tsc");
  const { stdout } = spawnSync(tsc, [...options, ...files], { cwd: home, encoding: "utf8" });
  rmSync(join(home, "node_modules"));
  const found = stdout.split(/^(?=\d+\.ts\()/m);
  return files.map((file) => found.filter((mistake) => mistake.startsWith(`${file}(`)).join(""));
}

const SLIPS = [
  ["a member with a slip", "image: registry", "imgae: registry", /"imgae"' does not exist/],
  ["a text for a number", "replicas: 2", 'replicas: "2"', /'string' is not assignable to type 'number'/],
  [
    "a member at the wrong level",
    "  replicas: 2",
    "  replicas: 2\n  terminationGracePeriodSeconds: 25",
    /terminationGracePeriodSeconds"' does not exist/,
  ],
  ["a member that is missing", "name: server\n          image", "image", /Property 'name' is missing/],
] as const;

/** server.yaml with this in it. */
function slipped(from: string, to: string): string {
  const text = read("server.yaml");
  assert.ok(text.includes(from));
  return literals(objectsOf(text.replace(from, to)));
}

test("every object is of its Kubernetes type, and has no member that this does not know; each slip is found", async () => {
  assert.deepEqual(readdirSync(HOME).sort(), ["migrate.yaml", "server.yaml"]);
  const right = literals([migrate, deployment, service, budget]);
  const [none, ...found] = await mistakesIn([right, ...SLIPS.map(([, from, to]) => slipped(from, to))]);
  assert.equal(none, "");
  for (const [i, [what, , , message]] of SLIPS.entries()) assert.match(found[i] ?? "", message, what);
});

test("another version of the API is found", () => {
  assert.throws(() => slipped("apps/v1", "apps/v1beta1"), /no types of apps\/v1beta1 Deployment/);
});

test("servers have no login that may change the schema, and the job alone has it", () => {
  const [server, job] = [pods.server.containers[0], pods.migrate.containers[0]];
  assert.deepEqual(Object.keys(variablesOf(job)), ["DATABASE_URL_FILE"]);
  assert.deepEqual(
    Object.keys(variablesOf(server)).filter((name) => name.includes("DATABASE_URL")),
    ["API_DATABASE_URL_FILE"],
  );
  const secretOf = ({ volumes = [] }: PodSpec) => volumes.map(({ secret }) => secret?.secretName);
  assert.deepEqual([secretOf(pods.server), secretOf(pods.migrate)], [["coupon-api"], ["coupon-setup"]]);
  for (const each of [server, job])
    for (const { name } of each.env ?? []) assert.doesNotMatch(name, /SECRET|PASSWORD/);
});

test("the files that variables name are keys of secrets that the README makes", () => {
  for (const { containers, volumes = [] } of Object.values(pods)) {
    const [container] = containers;
    const mount = container.volumeMounts?.[0];
    const [made = ""] = readme.match(
      new RegExp(`kubectl create secret generic ${volumes[0]?.secret?.secretName}(.*\\\\\\n)*.*`),
    ) ?? [""];
    const keys = [...made.matchAll(/--from-(?:file|literal)=([\w-]+)/g)].map(([, key]) => key);
    const files = Object.entries(variablesOf(container)).filter(([name]) => name.endsWith("_FILE"));
    assert.deepEqual(files.map(([, path]) => path?.replace(`${mount?.mountPath}/`, "")).sort(), keys.sort());
    assert.equal(mount?.name, volumes[0]?.name);
    // Read by the group that the volume gets, and by nobody else.
    assert.deepEqual([volumes[0]?.secret?.defaultMode, mount?.readOnly], [0o440, true]);
  }
});

test("the server takes its variables, and the programs are there", async () => {
  const {
    API_DATABASE_URL_FILE: _,
    METRICS_TOKEN_FILE: __,
    ...plain
  } = variablesOf(pods.server.containers[0]);
  const env = readEnv(
    plain,
    Object.keys(variablesOf(pods.server.containers[0]))
      .map((name) => `${name}=`)
      .join("\n"),
  );
  assert.equal(env.WORKERS, 1);
  assert.equal(pods.server.containers[0].ports?.[0]?.containerPort, env.PORT);
  for (const { containers } of Object.values(pods)) {
    const [program, script, ...args] = containers[0].command ?? [];
    assert.equal(program, "node");
    assert.ok(readFileSync(join(CHECKOUT, script as string), "utf8").length > 0);
    assert.deepEqual(args, script === "server/main.ts" ? [] : ["migrate"]);
    assert.equal(containers[0].image, `registry.example/coupon-drop:${version}`);
  }
  assert.equal(migrate.metadata?.name, `coupon-migrate-${version}`);
});

test("a server is killed after it has drained, and drains after it was seen as not ready", () => {
  const { DRAIN_DELAY } = readEnv({ DRAIN_DELAY: variablesOf(pods.server.containers[0])["DRAIN_DELAY"] }, "");
  assert.equal(pods.server.terminationGracePeriodSeconds, DRAIN_DELAY + DRAIN_MS / 1_000 + 5);
  const seconds = ({ periodSeconds = 10, failureThreshold = 3, timeoutSeconds = 1 }: Probe) =>
    periodSeconds * failureThreshold + timeoutSeconds;
  const { readinessProbe, livenessProbe, startupProbe } = pods.server.containers[0];
  assert.ok(readinessProbe && livenessProbe && startupProbe);
  assert.ok(DRAIN_DELAY > seconds(readinessProbe));
  assert.ok((readinessProbe.timeoutSeconds ?? 1) * 1_000 > ANSWER_MS, "/readyz answers in time");
  const port = pods.server.containers[0].ports?.[0]?.name;
  assert.deepEqual(
    [readinessProbe, livenessProbe, startupProbe].map(({ httpGet }) => httpGet),
    ["/readyz", "/livez", "/livez"].map((path) => ({ path, port })),
  );
});

test("no process is root, gains rights or writes to its image", () => {
  for (const pod of Object.values(pods)) {
    const { runAsNonRoot, runAsUser, runAsGroup, fsGroup, seccompProfile } = pod.securityContext ?? {};
    assert.deepEqual(
      [runAsNonRoot, runAsUser, runAsGroup, fsGroup, seccompProfile],
      [true, 1000, 1000, 1000, { type: "RuntimeDefault" }],
    );
    assert.deepEqual(pod.containers[0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assert.equal(pod.automountServiceAccountToken, false);
    assert.ok(pod.containers[0].resources?.limits?.["memory"]);
  }
});

test("service and budget choose the servers, and never the job", () => {
  const labels = deployment.spec?.template.metadata?.labels ?? {};
  for (const selector of [
    deployment.spec?.selector.matchLabels,
    service.spec?.selector,
    budget.spec?.selector?.matchLabels,
    pods.server.topologySpreadConstraints?.[0]?.labelSelector?.matchLabels,
  ])
    assert.deepEqual(selector, labels);
  assert.notDeepEqual(migrate.spec?.template.metadata?.labels, labels);
  assert.equal(service.spec?.ports?.[0]?.targetPort, pods.server.containers[0].ports?.[0]?.name);
  // Otherwise nothing could be evicted, or all of it at once.
  assert.deepEqual([budget.spec?.maxUnavailable, (deployment.spec?.replicas ?? 1) > 1], [1, true]);
  // With the database down no server is ready, and nodes can be emptied all the same.
  assert.equal(budget.spec?.unhealthyPodEvictionPolicy, "AlwaysAllow");
  assert.deepEqual(deployment.spec?.strategy?.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
});

test("how many connections a server opens, and how often the job is tried, is said as it is", () => {
  const most = 2 * CONNECTIONS;
  assert.ok(
    read("server.yaml").includes(
      `Each opens ${CONNECTIONS} connections, and ${most} at most. During a rollout there is one more: max_connections must be above ${most} for each, and ${most} more.`,
    ),
  );
  assert.equal(migrate.spec?.backoffLimit, 5);
  for (const text of [read("migrate.yaml"), readme])
    assert.ok(text.includes(`kubectl delete job ${migrate.metadata?.name}`));
});
