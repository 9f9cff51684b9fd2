/** The client's package as others have it: packed, installed into an empty project, compiled, and run against the real service. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { adminToken, openWorld, userToken, type World } from "../../bench/harness/app.ts";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { npmProject, type Project } from "../../bench/harness/npm-project.ts";
import { exactly, says } from "../../bench/harness/site.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { Incoming } from "../http/incoming.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const README = readFileSync(new URL("README.md", import.meta.url), "utf8");

/** What the examples need, as their readers have it; and what else runs JavaScript. Of Node.js the versions that the package is for, whichever runs this. */
const NODE = `node-${process.platform}-${process.arch}`;
const OTHERS = [
  ...["react@19.3.1", "react-dom@19.3.1", "vue@3.5.45", "esbuild@0.28.2"],
  ...["20.19.6", "22.23.5", "24.22.3"].map((version) => `node-${version.slice(0, 2)}@npm:${NODE}@${version}`),
  ...["deno@2.9.6", "bun@1.4.5"],
];

let world: World;
let server: Server;
let baseUrl: string;
let project: Project;

before(async () => {
  world = await openWorld();
  server = createServer({ IncomingMessage: Incoming }, world.listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const packed = await temporaryDirectory();
  const args = ["pack", "--json", "--pack-destination", packed];
  const { stdout } = await promisify(execFile)("npm", args, { cwd: join(ROOT, "server/public") });
  project = await npmProject([join(packed, JSON.parse(stdout)[0].filename), ...OTHERS]);
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await world.close();
  await cleanUp();
});

/** A drop of one unit, by every kind of call. */
const DROP = `
import { CouponError, couponClient } from "coupon-drop-client";
import type { CouponClient, IssueCouponResult, WalletCoupon } from "coupon-drop-client";

export async function drop(baseUrl: string, tokens: [string, string, string], users: [number, number], start_time: string) {
  const [admin, first, second]: CouponClient[] = tokens.map((token) => couponClient({ baseUrl, token: () => token }));
  if (!admin || !first || !second) throw new Error("a token for each");
  const made = await admin.createCoupon({
    code: start_time.slice(0, 4), message: "Free pizza", description: "", start_time, expiry: "2101-01-01T10:00:00Z", count: 1,
  });
  if (made.outcome !== "created") throw new Error(made.outcome);
  const { coupon_id } = made;
  const result: IssueCouponResult = await first.issueCoupon({ coupon_id });
  const position: number | undefined = result.outcome === "issued" ? result.position : undefined;
  const again = await first.issueCoupon({ coupon_id }, { signal: AbortSignal.timeout(60_000) });
  const late = await second.issueCoupon({ coupon_id });
  const detail: string = late.outcome === "sold_out" ? late.detail : "";
  const used = await first.useCoupon({ coupon_id, reference: "order-1" });
  const held: WalletCoupon[] = (await first.wallet({ user_id: users[0] })).coupons;
  const csv = await (await admin.listGrants({ coupon_id })).text();
  let left: number | undefined;
  for await (const { live } of first.watchCoupons()) {
    // The first state may be the one of a second ago.
    left = live.find((coupon) => coupon.coupon_id === coupon_id)?.remaining;
    if (left === 0) break;
  }
  const refused = await second.couponStats({ coupon_id }).catch((error: unknown) => error);
  return {
    outcomes: [result.outcome, again.outcome, late.outcome, used.outcome],
    position, detail, left, lines: csv.split("\\r\\n").length, states: held.map(({ state }) => state),
    error: refused instanceof CouponError && refused.outcome, isSteady: Math.abs(client_now(first) - Date.now()) < 86_400_000,
  };
}
const client_now = (client: CouponClient): number => client.serverNow();
`;
const MAIN = `
import { drop } from "./drop.js";

const { BASE_URL, TOKENS, USERS, START } = process.env;
console.log(JSON.stringify(await drop(BASE_URL, JSON.parse(TOKENS), JSON.parse(USERS), START)));
`;
const EXPECTED = {
  outcomes: ["issued", "already_issued", "sold_out", "used"],
  position: 1,
  detail: "All units of the coupon have been issued, in order of arrival.",
  left: 0,
  lines: 3,
  states: ["used"],
  error: "forbidden",
  isSteady: true,
};

const tsc = (...args: string[]) =>
  project.run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "--strict", ...args]);

