/** The parts of the operators' view in Chromium; page.long.test.ts tries the rest of the page. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { Browser, Locator } from "playwright-core";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import { openSite, type Site, says } from "../../bench/harness/site.ts";

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
    const coupon = await site.world.newCoupon({ from: "-1 hour", count: 20 });
    const users = [await site.world.newUser(), await site.world.newUser()];
    for (const user of users) await site.world.issue(coupon, user);
    await site.world.scratch.admin`select use_coupon(${users[0] as number}, ${coupon}, 'order-1')`;
    const [{ today } = {}] = await site.world.scratch
      .admin`select (now() at time zone 'UTC')::date::text as today`;
    const operator = await site.visit("#operate");
    const part = operator.locator("#days");
    await part.locator("summary").focus();
    await operator.keyboard.press("Enter");
    await says(operator.getByRole("status"), "7 days are shown.");
    assert.equal(await part.getByRole("row").count(), 8);
    const cells = async (row: Locator) => await row.locator("th, td").allTextContents();
    assert.deepEqual((await cells(part.getByRole("row").last())).slice(1, 6), ["1", "20", "2", "1", "50%"]);
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
});
