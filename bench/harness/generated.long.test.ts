/** What others make of the document: a linter finds nothing, and clients of two generators compile strictly and complete a drop. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Incoming } from "../../server/http/incoming.ts";
import { adminToken, openWorld, userToken, type World } from "./app.ts";
import { cleanUp } from "./cleanup.ts";
import { npmProject, type Project } from "./npm-project.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The last releases that run on Node.js 20. They bring hundreds of packages, so that the checkout does not depend on them. */
const PACKAGES = [
  ...["@redocly/cli@2.77.0", "typescript@5.9.3"],
  ...["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "@hey-api/openapi-ts@0.95.0"],
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
  project = await npmProject(PACKAGES);
  // From here the one generator knows that imports have endings.
  await project.write("tsconfig.json", JSON.stringify({ compilerOptions: { module: "nodenext" } }));
  await project.write("openapi.json", await (await fetch(`${baseUrl}/openapi.json`)).text());
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await world.close();
  await cleanUp();
});

test("Redocly's linter has no errors and no warnings", async () => {
  const lint = (file: string) =>
    project.bin("redocly", ["lint", "--extends=recommended", "--format=json", file]).then(JSON.parse);
  assert.deepEqual((await lint("openapi.json")).problems, []);
  const { info, ...rest } = JSON.parse(await readFile(join(project.directory, "openapi.json"), "utf8"));
  await project.write("unlicensed.json", JSON.stringify({ ...rest, info: { ...info, license: undefined } }));
  const [found, ...others] = (await lint("unlicensed.json")).problems;
  assert.deepEqual([found.ruleId, others], ["info-license", []], "it looks");
});

const SETTINGS = `
const { BASE_URL = "", TOKENS = "", USER = "", START = "" } = process.env;
const user_id = Number(USER);
const coupon = { code: START.slice(0, 4), message: "m", description: "", start_time: START, expiry: "2101-01-01T10:00:00Z", count: 1 };
type Three<T> = [T, T, T];
`;
const PRINTED = `
console.log(JSON.stringify({
  outcomes: [issued.data?.outcome, again.data?.outcome, late.error?.outcome, used.data?.outcome],
  positions: [issued.data?.position, again.data?.position], states: held.map(({ state }) => state),
}));
`;
const EXPECTED = {
  outcomes: ["issued", "already_issued", "sold_out", "used"],
  positions: [1, 1],
  states: ["used"],
};

const FETCH = `
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";
${SETTINGS}
const clientOf = (token: string) =>
  createClient<paths>({ baseUrl: BASE_URL, headers: { authorization: \`Bearer \${token}\` } });
const [admin, first, second] = JSON.parse(TOKENS).map(clientOf) as Three<ReturnType<typeof clientOf>>;
const made = await admin.POST("/coupons", { body: { ...coupon, metadata: {} } });
if (!made.data) throw new Error(made.error.outcome);
const at = { params: { path: { coupon_id: made.data.coupon_id } } };
const issued = await first.POST("/coupons/{coupon_id}/issue", at);
const again = await first.POST("/coupons/{coupon_id}/issue", at);
const late = await second.POST("/coupons/{coupon_id}/issue", at);
const used = await first.POST("/coupons/{coupon_id}/use", { ...at, body: { reference: "order-1" } });
const wallet = await first.GET("/users/{user_id}/coupons", { params: { path: { user_id } } });
const held: components["schemas"]["WalletCoupon"][] = wallet.data?.coupons ?? [];
${PRINTED}`;

const SDK = `
import { createClient } from "./sdk/client/index.js";
import { createCoupon, issueCoupon, useCoupon, wallet, type WalletCoupon } from "./sdk/index.js";
${SETTINGS}
const clientOf = (auth: string) => createClient({ baseUrl: BASE_URL, auth });
const [admin, first, second] = JSON.parse(TOKENS).map(clientOf) as Three<ReturnType<typeof clientOf>>;
const made = await createCoupon({ client: admin, body: coupon });
if (!made.data) throw new Error(made.error.outcome);
const path = { coupon_id: made.data.coupon_id };
const issued = await issueCoupon({ client: first, path });
const again = await issueCoupon({ client: first, path });
const late = await issueCoupon({ client: second, path });
const used = await useCoupon({ client: first, path, body: { reference: "order-1" } });
const held: WalletCoupon[] = (await wallet({ client: first, path: { user_id } })).data?.coupons ?? [];
${PRINTED}`;

for (const [generator, args, name, program, year] of [
  ["openapi-typescript", ["openapi.json", "-o", "openapi.d.ts"], "fetch", FETCH, 2001],
  ["openapi-ts", ["-i", "openapi.json", "-o", "sdk"], "sdk", SDK, 2002],
] as const)
  test(`a client by ${generator} compiles strictly and completes a drop`, async () => {
    await project.bin(generator, [...args]);
    await project.write(`${name}.ts`, program);
    const types = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types"), "--skipLibCheck"];
    const module = ["--target", "es2023", "--lib", "es2023,dom,dom.iterable", "--module", "nodenext"];
    await project.bin("tsc", ["--strict", ...types, ...module, `${name}.ts`]);
    const [winner, late] = [await world.newUser(), await world.newUser()];
    const printed = await project.run(process.execPath, [`${name}.js`], {
      BASE_URL: baseUrl,
      TOKENS: JSON.stringify([await adminToken, await userToken(winner), await userToken(late)]),
      USER: `${winner}`,
      START: `${year}-01-01T10:00:00Z`,
    });
    assert.deepEqual(JSON.parse(printed), EXPECTED);
  });