test("it compiles strictly: as Node.js and as bundlers look for it, with the types of browsers and those of Node.js", async () => {
  await project.write("drop.ts", DROP);
  const strict = ["--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2023"];
  const browsers = ["--lib", "es2023,dom,dom.asynciterable", "--types", ""];
  const node = ["--lib", "es2023", "--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
  await tsc(
    ...strict,
    ...browsers,
    "--noEmit",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "drop.ts",
  );
  await tsc(...strict, ...browsers, "--noEmit", "--module", "node16", "drop.ts");
  await tsc(...strict, ...node, "--module", "nodenext", "drop.ts");
  // An older project, which looks into the types of packages, too.
  const older = ["--target", "es2020", "--lib", "es2020,dom", "--types", "", "--module", "node16"];
  await tsc("--exactOptionalPropertyTypes", ...older, "--noEmit", "drop.ts");

  const wrong = (line: string) =>
    DROP.replace("const { coupon_id } = made;", `const { coupon_id } = made;\n${line}`);
  for (const [line, complaint] of [
    ["await first.issueCoupon({ coupon_id: start_time });", "TS2322"],
    ["await first.issueCoupon({});", "TS2741"],
    ["const number: number = (await first.issueCoupon({ coupon_id })).position;", "TS2322"],
    ["await first.issueCoupons();", "TS2551"],
  ] as const) {
    await project.write("wrong.ts", wrong(line));
    await assert.rejects(
      tsc(...strict, ...node, "--noEmit", "--module", "nodenext", "wrong.ts"),
      new RegExp(complaint),
    );
  }
});

for (const [what, year, program, ...args] of [
  ["Node.js 20", 2001, () => installed("node-20", "bin/node")],
  ["Node.js 22", 2002, () => installed("node-22", "bin/node")],
  ["Node.js 24", 2005, () => installed("node-24", "bin/node")],
  ["Deno", 2003, () => installed(`@deno/${only("@deno")}`, "deno"), "run", "--allow-env", "--allow-net"],
  ["Bun", 2004, () => installed(`@oven/${only("@oven")}`, "bin/bun")],
] as const)
  test(`it runs a drop: ${what}`, async () => {
    await project.write("main.js", MAIN);
    const users = [await world.newUser(), await world.newUser()] as const;
    const printed = await project.run(program(), [...args, "main.js"], {
      BASE_URL: baseUrl,
      TOKENS: JSON.stringify([await adminToken, await userToken(users[0]), await userToken(users[1])]),
      USERS: JSON.stringify(users),
      START: `${year}-01-01T10:00:00Z`,
    });
    assert.deepEqual(JSON.parse(printed), EXPECTED);
  });

const installed = (...path: string[]) => join(project.directory, "node_modules", ...path);

/** The package of this scope that is for this machine. */
function only(scope: string): string {
  const [name = "", ...more] = readdirSync(installed(scope));
  assert.deepEqual(more, []);
  return name;
}

describe("in Chromium", options, () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser?.close());

  /** A page of the service's origin that runs this script and has the package's files beside it. */
  async function openPage(files: Record<string, string>): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(`${error}`));
    page.on("console", (message) => {
      const isRefusal = message.text().includes("status of 409");
      if (message.type() === "error" && !isRefusal) complaints.push(message.text());
    });
    await page.route("**/example/*", (route) => {
      const [, name = ""] =
        route
          .request()
          .url()
          .match(/\/example\/(.*)$/) ?? [];
      const contentType = name.endsWith(".js") ? "text/javascript" : "text/html";
      const given = name === "" ? PAGE : files[name];
      const path = join(project.directory, "node_modules/coupon-drop-client", name);
      return route.fulfill({ contentType, ...(given === undefined ? { path } : { body: given }) });
    });
    await page.goto(`${baseUrl}/example/`);
    return { page, complaints };
  }
  const PAGE =
    '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="main.js"></script>';

  test("as modules, in a page and in a worker", async () => {
    const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon({ count: 1 })];
    const token = JSON.stringify(await userToken(user_id));
    const claim = `import { couponClient } from "./client.js";
      const { outcome, position } = await couponClient({ token: ${token} }).issueCoupon({ coupon_id: ${coupon_id} });`;
    const { page, complaints } = await openPage({
      "main.js": `${claim}
        const worker = new Worker("worker.js", { type: "module" });
        worker.onmessage = ({ data }) => (document.querySelector("#root").textContent = [outcome, position, ...data].join());`,
      "worker.js": `${claim}
        postMessage([outcome, position]);`,
    });
    await says(page.locator("#root"), exactly("issued,1,already_issued,1"));
    assert.deepEqual(complaints, []);
    await page.close();
  });

  /** The block of the README in this language, which is short. */
  function example(language: string): string {
    const [, text] = README.match(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms")) ?? [];
    assert.ok(text, language);
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    assert.ok(lines.length <= 14 && lines.every(({ length }) => length <= 113), text);
    return text;
  }

  for (const [framework, language, compiled, main] of [
    [
      "React",
      "jsx",
      (text: string) => text,
      'import { createElement } from "react"; import { createRoot } from "react-dom/client"; const page = createRoot(root); let key = 0; globalThis.again = () => page.render(createElement(Drop, { client, key: ++key })); again();',
    ],
    [
      "Vue",
      "vue",
      async (text: string) => {
        const { parse, compileScript } = await import(
          join(project.directory, "node_modules/vue/compiler-sfc/index.mjs")
        );
        const { descriptor, errors } = parse(text);
        assert.deepEqual(errors, []);
        const { content } = compileScript(descriptor, {
          id: "drop",
          inlineTemplate: true,
          genDefaultAs: "Drop",
        });
        return `${content}\nexport { Drop };`;
      },
      'import { createApp, h, ref } from "vue"; const key = ref(0); globalThis.again = () => key.value++; createApp({ render: () => h(Drop, { client, key: key.value }) }).mount(root);',
    ],
  ] as const)
    test(`the example of the README runs: ${framework}`, async () => {
      await project.write(`${framework}.jsx`, await compiled(example(language)));
      await project.write(
        `${framework}-main.js`,
        `import { couponClient } from "coupon-drop-client";
         import { Drop } from "./${framework}.jsx";
         const client = couponClient({ token: TOKEN });
         const root = document.querySelector("#root");
         ${main}`,
      );
      const script = await project.bin("esbuild", [
        ...[`${framework}-main.js`, "--bundle", "--format=esm", "--jsx=automatic"],
        '--define:process.env.NODE_ENV="production"',
      ]);
      const coupon = await world.newCoupon({ count: 1 });
      const open = async () => {
        const token = await userToken(await world.newUser());
        return openPage({ "main.js": `const TOKEN = ${JSON.stringify(token)};\n${script}` });
      };
      const [winner, late] = [await open(), await open()];
      const message = `Pizza by ${framework}`;
      await world.scratch.admin`select from edit_coupon(${coupon}, message => ${message})`;
      const button = ({ page }: { page: Page }) => page.getByRole("button").filter({ hasText: message });
      for (const shop of [winner, late]) await says(button(shop), "1 left");
      const line = ({ page }: { page: Page }) => page.locator("#root p");
      await button(winner).click();
      await says(line(winner), exactly("issued"));
      for (const shop of [winner, late]) await says(button(shop), exactly(`${message}: 0 left`));
      await button(late).click();
      await says(line(late), exactly(EXPECTED.detail));
      for (const { page, complaints } of [winner, late]) {
        assert.deepEqual(complaints, []);
        await page.close();
      }

      // A gateway's page ends the stream: it says why, and begins again with another key.
      const { page, complaints } = await open();
      await says(button({ page }), "0 left");
      const gateway = "**/coupons/events";
      await page.route(gateway, (route) => route.fulfill({ contentType: "text/html", body: "<p>Soon back" }));
      await page.reload();
      await says(line({ page }), exactly("The answer is no stream of events."));
      await page.unroute(gateway);
      await page.evaluate("again()");
      await says(button({ page }), "0 left");

      // Who goes leaves no stream behind.
      await page.evaluate("again()");
      await says(button({ page }), "0 left");
      await until(async () => world.app.streams() === 1, "one stream is open");
      assert.deepEqual(complaints, []);
      await page.close();
    });
});
