/** The whole life of a coupon in Chromium, as a new operator, a user and a till go through it: from the plan to the sum of the day after. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Locator, Page } from "playwright-core";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import { declareZone, noonZone } from "../../bench/harness/noon.ts";
import { exactly, openSite, PHONE, picture, type Site, says, textOf } from "../../bench/harness/site.ts";
import { until } from "../../bench/harness/waiting.ts";

const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const noon = noonZone();

describe("a coupon's life", options, () => {
  let browser: Browser;
  let site: Site;

  before(async () => {
    browser = await launchBrowser();
    site = await openSite(browser);
    // Where it is noon: what begins at eight in the evening is today, and to come.
    await declareZone(site.world.scratch.owner, noon.time_zone);
  });
  after(async () => {
    await site?.close();
    await browser?.close();
  });

  const ticket = (page: Page, code: string) =>
    page.locator(".ticket", { has: page.getByText(code, { exact: true }) });
  const cellsOf = (row: Locator) => row.locator("th, td").allTextContents();

  test("planned for a week, corrected, announced, dropped, sold out, used at a till, taken back, summed up", async () => {
    const { owner, admin } = site.world.scratch;
    const [ann, ben, cid] = [
      await site.world.newUser(),
      await site.world.newUser(),
      await site.world.newUser(),
    ];
    const operator = await site.visit("#operate");

    // A week is planned, looked at, and filled.
    const plan = operator.locator("#plan");
    await plan.locator("> summary").click();
    const entry = plan.locator("form.entry");
    await entry.getByLabel("Code").fill("LUNCH-{date}");
    await entry.getByLabel("Units").fill("2");
    await entry.getByLabel("What the user gets").fill("Free lnch");
    await entry.getByLabel("Starts").fill("20:00");
    await entry.getByLabel("Ends").fill("19:00");
    await entry.getByLabel("Days later").fill("1");
    for (const [i, day] of WEEKDAYS.entries()) {
      await entry.getByLabel("Weekday").selectOption(day);
      await entry.getByRole("button", { name: "Plan it" }).click();
      await says(
        plan.locator(".told"),
        exactly(`${day} 1: It is planned, for days that are not filled yet.`),
      );
      assert.equal(await plan.locator(".entries tbody tr").count(), i + 1);
    }
    const [{ today, last } = {}] = await admin`
      select d::text as today, (d + 6)::text as last from (select (now() at time zone ${noon.time_zone})::date) t (d)`;
    const days = plan.locator("form.days");
    const filled = plan.locator(".filled tbody tr");
    await days.getByLabel("Days from today to").fill(last as string);
    await days.getByRole("button", { name: "Preview" }).click();
    await says(plan.locator(".told"), exactly("7 coupons are shown."));
    assert.deepEqual(
      await Promise.all((await filled.all()).map(async (row) => (await cellsOf(row))[2])),
      WEEKDAYS.map(() => "Can be made"),
    );
    await days.getByRole("button", { name: "Fill these days" }).click();
    await says(filled.first().locator("td").nth(1), /^Is made \(number \d+\)$/);
    const code = `LUNCH-${String(today).replaceAll("-", "")}`;
    assert.equal((await cellsOf(filled.first()))[1], code);
    // The next two days stand above what an operator does; the rest is out of the way.
    await says(operator.locator("#further > summary"), exactly("Later: 1 more"));
    assert.equal(await operator.locator("#status .panel").count(), 6);
    await picture(operator, "life-plan-desktop-light");

    // It is announced, and the mistake is seen and corrected.
    const shop = await site.visit("", ann, { viewport: PHONE });
    await says(ticket(shop, code).locator("h3"), exactly("Free lnch"));
    await says(ticket(shop, code).getByRole("timer"), /^[5-8]:\d\d:\d\d$/);
    assert.equal(await textOf(ticket(shop, code).locator(".remaining")), "2 to get");
    const panel = operator.locator("#status .panel", {
      has: operator.getByRole("heading", { name: code, exact: true }),
    });
    await says(panel.locator(".state"), exactly("Upcoming"));
    await panel.locator(".correct > summary").click();
    await panel.locator(".edit [name=code][value]").waitFor();
    await panel.locator(".edit [name=message]").fill("Free lunch");
    await panel.getByRole("button", { name: "Correct the texts" }).click();
    await says(panel.locator(".told"), exactly("It is corrected."));
    await says(ticket(shop, code).locator("h3"), exactly("Free lunch"));

    // Its time comes, and two of three are fast enough.
    const shops = [shop, await site.visit("", ben), await site.visit("", cid)] as const;
    for (const each of shops) await ticket(each, code).getByRole("timer").waitFor();
    const [{ id } = {}] = await owner`
      update coupon.coupons set start_time = clock_timestamp() + interval '1 second' where code = ${code} returning id::integer`;
    const claim = async (page: Page) => {
      await ticket(page, code).and(page.locator("[data-chance=open]")).waitFor();
      await ticket(page, code).locator(".claim").click();
    };
    await claim(shops[0]);
    await says(ticket(shops[0], code).locator(".told"), exactly("You got number 1 of 2."));
    await claim(shops[1]);
    await says(ticket(shops[1], code).locator(".told"), exactly("You got number 2 of 2."));
    await ticket(shops[2], code).getByRole("button", { name: "Sold out Free lunch" }).waitFor();
    await says(ticket(shops[2], code).locator(".remaining"), exactly("All 2 are gone"));
    await says(panel.locator(".state"), exactly("Sold out"));
    await says(panel.locator(".remaining"), exactly("2 of 2 issued · 0 left"));
    await picture(operator, "life-sold-out-desktop-light");

    // At the till its code is used, taken back, and used for good.
    await shop.getByText("Show the code for the till").click();
    await says(shop.locator(".claim-code"), /./);
    const claimCode = await textOf(shop.locator(".claim-code"));
    const till = await site.visit("#till");
    const scan = async () => {
      await till.locator("#claim-code:focus").waitFor();
      await till.keyboard.type(claimCode);
      await till.keyboard.press("Enter");
    };
    const given = () => till.locator("#given p").allTextContents();
    await scan();
    await says(till.locator("#given .told"), exactly("Give:"));
    assert.deepEqual(await given(), ["Give:", "Free lunch", `User ${ann}`, `${code} · number 1`]);
    await till.getByLabel("Why it is taken back").fill("burnt");
    await till.keyboard.press("Enter");
    await says(till.locator("#given .told"), exactly("Taken back. The code can be used again."));
    await scan();
    await says(till.locator("#given .told"), exactly("Give:"));
    await shop.reload();
    await shop.getByRole("button", { name: "Used Free lunch" }).waitFor();

    // The operator sees all of that, in the record and, a day later, in the sum of the day.
    const requests = site.came.filter((route) => route === `POST /coupons/${id}/issue`).length;
    await until(async () => {
      const [stats] = await admin`select asked::integer from coupon_stats(${id})`;
      return stats?.["asked"] === requests;
    }, `${requests} requests are counted`);
    await owner.begin(async (sql) => {
      for (const table of ["user_coupons", "coupons"])
        await sql.unsafe(`alter table coupon.${table} disable trigger user`);
      await sql`
        update coupon.user_coupons set issued_on = issued_on - 1, issued_at = issued_at - interval '1 day',
          used_date = used_date - interval '1 day' where coupon_id = ${id}`;
      await sql`
        update coupon.coupons set start_time = start_time - interval '1 day', live_on = live_on - 1,
          sold_out_at = sold_out_at - interval '1 day' where id = ${id}`;
      for (const table of ["user_coupons", "coupons"])
        await sql.unsafe(`alter table coupon.${table} enable trigger user`);
    });
    const sums = operator.locator("#days");
    await sums.locator("> summary").click();
    await says(operator.getByRole("status"), "7 days are shown.");
    assert.deepEqual((await cellsOf(sums.locator("tbody tr").nth(5))).slice(1, 7), [
      ...["1", "2", `${requests}`, "2", "1", "50%"],
    ]);
    assert.deepEqual((await cellsOf(sums.locator("tbody tr").nth(6))).slice(1, 6), ["0", "0", "0", "0", "0"]);
    await panel.locator(".record > summary").click();
    await says(panel.locator(".stats .used"), exactly("1 (50%)"));
    await says(panel.locator(".changes tbody tr").last().locator("td").first(), exactly("Created"));
    assert.deepEqual(await panel.locator(".changes tbody tr td:nth-child(2)").allTextContents(), [
      ...["Used", "Use taken back", "Used", "Texts corrected", "Created"],
    ]);
    await picture(operator, "life-day-after-desktop-light");
    assert.deepEqual(site.complaints, []);
  });
});
