/** The page in Chromium, in short: page.long.test.ts tries all that it does. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { openWorld } from "../../bench/harness/app.ts";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import { Incoming } from "../http/incoming.ts";

const KEY = "k".repeat(32);

test("a user claims a coupon with one click, and nothing is complained of", options, async (t) => {
  const world = await openWorld({ env: { DEMO_KEY: KEY } });
  t.after(() => world.close());
  const user = await world.newUser();
  await world.newCoupon();
  const server = createServer({ IncomingMessage: Incoming }, world.listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const browser = await launchBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.addInitScript(`sessionStorage.setItem("user_id", "${user}");`);
  const complaints: string[] = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/#demo=${KEY}`);
  await page.locator("[data-chance=open] .claim").click();
  await page.locator(".ticket .told", { hasText: "You got number 1 of 10." }).waitFor();
  await page.getByRole("button", { name: "Use m" }).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the key is not left in the address");
  assert.deepEqual(complaints, []);
});
