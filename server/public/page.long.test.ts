/**
 * The page in Chromium, on the real service over HTTP. With SCREENSHOTS=<directory> it also takes pictures of what it sees:
 *   SCREENSHOTS=/tmp/pictures ./sd test server/public/page.long.test.ts
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { SignJWT } from "jose";
import type { Browser, Page } from "playwright-core";
import { adminToken, userToken, type World } from "../../bench/harness/app.ts";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import { declareZone, noonZone } from "../../bench/harness/noon.ts";
import {
  DESKTOP,
  exactly,
  openSite,
  PHONE,
  picture,
  problemFor,
  type Site,
  says,
  textOf,
  tooFaint,
} from "../../bench/harness/site.ts";
import { until } from "../../bench/harness/waiting.ts";
import { contract } from "../api/contract.ts";
import { lasting } from "./words.js";

describe("the page", options, () => {
  let browser: Browser;
  let site: Site;
  let world: World;

  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser?.close());

  beforeEach(async () => {
    site = await openSite(browser);
    world = site.world;
  });
  afterEach(() => site.close());

  const visit: Site["visit"] = (...given) => site.visit(...given);

  const ticket = (page: Page, code: string) =>
    page.locator(".ticket", { has: page.getByText(code, { exact: true }) });
  const panel = (page: Page, code: string) =>
    page.locator(".panel", { has: page.getByRole("heading", { name: code, exact: true }) });
  test("a whole drop, by clicks", async () => {
    const watching = await world.newUser();
    const claiming: number[] = [];
    while (claiming.length < 5) claiming.push(await world.newUser());
    const operator = await visit("#operate");
    const watcher = await visit("", watching, { viewport: PHONE });
    await says(watcher.locator("#no-coupons"), "No coupons today.");
    await says(watcher.locator("#no-grants"), "Nothing here yet.");
    await picture(watcher, "drop-empty-phone-light");
    const shops = await Promise.all(claiming.map((user) => visit("", user)));

    // The operator puts three units on offer, less than an hour ahead.
    const start = Math.ceil(Date.now() / 1000 + 3_000) * 1000;
    const local = (ms: number) => new Date(ms + 9 * 3_600_000).toISOString().slice(0, 19);
    const form = operator.locator("#create");
    await form.getByLabel("Code").fill("DROP");
    await form.getByLabel("Units", { exact: true }).fill("3");
    await form.getByLabel("What the user gets").fill("Free pizza");
    await form.getByLabel("Description").fill("One slice.");
    await form.getByLabel("Starts (your time)").fill(local(start));
    await form.getByLabel("Ends (your time)").fill(local(start + 7_200_000));
    assert.equal(
      await textOf(operator.locator("#start_time-hint")),
      `${new Date(start).toISOString().slice(0, 19).replace("T", " ")} UTC`,
    );
    await operator.getByRole("button", { name: "Create the coupon" }).click();
    await says(operator.locator("#create .told"), "DROP: The coupon is created.");
    const [row] = await world.scratch.admin`
      select c.coupon_id::integer, c.start_time = to_timestamp(${start / 1000}) as is_right from find_coupon(code => 'DROP') c
    `;
    assert.equal(row?.["is_right"], true);
    const couponId: number = row?.["coupon_id"];

    // Before the start: a countdown, and a button that says why not.
    const first = shops[0] as Page;
    await says(ticket(first, "DROP").getByRole("timer"), /^\d+:\d\d(:\d\d)?$/);
    await says(ticket(first, "DROP").locator(".remaining"), exactly("3 to get"));
    const button = ticket(first, "DROP").locator(".claim");
    assert.equal(await button.getAttribute("aria-disabled"), "true");
    await button.click({ force: true });
    await says(ticket(first, "DROP").locator(".told"), /^It starts in \d+ min\b/);
    await picture(first, "drop-before-desktop-light");
    assert.equal(site.came.filter((route) => route.startsWith("POST /coupons/")).length, 0);

    // The start comes. The buttons wake up, and all are pressed at once. Whose page knows before that it is sold out needn't ask.
    const opened = (shop: Page) => ticket(shop, "DROP").and(shop.locator("[data-chance=open]"));
    const [moved] = await world.scratch.owner`
      update coupon.coupons set start_time = clock_timestamp() + interval '2 seconds' where id = ${couponId}
      returning extract(epoch from start_time)::float8 * 1000 as start`;
    await Promise.all(shops.map((shop) => opened(shop).waitFor()));
    assert.ok(Date.now() >= moved?.["start"]);
    const rate = says(panel(operator, "DROP").locator(".per-10"), /^0\.[123]$/);
    await Promise.all(shops.map((shop) => ticket(shop, "DROP").locator(".claim").click({ force: true })));
    const settled = await Promise.all(
      shops.map(async (shop) => {
        const label = ticket(shop, "DROP").locator(".claim .label");
        await says(label, /^(Yours|Sold out)/);
        return [await textOf(label), await textOf(ticket(shop, "DROP").locator(".told"))];
      }),
    );
    const asked = site.came.filter((route) => route === `POST /coupons/${couponId}/issue`).length;
    const rows = await world.scratch.owner`
      select g.user_id::integer as user_id, g.position
      from coupon.user_coupons g where g.coupon_id = ${couponId} order by g.position
    `;
    assert.deepEqual(
      rows.map((grant) => grant["position"]),
      [1, 2, 3],
    );
    const isGone = (told = "") =>
      /^Sold out [\d.]+ s after the start: others were faster\. Units went in order of arrival\.$/.test(told);
    assert.equal(settled.filter(([, told]) => isGone(told)).length, asked - 3);
    assert.deepEqual(
      settled.map(([label, told]) => [label, isGone(told) ? "" : told]),
      claiming.map((user) => {
        const position = rows.find(({ user_id }) => user_id === user)?.["position"];
        return position
          ? [`Yours: number ${position} of 3`, `You got number ${position} of 3.`]
          : ["Sold out", ""];
      }),
    );

    // Who only watched has seen it go, and so has the operator.
    await says(ticket(watcher, "DROP").locator(".remaining"), exactly("All 3 are gone"));
    await ticket(watcher, "DROP").getByRole("button", { name: "Sold out Free pizza" }).waitFor();
    await picture(watcher, "drop-sold-out-phone-light");
    await says(panel(operator, "DROP").locator(".state"), exactly("Sold out"));
    await says(panel(operator, "DROP").locator(".remaining"), exactly("3 of 3 issued · 0 left"));
    await rate;
    await says(panel(operator, "DROP").locator("figcaption"), /: peak [123] per second$/);
    await panel(operator, "DROP").locator("path:not([d=''])").waitFor({ state: "attached" });
    const answer = (name: string) => operator.getByRole("row", { name }).getByRole("cell").last();
    await says(answer("Issued"), exactly("3"));
    await says(answer("Sold out"), exactly(`${asked - 3}`));
    await picture(operator, "drop-operate-desktop-light");

    // A winner finds it, and uses it.
    const winner = shops[claiming.indexOf(rows[0]?.["user_id"])] as Page;
    const grant = winner.locator(".grant", { hasText: "Free pizza" });
    await says(grant.locator(".facts"), /^DROP · number 1 · Use it before /);
    await picture(winner, "drop-held-desktop-light");
    await grant.getByRole("button", { name: "Use Free pizza" }).click();
    await says(grant.locator(".told"), exactly("Used. Enjoy!"));
    await grant.getByRole("button", { name: "Used Free pizza" }).waitFor();
    const [used] = await world.scratch.owner`
      select count(*)::integer as used from coupon.user_coupons g where g.coupon_id = ${couponId} and g.is_used
    `;
    assert.equal(used?.["used"], 1);

    // The operator pauses, resumes, and adds one: a loser gets it.
    const loser = shops[settled.findIndex(([label]) => label === "Sold out")] as Page;
    await panel(operator, "DROP").getByRole("button", { name: "Pause DROP" }).click();
    await says(panel(operator, "DROP").locator(".told"), /^It is paused/);
    await says(panel(operator, "DROP").locator(".state"), exactly("Paused"));
    await ticket(loser, "DROP").getByRole("button", { name: "Paused Free pizza" }).waitFor();
    await panel(operator, "DROP").getByRole("button", { name: "Resume DROP" }).click();
    await says(panel(operator, "DROP").locator(".told"), exactly("It is resumed."));
    await panel(operator, "DROP").getByText("Restock").click();
    await panel(operator, "DROP").getByLabel("Units in all").fill("4");
    await panel(operator, "DROP").getByLabel("Reason").fill("one more was found");
    await panel(operator, "DROP").getByRole("button", { name: "Set the units" }).click();
    await says(panel(operator, "DROP").locator(".told"), exactly("It has 4 units now, 1 of them left."));
    const [audited] = await world.scratch
      .admin`select a.reason from audit_trail(coupon_id => ${couponId}, page_size => 1) a`;
    assert.equal(audited?.["reason"], "one more was found");
    await ticket(loser, "DROP").getByRole("button", { name: "Claim Free pizza" }).click();
    await says(ticket(loser, "DROP").locator(".told"), exactly("You got number 4 of 4."));
    await says(answer("Issued"), exactly("4"));
    await says(panel(operator, "DROP").locator(".remaining"), exactly("4 of 4 issued · 0 left"));

    // And it is all still there for who comes back.
    await winner.reload();
    await ticket(winner, "DROP").getByRole("button", { name: "Yours: number 1 of 4" }).waitFor();
    await winner.getByRole("button", { name: "Used Free pizza" }).waitFor();
    assert.deepEqual(site.complaints, []);
  });

  test("who was too late is told by how much, and a moment later how many asked", async () => {
    const coupon = await world.newCoupon({ from: "-90 seconds", count: 1 });
    const page = await visit("", await world.newUser());
    const claim = page.getByRole("button", { name: /^Claim / });
    await claim.waitFor();
    const tellsEvents = /^\/coupons\/(events|live|upcoming)$/;
    site.faults = [({ url = "", socket }) => tellsEvents.test(url) && Boolean(socket.destroy())];
    site.hangUp();
    await world.issue(coupon, await world.newUser());
    const { body } = await world.issue(coupon, await world.newUser());
    await world.scratch.owner`
      insert into coupon.demand values (${coupon}, date_trunc('second', now()), 214310, 0)`;
    // It is pressed by who doesn't know yet; the answer comes to who does: else the page would take it back after a while.
    await page.route(/\/issue$/, async (route) => {
      site.faults = [];
      await says(page.locator(".ticket .remaining"), exactly("All 1 are gone"));
      await route.continue();
    });
    await claim.click();
    const told = page.locator(".ticket .told");
    const soldOut = `Sold out ${lasting(body.time_to_sell_out)} after the start`;
    await says(told, exactly(`${soldOut}: others were faster. Units went in order of arrival.`));
    await says(
      told,
      exactly(`${soldOut}; 1 of 214,311 requests were first. Units went in order of arrival.`),
    );
  });

  test("the button wakes up by the service's clock alone: the own one is wrong, and no event comes", async () => {
    const user = await world.newUser();
    const coupon = await world.newCoupon({ from: "1 hour" });
    const page = await visit("about:blank", user);
    await page.clock.install({ time: Date.now() + 3_600_000 });
    await page.goto(site.baseUrl);
    await says(page.getByRole("timer"), /^59:\d\d$|^1:00:00$/);
    const tellsEvents = /^\/coupons\/(events|live|upcoming)$/;
    site.faults = [({ url = "", socket }) => tellsEvents.test(url) && Boolean(socket.destroy())];
    site.hangUp();
    await says(page.locator("#connection"), "There is no connection.");
    // An hour passes: for the page by its clock, for the service by moving the start.
    await world.scratch.owner`
      update coupon.coupons set start_time = start_time - interval '1 hour' where id = ${coupon}`;
    await page.clock.fastForward("01:00:00");
    await page.locator("[data-chance=open]").waitFor();
    await says(page.getByRole("status"), "message: you can claim it now.");
    await says(page.locator("#connection"), "There is no connection.");
    await page.getByRole("button", { name: "Claim m" }).click();
    await says(page.locator(".told"), exactly("You got number 1 of 10."));
  });

  test("by keyboard alone; what happened is read aloud, the countdown is not", async () => {
    const [user, coupon] = [await world.newUser(), await world.newCoupon()];
    await world.newCoupon({ from: "1 hour", until: "2 hours" });
    const page = await visit("", user);
    await page.locator("[data-chance=open]").waitFor();
    const focused = page.locator(":focus");
    const isThere = "document.activeElement.matches('[data-chance=open] .claim')";
    for (let i = 0; !(await page.evaluate(isThere)); i++) {
      assert.ok(i < 12, "the button can be reached");
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "solid");
    }
    await page.keyboard.press("Enter");
    await says(page.getByRole("status"), "message: You got number 1 of 10.");
    assert.equal(await focused.textContent(), "Yours: number 1 of 10message", "the focus stays");
    assert.equal(
      (await world.call(`GET /coupons/${coupon}`, { token: await userToken(user) })).body.issued,
      1,
    );
    assert.equal(await page.locator("[aria-live]").count(), 1);
    assert.equal(await page.locator("[aria-live] [role=timer], [role=timer][aria-live]").count(), 0);
    assert.equal(await page.getByRole("timer").count(), 1);
    assert.deepEqual(site.complaints, []);
  });

  test("two views, by links: title, focus and history follow", async () => {
    const page = await visit("");
    assert.equal(await page.title(), "Today's coupons · coupon-drop");
    await page.getByRole("link", { name: "Operate" }).click();
    await page.getByRole("heading", { name: "Operate", level: 1 }).waitFor();
    assert.equal(await page.title(), "Operate · coupon-drop");
    assert.equal(await textOf(page.locator(":focus")), "Operate");
    assert.equal(await textOf(page.locator("[aria-current=page]")), "Operate");
    await page.goBack();
    await page.getByRole("heading", { name: "Today's coupons" }).waitFor();
    assert.equal(await textOf(page.locator(":focus")), "Today's coupons");
    assert.deepEqual(site.complaints, []);
  });

  test("corrected: only what was typed, so what somebody else corrected meanwhile stays", async () => {
    const id = await world.newCoupon();
    const { admin } = world.scratch;
    await admin`select edit_coupon(${id}::bigint, message => ${"two\nlines"}, description => 'old')`;
    const [{ code } = {}] = await admin`select c.code from find_coupon(${id}::bigint) c`;
    const operator = await visit("#operate");
    const form = panel(operator, code).locator("form.edit");
    const told = panel(operator, code).locator(".told");
    await panel(operator, code).locator(".correct > summary").click();
    const description = form.locator("[name=description]");
    await until(async () => (await description.inputValue()) === "old", "the form is filled");
    const texts = async () =>
      (await admin`select c.message, c.description from find_coupon(${id}::bigint) c`).map((row) => ({
        ...row,
      }))[0];

    await description.fill("new");
    await form.getByRole("button").click();
    await says(told, exactly("It is corrected."));
    assert.deepEqual(await texts(), { message: "two\nlines", description: "new" });

    await admin`select edit_coupon(${id}::bigint, message => 'theirs')`;
    await description.fill("old");
    await form.getByRole("button").click();
    await until(async () => (await texts())?.["description"] === "old", "it is corrected again");
    assert.deepEqual(await texts(), { message: "theirs", description: "old" });
    assert.deepEqual(site.complaints, []);
  });

  test("refused in words: had one today, and not known", async () => {
    const [user, one, other] = [await world.newUser(), await world.newCoupon(), await world.newCoupon()];
    await declareZone(world.scratch.owner, noonZone().time_zone); // in UTC it might be midnight before the page has asked
    assert.equal((await world.issue(one, user)).status, 201);
    const [{ code } = {}] = await world.scratch.admin`select c.code from find_coupon(${other}::bigint) c`;
    const page = await visit("", user);
    await ticket(page, code).locator(".claim").click();
    await says(
      ticket(page, code).locator(".told"),
      "You already got a coupon today. You can get another one tomorrow.",
    );
    await page.getByLabel("You are user").fill("999999");
    await page.getByRole("button", { name: "Switch" }).click();
    await page.locator(".grant").waitFor({ state: "detached" });
    await ticket(page, code).locator(".claim").click();
    await says(ticket(page, code).locator(".told"), "The shop doesn't know this user. Choose another one.");
    assert.deepEqual(site.complaints, []);
  });

  test("an outcome that the page does not know, since the service was updated meanwhile, is told in the service's words", async () => {
    const [user, coupon, other] = [await world.newUser(), await world.newCoupon(), await world.newCoupon()];
    await world.issue(other, user);
    const page = await visit("", user);
    site.faults = [
      problemFor(({ method }) => method === "POST", 409, {
        outcome: "too_late_today",
        detail: "Come again tomorrow.",
      }),
    ];
    await ticket(page, `C${coupon}`).locator(".claim").click();
    await says(ticket(page, `C${coupon}`).locator(".told"), exactly("Come again tomorrow."));
    await page.locator(".grant .use").click();
    await says(page.locator(".grant .told"), exactly("Come again tomorrow."));
    assert.deepEqual(site.complaints, []);
  });

  test("overloaded: it says that it is asked again, and it counts once", async () => {
    const [user, coupon] = [await world.newUser(), await world.newCoupon()];
    const page = await visit("", user);
    const button = page.locator("[data-chance=open] .claim");
    await button.waitFor();
    let refused = 0;
    site.faults = [
      problemFor(
        ({ method, url }) => method === "POST" && url === `/coupons/${coupon}/issue` && ++refused <= 3,
        503,
        { outcome: "overloaded", detail: "d" },
        { "retry-after": "1" },
      ),
    ];
    await button.click();
    const asking = page.getByRole("button", { name: "Asking … m" });
    await asking.waitFor();
    assert.equal(await asking.getAttribute("aria-disabled"), "true");
    await asking.click({ force: true });
    await says(page.locator("#connection"), "The service is very busy.");
    await says(page.locator(".ticket .told"), /^This takes longer than usual\./);
    await says(page.locator(".ticket .told"), exactly("You got number 1 of 10."));
    await page.locator("#connection").waitFor({ state: "hidden" });
    assert.equal(site.came.filter((route) => route === `POST /coupons/${coupon}/issue`).length, 4);
    assert.deepEqual(site.complaints, []);
  });

  test("a claim that is still on its way is not sent again as whoever looks next", async () => {
    const [ann, ben] = [await world.newUser(), await world.newUser()];
    const coupon = await world.newCoupon();
    const page = await visit("about:blank", ann);
    await page.clock.install();
    await page.goto(site.baseUrl);
    const claims = () => site.came.filter((route) => route === `POST /coupons/${coupon}/issue`).length;
    site.faults = [
      problemFor(
        ({ method, url }) => method === "POST" && url === `/coupons/${coupon}/issue` && claims() === 1,
        503,
        { outcome: "overloaded", detail: "d" },
        { "retry-after": "20" },
      ),
    ];
    await page.locator("[data-chance=open] .claim").click();
    await says(page.locator("#connection"), "The service is very busy.");
    await page.getByLabel("You are user").fill(`${ben}`);
    await page.getByRole("button", { name: "Switch" }).click();
    await until(async () => site.came.includes(`GET /users/${ben}/coupons`), "another one looks");
    await page.clock.fastForward("00:30");
    await says(page.locator(".claim .label"), exactly("Claim"));
    await page.locator(".claim").click();
    await says(page.locator(".ticket .told"), exactly("You got number 1 of 10."));
    assert.equal(claims(), 2);
  });

  test("no connection: it says so, and goes on by itself", async () => {
    const [user, other] = [await world.newUser(), await world.newUser()];
    const coupon = await world.newCoupon();
    const page = await visit("", user);
    await says(page.locator(".remaining"), "10 of 10 left");
    await page.context().setOffline(true);
    await page.locator(".claim").click();
    await says(page.locator("#connection"), "There is no connection.");
    assert.equal((await world.issue(coupon, other)).status, 201);
    await page.context().setOffline(false);
    await says(page.locator(".ticket .told"), exactly("You got number 2 of 10."));
    await page.locator("#connection").waitFor({ state: "hidden" });
    await says(page.locator(".remaining"), "8 of 10 left");
  });

  test("a stream that is cut off is no lost connection: the state is asked for", async () => {
    const [user, other] = [await world.newUser(), await world.newUser()];
    const coupon = await world.newCoupon();
    site.faults = [({ url, socket }) => url === "/coupons/events" && Boolean(socket.destroy())];
    const page = await visit("", user);
    await says(page.locator(".remaining"), "10 of 10 left");
    assert.equal((await world.issue(coupon, other)).status, 201);
    await says(page.locator(".remaining"), "9 of 10 left");
    assert.doesNotMatch(await textOf(page.getByRole("status")), /works again|no connection/);
  });

  test("where the browser keeps nothing for the tab, people see, sign in and claim", async () => {
    const [user, coupon] = [await world.newUser(), await world.newCoupon()];
    const page = await visit("about:blank");
    site.complaints.length = 0; // a page of nowhere has no storage
    await page.addInitScript(`
      Object.defineProperty(window, "sessionStorage", { get() { throw new DOMException("denied", "SecurityError"); } });
    `);
    await page.goto(site.baseUrl);
    await says(page.locator(".remaining"), "10 of 10 left");
    await page.getByLabel("Your token").fill(userToken(user));
    await page.keyboard.press("Enter");
    await says(page.locator("#user-out"), `You are user ${user}`);
    await page.locator(".claim").click();
    await says(page.locator(".ticket .told"), "You got number 1 of 10.");
    assert.equal((await world.call(`GET /coupons/${coupon}`)).body.issued, 1);
    assert.deepEqual(site.complaints, []);
  });

  test("what became of a use stands, also where the list of coupons cannot be had then", async () => {
    const [user, coupon] = [await world.newUser(), await world.newCoupon()];
    await world.issue(coupon, user);
    const page = await visit("", user);
    const item = page.locator(".grant");
    await item.waitFor();
    site.faults = [({ url = "", socket }) => /^\/users\/\d+\/coupons/.test(url) && Boolean(socket.destroy())];
    await item.getByRole("button").click();
    await says(item.locator(".told"), exactly("Used. Enjoy!"));
    await item.locator(".use:not([aria-busy])").waitFor();
    assert.equal(await textOf(item.locator(".told")), "Used. Enjoy!");
    await says(page.locator("#connection"), "There is no connection.");
  });

  test("without a demo: a token, kept for the tab and never in the URL", async () => {
    site.hasDemo = false;
    const [user, coupon] = [await world.newUser(), await world.newCoupon()];
    const page = await visit("");
    const field = page.getByLabel("Your token");
    await field.fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await says(page.locator("#user-token .told"), "This is not a user's token.");
    const forged = (await userToken(user)).replace(/\.[^.]+$/, ".AAAA");
    // The last one was cut by whatever showed it: no header can have it.
    for (const another of [forged, adminToken, `${await userToken(user)}…`]) {
      await field.fill(another);
      await page.getByRole("button", { name: "Sign in" }).click();
      await until(async () => (await field.inputValue()) === "", "the token was looked at");
      await says(page.locator("#user-token .told"), "This is not a user's token.");
    }
    // One that is good when it is given, and not when it is used.
    await field.fill(await userToken(user));
    await page.keyboard.press("Enter");
    await says(page.locator("#user-out"), `You are user ${user}`);
    site.faults = [
      problemFor(({ method }) => method === "POST", 401, { outcome: "unauthenticated", detail: "No." }),
    ];
    await page.locator(".claim").click();
    await says(page.locator(".ticket .told"), "The shop no longer knows who you are.");
    await says(page.locator("#shop"), "Your token");
    await page.locator("#user-token-text:focus").waitFor();
    site.faults = [];
    await field.fill(await userToken(user));
    await page.keyboard.press("Enter");
    await says(page.locator("#user-out"), `You are user ${user}`);
    await page.locator(".claim").click();
    await says(page.locator(".told"), "You got number 1 of 10.");
    await page.reload();
    await page.getByRole("button", { name: "Yours: number 1 of 10" }).waitFor();
    assert.equal(page.url(), site.baseUrl);
    assert.equal(
      (await world.call(`GET /coupons/${coupon}`, { token: await userToken(user) })).body.issued,
      1,
    );
    await page.getByRole("button", { name: "Sign out" }).click();
    await field.waitFor();
    assert.equal(await page.locator(".grant").count(), 0);
  });

  test("a user whom an identity provider knows by a subject has a wallet, and its operator is one", async (t) => {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const public_key = publicKey.export({ type: "spki", format: "pem" }).toString();
    const issuer = "https://shop.eu.example/";
    const settings = {
      issuer,
      audience: "shop",
      public_key,
      users: "create",
      role: "https://shop.example/roles",
      roles: { "coupon-admin": "admin" },
    };
    const provided = await openSite(browser, { env: { JWT_ISSUERS: JSON.stringify([settings]) } });
    t.after(() => provided.close());
    provided.hasDemo = false;
    const tokenOf = (sub: string, claims: object = {}) =>
      new SignJWT({ iss: issuer, aud: "shop", sub, ...claims })
        .setProtectedHeader({ alg: "ES256" })
        .setExpirationTime("1h")
        .sign(privateKey);
    const coupon = await provided.world.newCoupon();
    const page = await provided.visit("");
    await page.getByLabel("Your token").fill(await tokenOf("auth0|ann"));
    await page.keyboard.press("Enter");
    await says(page.locator("#user-out"), /You are user \d+/);
    await page.locator(".claim").click();
    await page.getByRole("button", { name: "Yours: number 1 of 10" }).waitFor();
    await page.locator(".grant").waitFor();
    const [ann] = await provided.world.scratch.owner`
      select g.user_id::float8 as number from coupon.user_coupons g where g.coupon_id = ${coupon}`;
    await says(page.locator("#user-out"), `You are user ${ann?.["number"]}`);
    await page.reload();
    await page.locator(".grant").waitFor();
    assert.equal(provided.came.filter((route) => route === "GET /me").length, 1);

    const operator = await provided.visit("#operate");
    await operator.getByLabel("An operator's token").fill(await tokenOf("auth0|ann"));
    await operator.keyboard.press("Enter");
    await says(operator.locator("#admin-token .told"), "This is not an operator's token.");
    await operator
      .getByLabel("An operator's token")
      .fill(await tokenOf("auth0|olga", { "https://shop.example/roles": ["coupon-admin"] }));
    await operator.keyboard.press("Enter");
    await says(operator.locator("#admin-out"), "auth0|olga");
    assert.deepEqual(provided.complaints, []);
  });

  test("a new coupon's mistakes stand beside their fields", async () => {
    const operator = await visit("#operate");
    const form = operator.locator("#create");
    const create = form.getByRole("button", { name: "Create the coupon" });
    const wrong = async () =>
      Object.fromEntries(
        await Promise.all(
          (await operator.locator("#create [aria-invalid]").all()).map(async (field) => {
            const name = await field.getAttribute("name");
            return [name, await textOf(operator.locator(`#${name}-error`))];
          }),
        ),
      );
    await create.click();
    await operator.locator("#create [aria-invalid]").first().waitFor();
    assert.deepEqual(Object.keys(await wrong()), ["code", "count", "message"]);
    assert.equal(await operator.locator(":focus").getAttribute("id"), "code");
    await form.getByLabel("Code").fill("WRONG");
    await form.getByLabel("Units", { exact: true }).fill("7");
    await form.getByLabel("What the user gets").fill("x");
    await form.getByLabel("Starts (your time)").fill("2040-01-01T00:00:00");
    await form.getByLabel("Ends (your time)").fill("2030-01-01T00:00:00");
    await create.click();
    await says(operator.locator("#expiry-error"), "must be after start_time");
    assert.deepEqual(await wrong(), { expiry: "must be after start_time" });
    await form.getByLabel("Ends (your time)").fill("2041-01-01T00:00:00");
    await create.click();
    await says(operator.locator("#create .told"), "WRONG: The coupon is created.");
    assert.deepEqual(await wrong(), {});
    await form.getByLabel("Code").fill("wrong");
    await form.getByLabel("Units", { exact: true }).fill("8");
    await form.getByLabel("What the user gets").fill("x");
    await create.click();
    await says(operator.locator("#code-error"), "Another coupon has this code.");
    assert.deepEqual(await wrong(), { code: "Another coupon has this code." });
    assert.deepEqual(site.complaints, []);
  });

  test("what may be a slip of a new coupon is said: it has started already, or lasts half a minute", async () => {
    const operator = await visit("#operate");
    const form = operator.locator("#create");
    const create = async (code: string, start: string, end: string) => {
      await form.getByLabel("Code").fill(code);
      await form.getByLabel("Units", { exact: true }).fill("7");
      await form.getByLabel("What the user gets").fill("x");
      await form.getByLabel("Starts (your time)").fill(start);
      await form.getByLabel("Ends (your time)").fill(end);
      await form.getByRole("button", { name: "Create the coupon" }).click();
    };
    await create("BEGUN", "2026-01-01T00:00:00", "2040-01-01T00:00:00");
    await says(
      form.locator(".told"),
      exactly("BEGUN: The coupon is created. It has started already: people can get it now."),
    );
    await create("BRIEF", "2040-01-01T00:00:00", "2040-01-01T00:00:30");
    await says(
      form.locator(".told"),
      exactly("BRIEF: The coupon is created. People can get it for less than a minute."),
    );
    assert.deepEqual(site.complaints, []);
  });

  test("a coupon is corrected, moved and withdrawn, by two operators and by keyboard", async () => {
    const user = await world.newUser();
    const coupon = await world.newCoupon({ from: "5 days", until: "9 days" });
    const begun = await world.newCoupon({ from: "-1 hour", count: 20 });
    await world.issue(begun, user);
    const rowOf = async (id: number) =>
      (
        await world.scratch
          .admin`select code, message, description from find_coupon(coupon_id => ${id}::bigint)`
      )[0];
    const name = (await rowOf(coupon))?.["code"] as string;
    const begunName = (await rowOf(begun))?.["code"] as string;
    const operator = await visit("#operate");
    const other = await visit("#operate");
    const open = async (page: Page, code: string) => {
      await panel(page, code).getByText("Correct", { exact: false }).first().click();
      await panel(page, code).locator(".edit [name=code][value]").waitFor();
    };
    await open(operator, name);
    await open(other, name);

    // Each corrects another text: neither takes back what the other did.
    await panel(operator, name).locator(".edit [name=message]").fill("Free pasta");
    await operator.keyboard.press("Enter");
    await says(panel(operator, name).locator(".told"), exactly("It is corrected."));
    await panel(other, name).locator(".edit [name=description]").fill("One plate.");
    await panel(other, name).getByRole("button", { name: "Correct the texts" }).press("Enter");
    await says(panel(other, name).locator(".told"), exactly("It is corrected."));
    assert.deepEqual(
      { ...(await rowOf(coupon)) },
      { code: name, message: "Free pasta", description: "One plate." },
    );

    // A refusal stands beside its field, which has the focus.
    await panel(operator, name).locator(".edit [name=code]").fill(begunName);
    await operator.keyboard.press("Enter");
    await says(
      panel(operator, name).locator(".edit .error[data-of=code]"),
      exactly("Another coupon has this code."),
    );
    assert.equal(await operator.locator(":focus").getAttribute("name"), "code");
    await panel(operator, name).locator(".move [name=start_time]").fill("2020-01-01T00:00:00");
    await panel(operator, name).getByRole("button", { name: "Move the start" }).press("Enter");
    await says(panel(operator, name).locator(".move .error"), exactly("This time is over."));
    const local = (ms: number) => new Date(ms + 9 * 3_600_000).toISOString().slice(0, 19);
    const start = Math.ceil(Date.now() / 1000 + 6 * 86_400) * 1000;
    await panel(operator, name).locator(".move [name=start_time]").fill(local(start));
    await panel(operator, name).getByRole("button", { name: "Move the start" }).press("Enter");
    await says(panel(operator, name).locator(".told"), exactly("It has another start."));
    const [moved] = await world.scratch.admin`
      select c.start_time = to_timestamp(${start / 1000}) as is_right from find_coupon(coupon_id => ${coupon}::bigint) c
    `;
    assert.equal(moved?.["is_right"], true);

    // What may be a slip is done, and said.
    await panel(operator, name)
      .locator(".end [name=expiry]")
      .fill(local(start + 30_000));
    await operator.keyboard.press("Enter");
    await says(
      panel(operator, name).locator(".told"),
      exactly(
        "It has another end, and so has what people hold of it. People can get it for less than a minute.",
      ),
    );

    // What has grants stays.
    await open(operator, begunName);
    const withdraw = (page: Page, code: string) =>
      panel(page, code).getByRole("button", { name: "Withdraw the coupon" });
    await withdraw(operator, begunName).press("Enter");
    await panel(operator, begunName).locator("[name=sure][aria-invalid]").waitFor();
    await panel(operator, begunName).locator("[name=sure]").press("Space");
    await withdraw(operator, begunName).press("Enter");
    await says(panel(operator, begunName).locator(".told"), /^1 are issued, and stay\./);

    // Withdrawn by one, it is gone for both.
    await panel(operator, name).locator("[name=sure]").press("Space");
    await withdraw(operator, name).press("Enter");
    await says(operator.getByRole("status"), `${name}: It is withdrawn. Its code and its place are free.`);
    await panel(operator, name).waitFor({ state: "detached" });
    await panel(other, name).waitFor({ state: "detached" });
    assert.equal(await rowOf(coupon), undefined);
    assert.deepEqual(site.complaints, []);
  });

  test("what is written from right to left reads so, and everything around it does not", async () => {
    const [user, coupon] = [await world.newUser(), await world.newCoupon()];
    await world.scratch.owner`update coupon.coupons set message = 'קפה חינם!' where id = ${coupon}`;
    assert.equal((await world.issue(coupon, user)).status, 201);
    const page = await visit("", user);
    for (const selector of [".ticket h3", ".grant h3"]) await page.locator(selector).first().waitFor();
    /** Whether the last character is left of the first one. */
    const isRightToLeft = (selector: string) =>
      page.evaluate(`(() => {
        const { firstChild: text } = document.querySelector("${selector}");
        const [first, last] = [0, text.length - 1].map((at) => {
          const range = document.createRange();
          range.setStart(text, at);
          range.setEnd(text, at + 1);
          return range.getBoundingClientRect().left;
        });
        return last < first;
      })()`);
    assert.equal(await isRightToLeft(".ticket h3"), true);
    assert.equal(await isRightToLeft(".grant h3"), true);
    assert.equal(await isRightToLeft(".grant .facts"), false);
    const operator = await visit("#operate");
    await operator.locator(".panel summary", { hasText: "Correct" }).first().click();
    await operator.locator(".edit [name=message][value]").waitFor();
    assert.equal(
      await operator.evaluate("getComputedStyle(document.querySelector('.edit [name=message]')).unicodeBidi"),
      "plaintext",
    );
  });

  test("contrast, and no scrolling sideways: light and dark, phone and desktop", async () => {
    const [user, other] = [await world.newUser(), await world.newUser()];
    const [held, soldOut] = [await world.newCoupon(), await world.newCoupon({ count: 1 })];
    const paused = await world.newCoupon();
    await world.newCoupon();
    await world.newCoupon({ from: "90 seconds", until: "1 day", count: 3 });
    assert.equal((await world.issue(held, user)).status, 201);
    assert.equal((await world.issue(soldOut, other)).status, 201);
    await world.scratch.admin`select pause_coupon(${paused}::bigint)`;
    // Where it is on show although it began on another day, and long words.
    await world.scratch.owner`
      update coupon.coupons set message = 'Donaudampfschifffahrtsgesellschaftskapitänsmütze', description = repeat('long', 40)
      where id = ${held}
    `;
    for (const colorScheme of ["light", "dark"] as const)
      for (const [size, viewport] of [
        // What a page must fit into (WCAG 2.2, 1.4.10).
        ["narrow", { width: 320, height: 640 }],
        ["phone", PHONE],
        ["desktop", DESKTOP],
        ["wide", { width: 2560, height: 1200 }],
      ] as const) {
        const page = await visit("", user, { colorScheme, viewport, reducedMotion: "reduce" });
        await page.locator("[data-chance=held]").waitFor();
        await page.locator(".grant").waitFor();
        const shop = (await page.evaluate(tooFaint)) as { checked: number; faint: unknown[] };
        assert.deepEqual(shop.faint, [], `shop, ${colorScheme}, ${size}`);
        assert.ok(shop.checked > 40, `${shop.checked}`);
        const sideways = "document.documentElement.scrollWidth - innerWidth";
        assert.equal(await page.evaluate(sideways), 0, `shop, ${size}`);
        await picture(page, `shop-${size}-${colorScheme}`);
        await page.getByRole("link", { name: "Operate" }).click();
        await page.locator(".panel").first().waitFor();
        await page.evaluate(
          "for (const each of document.querySelectorAll('.panel details, .part')) each.open = true",
        );
        await page.getByRole("button", { name: "Create the coupon" }).click();
        const operate = (await page.evaluate(tooFaint)) as { checked: number; faint: unknown[] };
        assert.deepEqual(operate.faint, [], `operate, ${colorScheme}, ${size}`);
        assert.ok(operate.checked > 70, `${operate.checked}`);
        assert.equal(await page.evaluate(sideways), 0, `operate, ${size}`);
        await picture(page, `operate-${size}-${colorScheme}`);
        await page.context().close();
      }
    assert.deepEqual(site.complaints, []);
  });

  test("/docs shows every operation, by our own files alone", async () => {
    const page = await visit("docs");
    await page.locator(".opblock").first().waitFor();
    assert.equal(await page.locator(".opblock").count(), Object.keys(contract).length);
    assert.deepEqual(site.complaints, []);
  });
});
