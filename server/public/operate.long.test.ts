/** The parts of the operators' view in Chromium; page.long.test.ts tries the rest of the page. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { Browser, Locator } from "playwright-core";
import { adminToken } from "../../bench/harness/app.ts";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import {
  DESKTOP,
  exactly,
  loseAnswers,
  openSite,
  PHONE,
  picture,
  type Site,
  says,
  textOf,
} from "../../bench/harness/site.ts";
import { until } from "../../bench/harness/waiting.ts";

describe("the operators' view", options, () => {
  let browser: Browser;
  let site: Site;

  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser?.close());

  beforeEach(async () => {
    site = await openSite(browser);
  });
  afterEach(() => site.close());

  test("an operator looks at days by keyboard, and sees no other operator's after signing out", async () => {
    const [{ today } = {}] = await site.world.scratch
      .admin`select (now() at time zone 'UTC')::date::text as today`;
    const coupon = await site.world.newCoupon({ from: `${today} 00:00Z`, count: 20 });
    const users = [await site.world.newUser(), await site.world.newUser()];
    for (const user of users) await site.world.issue(coupon, user);
    await site.world.scratch.admin`select use_coupon(${users[0] as number}, ${coupon}, 'order-1')`;
    const operator = await site.visit("#operate");
    const part = operator.locator("#days");
    await part.locator("summary").focus();
    await operator.keyboard.press("Enter");
    await says(operator.getByRole("status"), "7 days are shown.");
    assert.equal(await part.getByRole("row").count(), 8);
    // The days are the service's, and what was issued when is told by the browser's clock.
    assert.deepEqual((await part.getByRole("columnheader").allTextContents()).slice(-2), [
      "First issued (your time)",
      "Last issued (your time)",
    ]);
    const zone = await operator.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone");
    await says(operator.locator("#operate .lead"), `Your time is ${zone}.`);
    const cells = async (row: Locator) => await row.locator("th, td").allTextContents();
    assert.deepEqual((await cells(part.getByRole("row").last())).slice(1, 7), [
      ...["1", "20", "2", "2", "1", "50%"],
    ]);
    await part.getByLabel("From").fill(today as string);
    await part.getByLabel("To").fill("2026-01-01");
    await operator.keyboard.press("Enter");
    await says(part.locator("[data-of=last_day]"), "must not be before first_day");
    assert.equal(await operator.locator(":focus").getAttribute("name"), "last_day");
    await part.getByLabel("To").fill(today as string);
    await operator.keyboard.press("Enter");
    await says(operator.getByRole("status"), "One day is shown.");
    assert.equal(await part.getByRole("row").count(), 2);
    assert.deepEqual(site.complaints, []);
  });

  test("a drop afterwards: requests, grants and refusals, as pictures and as a table", async () => {
    const sold = await site.world.newCoupon({ from: "-5 minutes", count: 2 });
    for (const user of [await site.world.newUser(), await site.world.newUser()])
      await site.world.issue(sold, user);
    await site.world.scratch.owner.begin(async (sql) => {
      await sql`alter table coupon.user_coupons disable trigger user`;
      await sql`alter table coupon.coupons disable trigger user`;
      await sql`
        update coupon.user_coupons g set issued_at = c.start_time + g.position * interval '20 ms'
        from coupon.coupons c where c.id = g.coupon_id and c.id = ${sold}`;
      await sql`
        update coupon.coupons set start_time = date_trunc('second', start_time),
          sold_out_at = date_trunc('second', start_time) + interval '40 ms' where id = ${sold}`;
      await sql`
        update coupon.user_coupons g set issued_at = c.start_time + g.position * interval '20 ms'
        from coupon.coupons c where c.id = g.coupon_id and c.id = ${sold}`;
      await sql`alter table coupon.user_coupons enable trigger user`;
      await sql`alter table coupon.coupons enable trigger user`;
      await sql`
        insert into coupon.demand
        select id, start_time + s * interval '1 second', n, 0
        from coupon.coupons, (values (-2, 30), (0, 9000), (1, 4000), (90, 7)) d (s, n) where id = ${sold}`;
    });
    const operator = await site.visit("#operate");
    const part = operator.locator("#find");
    await part.locator("> summary").press("Enter");
    const item = part.locator("li").first();
    await item.locator(".record > summary").press("Enter");
    await says(item.locator(".stats .asked"), exactly("13,039"));
    await says(item.locator(".stats .gone"), exactly("0.04 s after the start"));
    // The last one came after what is shown.
    await says(item.locator(".drop .asked figcaption"), exactly("13,032 requests, at most 9,002 per second"));
    await says(item.locator(".drop .grants figcaption"), exactly("2 issued, at most 2 per second"));
    await says(
      item.locator(".drop .refused figcaption"),
      exactly("13,030 refused, at most 9,000 per second"),
    );
    const pictured = item.locator(".drop .asked svg");
    assert.equal(await pictured.getAttribute("aria-label"), "13,032 requests, at most 9,002 per second");
    assert.equal(await item.locator(".drop .asked .start").getAttribute("d"), "M2 0V32");
    assert.equal(
      await item.locator(".drop .asked .bars").getAttribute("d"),
      "M0 32v-0.11h.9V32zM2 32v-32.00h.9V32zM3 32v-14.22h.9V32z",
    );
    const rows = item.locator(".timeline tbody tr");
    const cells = async (row: Locator) => (await row.locator("th, td").allTextContents()).slice(1);
    assert.deepEqual(await cells(rows.nth(0)), ["30", "30", "0", "0"]);
    assert.deepEqual(await cells(rows.nth(2)), ["9,002", "9,000", "2", "2"]);
    assert.deepEqual(await cells(rows.nth(3)), ["4,000", "4,000", "0", "2"]);
    assert.deepEqual(site.complaints, []);
    await picture(operator, "operate-drop-light");
  });

  test("a drop to members before its start: the record begins with the group's start, and the panel says how fast", async () => {
    const { admin, owner } = site.world.scratch;
    const coupon = await site.world.newCoupon({ from: "1 hour", until: "2 hours", count: 3 });
    const members = [await site.world.newUser(), await site.world.newUser(), await site.world.newUser()];
    await admin`select add_to_group('regulars', ${members}::bigint[])`;
    await owner`
      update coupon.coupons set eligible_group = 'regulars', eligible_from = clock_timestamp() - interval '50 minutes'
      where id = ${coupon}`;
    for (const user of members) await site.world.issue(coupon, user);
    const operator = await site.visit("#operate");
    const panel = operator.locator("#status .panel").first();
    await says(panel.locator(".state"), exactly("Upcoming"));
    await panel.locator(".rates").waitFor();
    const part = operator.locator("#find");
    await part.locator("> summary").press("Enter");
    const item = part.locator("li").first();
    await item.locator(".record > summary").press("Enter");
    await says(item.locator(".stats .issued"), exactly("3 of 3"));
    await says(item.locator(".stats .gone"), /^5\d min( \d+ s)? after the group's start$/);
    await says(item.locator(".drop .grants figcaption"), /^3 issued, at most [123] per minute$/);
    await says(item.locator(".timeline tbody tr").last().locator("td").last(), exactly("3"));
    assert.deepEqual(site.complaints, []);
  });

  test("an operator takes back a use that a till may not", async () => {
    const { admin } = site.world.scratch;
    const coupon = await site.world.newCoupon({ count: 2 });
    const [ann, ben] = [await site.world.newUser(), await site.world.newUser()];
    for (const user of [ann, ben]) await site.world.issue(coupon, user);
    await admin`select use_coupon(${ann}, ${coupon}, 'order-1', 'till:north-3')`;
    const operator = await site.visit("#operate", undefined, { viewport: PHONE });
    const panel = operator.locator("#status .panel").first();
    await panel.locator(".record > summary").press("Enter");
    const form = panel.locator("form.take-back");
    const takeBack = form.getByRole("button", { name: "Take the use back" });
    await says(panel.locator(".stats .used"), exactly("1 (50%)"));
    await says(panel.locator(".changes tbody td").first(), exactly("Used"));
    await form.getByLabel("Take back the use of user number").fill(`${ben}`);
    await operator.keyboard.press("Enter");
    await says(form.locator("[data-of=reason]"), /./);
    assert.equal(await operator.locator(":focus").getAttribute("name"), "reason");
    await operator.keyboard.type("wrong pump");
    await operator.keyboard.press("Enter");
    await says(
      form.locator("[data-of=user_id]"),
      exactly("This user has not used it, or that use is already taken back."),
    );
    assert.equal(await operator.locator(":focus").getAttribute("name"), "user_id");
    for (const [user, text] of [
      [987_654_321, "This user does not have it."],
      [0, /greater than or equal to 1/],
    ] as const) {
      await form.getByLabel("Take back the use of user number").fill(`${user}`);
      await takeBack.press("Enter");
      await says(form.locator("[data-of=user_id]"), text);
    }
    await form.getByLabel("Take back the use of user number").fill(`${ann}`);
    await takeBack.press("Enter");
    const told = "The use is taken back. It can be used again until it ends.";
    await says(panel.locator(".told"), exactly(told));
    await says(operator.getByRole("status"), told);
    assert.equal(await textOf(panel.locator(".stats .used")), "0 (0%)");
    assert.deepEqual(
      (await panel.locator(".changes tbody tr").first().locator("td").allTextContents()).slice(0, 4),
      ["Use taken back", `coupon ${coupon}, user ${ann}`, "admin:demo", "wrong pump"],
    );
    assert.equal(await form.getByLabel("Reason, for the audit").inputValue(), "");
    const [{ outcome } = {}] = await admin`select outcome from use_coupon(${ann}, ${coupon}, 'order-2')`;
    assert.equal(outcome, "used");
    assert.equal(await operator.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await picture(operator, "operate-take-back-phone-light");
    assert.deepEqual(site.complaints, []);
  });

  test("after a lost answer an operator who presses again takes back the use that was meant, and no later one", async () => {
    const { admin } = site.world.scratch;
    const coupon = await site.world.newCoupon();
    const ann = await site.world.newUser();
    await site.world.issue(coupon, ann);
    await admin`select use_coupon(${ann}, ${coupon}, 'order-1')`;
    const operator = await site.visit("#operate");
    const panel = operator.locator("#status .panel").first();
    await panel.locator(".record > summary").press("Enter");
    const form = panel.locator("form.take-back");
    await says(panel.locator(".stats .used"), exactly("1 (100%)"));
    await says(panel.locator(".changes tbody td").first(), exactly("Used"));
    const hear = loseAnswers(site, "/undo-use");
    await form.getByLabel("Take back the use of user number").fill(`${ann}`);
    await form.getByLabel("Reason, for the audit").fill("wrong pump");
    await operator.keyboard.press("Enter");
    await says(panel.locator(".told"), /it counts only once/);
    const [{ outcome } = {}] = await admin`select outcome from use_coupon(${ann}, ${coupon}, 'order-2')`;
    assert.equal(outcome, "used");
    hear();
    await form.getByLabel("Reason, for the audit").press("Enter");
    await says(form.locator("[data-of=user_id]"), /already taken back\.$/);
    const [{ used } = {}] = await admin`select used::integer from coupon_stats(${coupon})`;
    assert.equal(used, 1);
  });

  test("metadata is given with a coupon and corrected, and what is no JSON object is told beside it", async () => {
    const { admin } = site.world.scratch;
    const operator = await site.visit("#operate", undefined, { viewport: PHONE });
    const create = operator.locator("#create");
    await create.getByLabel("Code").fill("TAGGED");
    await create.getByLabel("Units").fill("5");
    await create.getByLabel("What the user gets").fill("Free soup");
    const metadata = create.getByLabel("Metadata (optional)");
    const button = create.getByRole("button");
    for (const [text, error] of [
      ["campaign: autumn", /^is not JSON: ./],
      ["[1]", exactly('must be a JSON object, like {"campaign": "autumn"}')],
      ['{"a": {"b": {"c": {"d": {"e": {}}}}}}', exactly("must be at most 5 levels deep")],
      ['{"a:": ["\\":", {"a": 1, "a": 2}]}', exactly("has a member twice")],
      [
        '{"order": 12345678901234567890}',
        exactly(
          "has a number with more digits than a page can keep: 12345678901234567890. Put it in quotes.",
        ),
      ],
    ] as const) {
      await metadata.fill(text);
      await button.press("Enter");
      await says(create.locator("#metadata-error"), error);
      assert.equal(await operator.locator(":focus").getAttribute("name"), "metadata");
      assert.equal(await metadata.getAttribute("aria-invalid"), "true");
    }
    // In the order in which PostgreSQL keeps them.
    const given = {
      "1e3": [0.1, -1e21, null],
      text: 'a "quoted" 99999999999999999999',
      order: "12345678901234567890",
    };
    await metadata.fill(JSON.stringify(given));
    await button.press("Enter");
    await says(create.locator(".told"), exactly("TAGGED: The coupon is created."));
    const known = async () =>
      (await admin`select metadata, description, coupon_id::integer from find_coupon(code => 'TAGGED')`)[0];
    assert.deepEqual((await known())?.["metadata"], given);
    assert.equal(await metadata.inputValue(), "");

    const panel = operator.locator("#status .panel").first();
    await panel.locator(".correct > summary").press("Enter");
    const form = panel.locator("form.edit");
    await form.locator("[name=code][value]").waitFor();
    const field = form.getByLabel("Metadata, a JSON object");
    assert.equal(await field.inputValue(), JSON.stringify(given, null, 2));
    await field.fill("{");
    await form.getByRole("button").press("Enter");
    await says(form.locator("[data-of=metadata]"), /^is not JSON: ./);
    await field.fill('{"campaign": "autumn"}');
    await form.getByRole("button").press("Enter");
    await says(panel.locator(".told"), exactly("It is corrected."));
    assert.deepEqual((await known())?.["metadata"], { campaign: "autumn" });

    // What somebody else corrected meanwhile stays, and without a text there is none.
    await admin`select edit_coupon(${(await known())?.["coupon_id"]}::bigint, metadata => '{"theirs": 1}')`;
    await form.getByLabel("Description").fill("new");
    await form.getByRole("button").press("Enter");
    await until(async () => (await known())?.["description"] === "new", "it is corrected again");
    assert.deepEqual((await known())?.["metadata"], { theirs: 1 });
    await field.fill(" ");
    await form.getByRole("button").press("Enter");
    await until(async () => JSON.stringify((await known())?.["metadata"]) === "{}", "it has none");
    assert.equal(await operator.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    assert.deepEqual(site.complaints, []);
  });

  test("a coupon is found by its code, state and day, a page at a time, and its record is opened", async () => {
    for (let n = 0; n < 45; n++)
      await site.world.scratch.admin`
        select create_coupon(${`PAGE-${n}`}, ${`Number ${n}`}, '', now() - make_interval(days => ${n + 3}),
          now() + interval '1 day', ${n + 1}, reason => 'a long list')`;
    const sold = await site.world.newCoupon({ from: "-1 hour", count: 2 });
    const [first, second] = [await site.world.newUser(), await site.world.newUser()];
    for (const user of [first, second]) await site.world.issue(sold, user);
    await site.world.scratch.admin`select use_coupon(${first}, ${sold}, '=1+2')`;
    const [{ code } = {}] = await site.world.scratch.admin`select code from find_coupon(${sold}::bigint)`;
    const operator = await site.visit("#operate", undefined, { viewport: PHONE });
    const part = operator.locator("#find");
    const items = part.locator("li");
    await part.locator("> summary").press("Enter");
    await says(operator.getByRole("status"), "20 coupons are shown.");
    assert.equal(await items.first().locator("h3").textContent(), code);

    // Pages hold: what is created and withdrawn meanwhile moves no page.
    await part.getByLabel("Code begins with").fill("page-");
    await operator.keyboard.press("Enter");
    await says(items.first().locator("h3"), exactly("PAGE-0"));
    await says(items.last().locator("h3"), exactly("PAGE-19"));
    await site.world.scratch.admin`
      select create_coupon('PAGE-NEW', 'm', '', now() - interval '2 days', now() + interval '1 day', 77)`;
    await site.world.scratch.admin`select withdraw_coupon(coupon_id) from find_coupon(code => 'PAGE-19')`;
    await part.getByRole("button", { name: "Show earlier ones" }).click();
    await says(items.last().locator("h3"), exactly("PAGE-39"));
    await part.getByRole("button", { name: "Show earlier ones" }).press("Enter");
    await says(items.last().locator("h3"), exactly("PAGE-44"));
    await part.getByRole("button", { name: "Show earlier ones" }).waitFor({ state: "hidden" });
    assert.equal(await operator.locator(":focus").evaluate((element) => element.tagName), "UL");
    assert.deepEqual(
      await items.locator("h3").allTextContents(),
      Array.from({ length: 45 }, (_, n) => `PAGE-${n}`),
    );

    await part.getByLabel("Code begins with").fill("");
    await part.getByLabel("State").selectOption("Sold out");
    await part.getByRole("button", { name: "Find" }).click();
    await says(operator.getByRole("status"), "One coupon is shown.");
    const item = items.first();
    await says(item.locator(".remaining"), exactly(`2 of 2 issued · 0 left · number ${sold}`));
    await item.locator(".record > summary").press("Enter");
    await says(item.locator(".stats .used"), exactly("1 (50%)"));
    await says(
      item.locator(".stats .gone"),
      /^(59|60) min( \d+ s)? after the start$|^1 h( \d+ s)? after the start$/,
    );
    await says(item.locator(".drop .grants figcaption"), /^2 issued, at most [12] per (minute|10 min)$/);
    await says(item.locator(".drop .refused figcaption"), exactly("0 refused"));
    await says(item.locator(".timeline tbody tr").last().locator("td").last(), exactly("2"));
    await says(item.locator(".changes tbody th + td").first(), exactly("Used"));
    const download = operator.waitForEvent("download");
    await item.getByRole("button", { name: "Save who has it (CSV)" }).click();
    const saved = await download;
    assert.equal(saved.suggestedFilename(), `${code}-grants.csv`);
    const lines = (await readFile(await saved.path(), "utf8")).trimEnd().split("\r\n");
    assert.equal(lines[0], "position,user_id,issued_on,issued_at,used_date,use_reference");
    assert.match(lines[1] as string, new RegExp(`^1,${first},.*,'=1\\+2$`));
    assert.match(lines[2] as string, new RegExp(`^2,${second},`));
    assert.equal(lines.length, 3);
    assert.equal(await operator.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await picture(operator, "operate-find-phone-light");

    // Found, it can be corrected as well.
    await item.locator(".correct > summary").press("Enter");
    await item.locator(".edit [name=code][value]").waitFor();
    await item.locator(".edit [name=message]").fill("Free pasta");
    await operator.keyboard.press("Enter");
    await says(item.locator(".told"), exactly("It is corrected."));
    await says(item.locator("> .message"), exactly("Free pasta"));
    await part.getByLabel("Starts until").fill("2020-01-01");
    await part.getByRole("button", { name: "Find" }).click();
    await says(part.locator(".empty"), exactly("There is no such coupon."));
    assert.deepEqual(site.complaints, []);
  });

  test("a week is planned by keyboard, previewed and filled, and a day is copied", async () => {
    const [{ today, tomorrow, weekday, short, next } = {}] = await site.world.scratch.admin`
      select d::text as today, (d + 1)::text as tomorrow, extract(isodow from d + 1)::integer as weekday,
        to_char(d + 1, 'YYYYMMDD') as short, (d + 2)::text as next
      from (select (now() at time zone 'UTC')::date) t (d)`;
    const operator = await site.visit("#operate", undefined, { viewport: PHONE });
    const part = operator.locator("#plan");
    await part.locator("summary").press("Enter");
    const form = part.locator("form.entry");
    await form.getByLabel("Weekday").selectOption(`${weekday}`);
    await form.getByLabel("Code").fill("LUNCH");
    await form.getByLabel("Units").fill("25");
    await form.getByLabel("What the user gets").fill("Free lunch");
    await form.getByLabel("Starts").fill("11:00");
    await form.getByLabel("Ends").fill("10:00");
    await operator.keyboard.press("Enter");
    await says(form.locator("[data-of=code_pattern]"), /^must have \{date\}/);
    await form.getByLabel("Code").fill("LUNCH-{date}");
    await operator.keyboard.press("Enter");
    await says(form.locator("[data-of=local_expiry]"), /^must be after local_start/);
    await form.getByLabel("Days later").fill("1");
    await operator.keyboard.press("Enter");
    await says(part.locator(".told"), /day 1: It is planned, for days that are not filled yet\.$/);
    const planned = part.locator(".entries tbody tr");
    assert.deepEqual((await planned.first().locator("th, td").allTextContents()).slice(1), [
      ...["LUNCH-{date}", "Free lunch", "11:00 to 10:00, a day later", "25"],
    ]);
    // The same again as the second one: what is in the way is told at its field.
    await form.getByLabel("Coupon").selectOption("2");
    await form.getByLabel("Code").fill("DINNER-{date}");
    await operator.keyboard.press("Enter");
    await says(form.locator("[data-of=local_start]"), "Another coupon of that weekday starts at this time.");
    await form.getByLabel("Starts").fill("18:30");
    await form.getByLabel("Units").fill("5");
    await operator.keyboard.press("Enter");
    await says(part.locator(".told"), /day 2: It is planned/);
    // What may be a slip is said. A coupon that was made by hand has as many units as this one.
    await form.getByLabel("Coupon").selectOption("3");
    await form.getByLabel("Code").fill("BRIEF-{date}");
    await form.getByLabel("Starts").fill("20:00:00");
    await form.getByLabel("Ends").fill("20:00:30");
    await form.getByLabel("Days later").fill("0");
    await form.getByLabel("Units").fill("7");
    await operator.keyboard.press("Enter");
    await says(
      part.locator(".told"),
      /day 3: It is planned, for days that are not filled yet\. People can get it for less than a minute\.$/,
    );
    const byHand = await site.world.newCoupon({ from: `${tomorrow} 06:00Z`, until: "9 days", count: 7 });
    await form.getByLabel("Coupon").selectOption("1");
    assert.equal(await form.getByLabel("Starts").inputValue(), "11:00:00");
    assert.equal(await form.getByLabel("Units").inputValue(), "25");

    const days = part.locator("form.days");
    await days.getByLabel("Days from today to").fill("2020-01-01");
    await days.getByRole("button", { name: "Fill these days" }).press("Enter");
    await says(part.locator(".told"), "must not be before today");
    await days.getByLabel("Days from today to").fill(tomorrow as string);
    await operator.keyboard.press("Enter");
    await says(part.locator(".told"), "3 coupons are shown.");
    const filled = part.locator(".filled tbody tr");
    assert.deepEqual((await filled.first().locator("th, td").allTextContents()).slice(1, 3), [
      ...[`LUNCH-${short}`, "Can be made"],
    ]);
    assert.equal(
      await textOf(filled.last().locator("td").nth(1)),
      `Not made: another coupon of that day has as many units (number ${byHand})`,
    );
    assert.equal(await operator.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await picture(operator, "operate-plan-phone-light");
    await days.getByRole("button", { name: "Fill these days" }).press("Enter");
    await says(filled.first().locator("td").nth(1), /^Is made \(number \d+\)$/);
    await site.world.scratch.admin`select withdraw_coupon(${byHand})`;
    await days.getByRole("button", { name: "Preview" }).press("Enter");
    await says(filled.nth(1).locator("td").nth(1), /^Was made before \(number \d+\)$/);
    await says(
      filled.last().locator("td").nth(1),
      exactly("Can be made. People can get it for less than a minute."),
    );

    const copy = part.locator("form.copy");
    await copy.getByLabel("The coupons of").fill(tomorrow as string);
    await copy.getByLabel("again on").fill(next as string);
    await operator.keyboard.press("Enter");
    await says(filled.last().locator("td").nth(1), /^Is made \(number \d+\)$/);
    await copy.getByLabel("The coupons of").fill(today as string);
    await operator.keyboard.press("Enter");
    await says(part.locator(".told"), "There are no coupons on that day.");

    await form.getByRole("button", { name: "Take it out of the plan" }).press("Enter");
    await says(part.locator(".told"), /day 1: It is no longer planned\. Coupons that were made stay\.$/);
    assert.equal(await planned.count(), 2);
    assert.deepEqual(site.complaints, []);
  });

  test("the form of the plan begins with what is planned there, and signing out leaves nothing in it", async () => {
    site.hasDemo = false;
    await site.world.scratch.admin`
      select set_plan_entry(1, 1, 'BREAD-{date}', 'A loaf', 'Of rye', '07:00', '08:00', 9)`;
    const operator = await site.visit("#operate");
    const part = operator.locator("#plan");
    await part.locator("> summary").click();
    const form = part.locator("form.entry");
    const typed = async () => [
      ...(await Promise.all(["Code", "Units", "Starts"].map((label) => form.getByLabel(label).inputValue()))),
      await form.getByLabel("Description").inputValue(),
    ];
    await operator.getByLabel("An operator's token").fill(adminToken);
    await operator.keyboard.press("Enter");
    await until(async () => (await typed())[0] !== "", "the entry is in the form");
    assert.deepEqual(await typed(), ["BREAD-{date}", "9", "07:00:00", "Of rye"]);
    await operator.locator("#admin-out").getByRole("button", { name: "Sign out" }).click();
    await until(async () => (await typed())[0] === "", "the form is empty");
    assert.deepEqual(site.complaints, []);
  });

  test("what was done to a coupon that is gone is found in the audit, a page at a time", async () => {
    const gone = await site.world.newCoupon({ from: "1 day", until: "2 days" });
    for (let n = 0; n < 25; n++)
      await site.world.scratch
        .admin`select set_coupon_count(${gone}, ${100 + n}, reason => ${`reason ${n}`})`;
    await site.world.scratch.admin`select withdraw_coupon(${gone}, 'a mistake')`;
    const operator = await site.visit("#operate");
    const part = operator.locator("#changes");
    await part.locator("> summary").press("Enter");
    await part.getByLabel("Number of a coupon").fill(`${gone}`);
    await operator.keyboard.press("Enter");
    const rows = part.locator("tbody tr");
    await says(rows.first().locator("td").first(), exactly("Withdrawn"));
    await says(rows.first().locator("td").nth(2), "coupon_admin (database login)");
    await says(rows.first().locator("td").nth(3), exactly("a mistake"));
    assert.equal(await rows.count(), 20);
    await says(rows.nth(1).locator("td").last(), exactly("count: 123 → 124"));
    await part.getByRole("button", { name: "Show earlier ones" }).click();
    await says(rows.last().locator("td").first(), exactly("Created"));
    assert.equal(await rows.count(), 27);
    await part.getByLabel("Number of a user").fill("0");
    await operator.keyboard.press("Enter");
    await says(part.locator("[data-of=user_id]"), /greater than or equal to 1/);
    assert.deepEqual(site.complaints, []);
  });

  test("a group by keyboard: users are put in, a coupon is theirs early, and they are taken out again", async () => {
    const { admin, owner } = site.world.scratch;
    const [ann, ben, cid] = [
      await site.world.newUser(),
      await site.world.newUser(),
      await site.world.newUser(),
    ];
    const coupon = await site.world.newCoupon({ from: "3 days", until: "5 days", count: 7 });
    const [{ code, start } = {}] = await admin`
      select code, extract(epoch from start_time)::float8 * 1000 as start from find_coupon(${coupon}::bigint)`;
    const operator = await site.visit("#operate", undefined, { viewport: PHONE });
    const part = operator.locator("#groups");
    const rows = part.locator("tbody tr");
    const groups = async () =>
      Promise.all((await rows.all()).map((row) => row.locator("th, td").allTextContents()));
    await part.locator("> summary").press("Enter");
    await part.getByLabel("Group", { exact: true }).fill("regu lars");
    await operator.keyboard.press("Enter");
    await says(part.locator("[data-of=group_name]"), /./);
    assert.equal(await operator.locator(":focus").getAttribute("name"), "group_name");
    await part.getByLabel("Group", { exact: true }).fill("regulars");
    await operator.keyboard.press("Enter");
    await says(part.locator("[data-of=user_ids]"), exactly("Give numbers of users."));
    await operator.keyboard.type(`${ann}, ${ben}\n0`);
    const add = part.getByRole("button", { name: "Put them in" });
    await add.press("Enter");
    await says(part.locator("[data-of=user_ids]"), exactly("must be at least 1"));
    await part.getByLabel("Numbers of users").fill(`${ann}, ${ben}\n987654321 ${ann}`);
    await part.getByLabel("Reason, for the audit").fill("ten visits");
    await add.press("Enter");
    const told = "regulars: 2 put in, 1 unknown (987654321).";
    await says(part.locator(".told"), exactly(told));
    await says(operator.getByRole("status"), told);
    assert.deepEqual(await groups(), [["regulars", "2", "0"]]);
    await part.getByLabel("Numbers of users").fill(`${ann} ${cid}`);
    await add.press("Enter");
    await says(part.locator(".told"), exactly(`regulars: 1 put in, 1 there before (${ann}).`));
    const download = operator.waitForEvent("download");
    await part.getByRole("button", { name: "Save who is in it (CSV)" }).press("Enter");
    const saved = await download;
    assert.equal(saved.suggestedFilename(), "regulars.csv");
    assert.equal(
      await readFile(await saved.path(), "utf8"),
      ["user_id,display_name", ...[ann, ben, cid].map((user) => `${user},User ${user}`), ""].join("\r\n"),
    );
    await part.getByLabel("Numbers of users").fill(`${cid} 987654321`);
    await part.getByRole("button", { name: "Take them out" }).press("Enter");
    await says(part.locator(".told"), exactly("regulars: 1 taken out, 1 not in it (987654321)."));
    assert.deepEqual(await groups(), [["regulars", "2", "0"]]);
    assert.equal(await operator.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await picture(operator, "operate-groups-phone-light");

    // The coupon is the group's early.
    const local = (ms: number) => new Date(ms + 9 * 3_600_000).toISOString().slice(0, 19);
    const panel = operator.locator(".panel").first();
    const form = panel.locator("form.group");
    await panel.locator(".correct > summary").press("Enter");
    await form.getByLabel("Early for this group").fill("regulras");
    await form.getByLabel("from (your time)").fill(local(start + 60_000));
    await operator.keyboard.press("Enter");
    await says(
      form.locator("[data-of=eligible_from]"),
      "Everybody can have it then: choose an earlier time.",
    );
    await form.getByLabel("from (your time)").fill(local(start - 86_400_000));
    await operator.keyboard.press("Enter");
    await says(panel.locator(".told"), exactly("It is changed. The group has no members yet."));
    await form.getByLabel("Early for this group").fill("regulars");
    await operator.keyboard.press("Enter");
    await says(panel.locator(".told"), exactly("It is changed."));
    await panel
      .locator("form.move")
      .getByLabel("Starts (your time)")
      .fill(local(start - 90_000_000));
    await operator.keyboard.press("Enter");
    await says(
      panel.locator("form.move [data-of=start_time]"),
      "A group may have it then: change that first.",
    );
    // Opened anew, it shows what is so; the part too.
    await panel.locator(".correct > summary").press("Enter");
    await form.waitFor({ state: "detached" });
    await panel.locator(".correct > summary").press("Enter");
    await form.locator("[name=group_name][value=regulars]").waitFor();
    assert.equal(
      await form.getByLabel("from (your time)").inputValue(),
      local(Math.floor((start - 86_400_000) / 1000) * 1000),
    );
    // Closed and opened within one task of the page, it has one event, by which it has been open all the time.
    const closed = operator.evaluate(
      "new Promise((done) => document.querySelector('#groups').addEventListener('toggle', () => done(), { once: true }))",
    );
    await part.locator("> summary").press("Enter");
    await closed;
    await part.locator("> summary").press("Enter");
    await says(rows.first().locator("td").last(), exactly("1"));
    assert.deepEqual(await groups(), [["regulars", "2", "1"]]);

    // Its time comes. Everybody sees from when; a member gets it, and who is none is told when it starts.
    await owner`update coupon.coupons set eligible_from = clock_timestamp() where id = ${coupon}`;
    const shops = [await site.visit("", ann), await site.visit("", cid)];
    const answers = [exactly("You got number 1 of 7."), /^It starts in (3 d|2 d 23 h)\.$/];
    for (const [i, shop] of shops.entries()) {
      const ticket = shop.locator(".ticket", { has: shop.getByText(code, { exact: true }) });
      await says(ticket.locator(".early"), /^For members of a group from /);
      await says(ticket.getByRole("timer"), /^[23] days /);
      await ticket.getByRole("button", { name: "Claim as a member" }).press("Enter");
      await says(ticket.locator(".told"), answers[i] as RegExp);
    }
    await form.getByRole("button", { name: "Let nobody have it early" }).press("Enter");
    await says(panel.locator(".told"), exactly("It has started already."));
    assert.deepEqual(site.complaints, []);

    const another = await site.world.newCoupon({ from: "8 days", until: "9 days" });
    await admin`select set_coupon_group(${another}, 'regulars', now() + interval '1 day')`;
    await part.locator("> summary").press("Enter");
    const found = operator.locator("#find");
    await found.locator("> summary").press("Enter");
    const item = found.locator("li").first();
    await says(item.locator(".when"), / · regulars from /);
    await item.locator(".correct > summary").press("Enter");
    await item.locator("form.group [name=group_name][value=regulars]").waitFor();
    await item.getByRole("button", { name: "Let nobody have it early" }).press("Enter");
    await says(item.locator(".told"), exactly("It is changed."));
    assert.equal(await item.getByLabel("Early for this group").inputValue(), "");
    const [{ group } = {}] = await admin`
      select eligible_group as group from list_coupons() where coupon_id = ${another}`;
    assert.equal(group, null);
    assert.deepEqual(site.complaints, []);
  });

  test("a list that breaks off is told, and not saved", async () => {
    const operator = await site.visit("#operate");
    site.faults = [({ url, socket }) => url === "/users" && Boolean(socket.destroy())];
    await operator.locator("#users > summary").press("Enter");
    await operator.getByRole("button", { name: "Save all users (CSV)" }).click();
    await says(operator.locator("#users > .told"), /^There is no connection\./);
    site.faults = [];
    const download = operator.waitForEvent("download");
    await operator.getByRole("button", { name: "Save all users (CSV)" }).click();
    assert.equal(await readFile(await (await download).path(), "utf8"), "user_id,display_name\r\n");
  });

  test("a person is forgotten by keyboard, once the number is typed twice", async () => {
    const { admin, owner } = site.world.scratch;
    const [ann, ben] = [await site.world.newUser(), await site.world.newUser()];
    await admin`select import_users(${[ann]}::bigint[], array['Ann Example'])`;
    const coupon = await site.world.newCoupon({ count: 2 });
    for (const user of [ann, ben]) await site.world.issue(coupon, user);
    await admin`select use_coupon(${ann}, ${coupon}, 'order of Ann')`;
    const known = async () => [
      ...(await owner`
        select u.display_name, g.use_reference, g.position
        from coupon.user_coupons g left join coupon.users u on u.id = g.user_id where g.user_id = ${ann}`),
    ];
    const operator = await site.visit("#operate", undefined, { viewport: PHONE });
    const part = operator.locator("#users");
    await part.locator("> summary").press("Enter");
    const form = part.getByRole("form", { name: "Forget a person" });
    await form.getByLabel("Number of the user").fill(`${ann}`);
    await operator.keyboard.press("Enter");
    await says(form.locator("[data-of=again]"), /./);
    assert.equal(await operator.locator(":focus").getAttribute("name"), "again");
    await operator.keyboard.type(`${ben}`);
    await operator.keyboard.press("Enter");
    await says(form.locator("[data-of=again]"), exactly("This is another number. Nobody is forgotten."));
    assert.deepEqual(await known(), [
      { display_name: "Ann Example", use_reference: "order of Ann", position: 1 },
    ]);
    assert.equal(await operator.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
    await picture(operator, "operate-forget-phone-light");

    await form.getByLabel("The same number again").fill(`${ann}`);
    await form.getByLabel("Reason, for the audit").fill("asked for by Ann Example");
    await operator.keyboard.press("Enter");
    const told = `User ${ann} is forgotten. The number and its coupons stay.`;
    await says(part.locator(".told"), exactly(told));
    await says(operator.getByRole("status"), told);
    assert.deepEqual(await known(), [{ display_name: null, use_reference: "(forgotten)", position: 1 }]);
    const [{ reason, actor } = {}] = await admin`
      select reason, actor from audit_trail() where command = 'forget_user' limit 1`;
    assert.deepEqual([reason, actor?.split(":")[0]], ["asked for by (forgotten)", "admin"]);
    assert.equal(await form.getByLabel("Number of the user").inputValue(), "");

    const forget = async (user: number) => {
      await form.getByLabel("Number of the user").fill(`${user}`);
      await form.getByLabel("The same number again").fill(`${user}`);
      await form.getByRole("button", { name: "Forget this person" }).press("Enter");
    };
    await forget(ann);
    await says(part.locator(".told"), exactly(`User ${ann} was forgotten before.`));
    await forget(987_654_321);
    await says(form.locator("[data-of=user_id]"), exactly("There is no such user, and never was."));
    assert.equal(await operator.locator(":focus").getAttribute("name"), "user_id");
    assert.deepEqual(site.complaints, []);
    // Lost on the way: it is not known, and the same again finds out.
    site.faults = [({ url, socket }) => url === `/users/${ben}/forget` && Boolean(socket.destroy())];
    await forget(ben);
    await says(part.locator(".told"), /^There is no connection\. Press again: it counts only once\.$/);
    site.faults = [];
    await form.getByRole("button", { name: "Forget this person" }).press("Enter");
    await says(part.locator(".told"), exactly(`User ${ben} is forgotten. The number and its coupons stay.`));
  });

  test("whoever hears a field hears its hint and what is wrong with it, too, in every form", async () => {
    const coupon = await site.world.newCoupon();
    await site.world.issue(coupon, await site.world.newUser());
    const page = await site.visit("#operate");
    await page.locator(".panel").waitFor();
    const openAll = "for (const each of document.querySelectorAll('#operate details')) each.open = true";
    await page.evaluate(openAll);
    await page.locator("#find .panel").waitFor();
    await page.evaluate(openAll);
    for (const where of ["#status", "#find"])
      for (const form of ["form.take-back", "form.withdraw"])
        await page.locator(`${where} ${form}`).waitFor({ state: "attached" });
    const fields = (await page.evaluate(`
      [...document.querySelectorAll(".error")].map((error) => {
        const field = error.parentElement.querySelector("[name], [id]:not(p)");
        const texts = (field.getAttribute("aria-describedby") ?? "").split(" ").map((id) => document.getElementById(id));
        const hint = error.parentElement.querySelector(".hint");
        return [field.form.id || field.form.className, field.name, texts.includes(error) && (!hint || texts.includes(hint))];
      })`)) as [form: string, name: string, isHeard: boolean][];
    assert.ok(fields.length > 60, `${fields.length}`);
    assert.deepEqual(
      fields.filter(([, , isHeard]) => !isHeard),
      [],
    );
    const ids = (await page.evaluate(
      "[...document.querySelectorAll('[id]')].map(({ id }) => id)",
    )) as string[];
    assert.equal(new Set(ids).size, ids.length, "no id is there twice");
  });

  test("what a form begins with is as the coupon is now, unless somebody has typed", async () => {
    const coupon = await site.world.newCoupon({ from: "1 day", until: "2 days", count: 25 });
    const { admin } = site.world.scratch;
    const operator = await site.visit("#operate");
    const panel = operator.locator(".panel").first();
    const units = panel.getByLabel("Units in all");
    await panel.getByText("Restock", { exact: false }).first().click();
    assert.equal(await units.inputValue(), "25");
    await admin`select set_coupon_count(${coupon}, 100)`;
    await says(panel.locator(".remaining"), exactly("0 of 100 issued · 100 left"));
    assert.equal(await units.inputValue(), "100");
    await units.fill("120");
    await admin`select set_coupon_count(${coupon}, 110)`;
    await says(panel.locator(".remaining"), exactly("0 of 110 issued · 110 left"));
    assert.equal(await units.inputValue(), "120");
    await operator.keyboard.press("Enter");
    await says(panel.locator(".told"), exactly("It has 120 units now, 120 of them left."));

    // By the code that it has now, too.
    await panel.locator(".correct > summary").press("Enter");
    await panel.locator(".edit [name=code][value]").waitFor();
    await admin`select edit_coupon(${coupon}, code => 'BRUNCH')`;
    await says(panel.locator("h2"), exactly("BRUNCH"));
    await panel.locator(".edit [name=message]").fill("Free brunch");
    await operator.keyboard.press("Enter");
    await says(operator.getByRole("status"), "BRUNCH: It is corrected.");
    assert.deepEqual(site.complaints, []);
  });

  test("a form for corrections keeps what was typed early, and a time that was left alone", async () => {
    const coupon = await site.world.newCoupon({ from: "1 day", until: "2 days" });
    await site.world.scratch.owner`
      update coupon.coupons set start_time = date_trunc('minute', start_time) + interval '0.123456 s' where id = ${coupon}`;
    const held: (() => void)[] = [];
    site.faults = [
      (request, response) => {
        if (request.url !== `/coupons/${coupon}`) return false;
        held.push(() => site.world.listener(request, response));
        return true;
      },
    ];
    const operator = await site.visit("#operate");
    const panel = operator.locator(".panel").first();
    await panel.locator(".correct > summary").press("Enter");
    await panel.locator(".edit [name=message]").fill("Typed early");
    await until(async () => held.length > 0, "the page asks for the coupon");
    for (const answer of held) answer();
    await panel.locator(".edit [name=code][value]").waitFor();
    assert.equal(await panel.locator(".edit [name=message]").inputValue(), "Typed early");
    await panel.getByRole("button", { name: "Move the start" }).press("Enter");
    await says(panel.locator(".told"), exactly("It starts then already."));
    const [{ rest } = {}] = await site.world.scratch.admin`
      select (extract(microseconds from start_time)::bigint % 1000000)::int as rest from find_coupon(${coupon}::bigint)`;
    assert.equal(rest, 123456);
    assert.deepEqual(site.complaints, []);
  });

  test("what became of it is seen where it was pressed, on a phone too", async () => {
    await site.world.newCoupon({ from: "1 day", until: "2 days", count: 7 });
    const user = await site.world.newUser();
    const seen = async (told: Locator, text: RegExp) => {
      await says(told, text);
      const box = await told.boundingBox();
      const { height = 0 } = told.page().viewportSize() ?? {};
      assert.ok(
        box && box.y >= 0 && box.y + box.height <= height,
        `${text} is in sight: ${JSON.stringify(box)} of ${height}`,
      );
    };
    for (const viewport of [DESKTOP, PHONE]) {
      const operator = await site.visit("#operate", undefined, { viewport });
      const press = (within: Locator, name: string) => within.getByRole("button", { name }).click();
      const panel = operator.locator("#status .panel");
      await panel.locator(".correct > summary").click();
      await panel.locator(".edit [name=code][value]").waitFor();
      await panel.locator(".edit [name=message]").fill(`For ${viewport.width}`);
      await press(panel, "Correct the texts");
      await seen(panel.locator(".edit .told"), /^It is corrected\.$/);
      await press(panel, "Move the end");
      await seen(panel.locator(".end .told"), /^It ends then already\.$/);
      await panel.getByText("Restock").first().click();
      await press(panel, "Set the units");
      await seen(panel.locator("form", { hasText: "Set the units" }).locator(".told"), /^It already has/);
      const plan = operator.locator("#plan");
      await plan.locator("> summary").click();
      await plan.getByLabel("Code").fill("L-{date}");
      await plan.getByLabel("Units").fill("5");
      await plan.getByLabel("What the user gets").fill("m");
      await plan.getByLabel("Starts").fill("11:00");
      await plan.getByLabel("Ends").fill("12:00");
      await press(plan, "Plan it");
      await seen(plan.locator(".entry .told"), /^Monday 1: It is planned/);
      await press(plan, "Preview");
      await seen(plan.locator(".to-come > .told"), /^2 coupons are shown\.$/);
      const users = operator.locator("#users");
      await users.locator("> summary").click();
      await users.getByLabel("Number of the user").fill(`${user}`);
      await users.getByLabel("The same number again").fill(`${user}`);
      await press(users, "Forget this person");
      await seen(users.locator("form .told"), /is forgotten|was forgotten before/);
    }
    assert.deepEqual(site.complaints, []);
  });

  test("what was told before is no reason to go there", async () => {
    await site.world.issue(await site.world.newCoupon(), await site.world.newUser());
    const operator = await site.visit("#operate", undefined, { viewport: { width: 390, height: 300 } });
    const panel = operator.locator("#status .panel");
    await panel.locator(".record > summary").click();
    await says(panel.locator(".changes tbody"), "Created");
    await panel.locator(".pause").click();
    await says(panel.locator("> .told"), /^It is paused/);
    const button = panel.getByRole("button", { name: "Show the timeline" });
    await button.click();
    await until(async () => (await button.getAttribute("aria-disabled")) === "false", "it is shown");
    const { y = -1 } = (await button.boundingBox()) ?? {};
    assert.ok(y >= 0 && y < 300, `${y}`);
    assert.deepEqual(site.complaints, []);
  });

  test("a year with too many digits is told beside its field, and the form goes on", async () => {
    const operator = await site.visit("#operate");
    for (const [id, typed, right] of [
      ["find", "20266-01-01", "2026-01-01"],
      ["changes", "20266-01-01T00:00", "2026-01-01T00:00"],
    ]) {
      const part = operator.locator(`#${id}`);
      await part.locator("summary").click();
      // What it asked for when it was opened has its answer: until then a form takes nothing else.
      await part.locator("button[type=submit][aria-disabled=false]").waitFor();
      const since = part.locator("[name=since]");
      const told = part.locator("[data-of=since]");
      await since.fill(typed as string);
      await operator.keyboard.press("Enter");
      await says(told, /9999/);
      await since.fill(right as string);
      await operator.keyboard.press("Enter");
      await until(async () => (await textOf(told)) === "", "it is asked for");
    }
    const unbounded =
      await operator.evaluate(`[document, ...[...document.querySelectorAll("template")].map(({ content }) => content)]
      .flatMap((root) => [...root.querySelectorAll("input[type^=date]")])
      .filter(({ type, max }) => max !== { date: "9999-12-31", "datetime-local": "9999-12-31T23:59:59" }[type])
      .map(({ name }) => name)`);
    assert.deepEqual(unbounded, []);
    assert.deepEqual(site.complaints, []);
  });
});
