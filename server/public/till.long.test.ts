/** The view for tills, and the code that a person shows there, in Chromium. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { generate } from "lean-qr/nano";
import type { Browser, Page } from "playwright-core";
import { adminToken, env, tillToken, userToken } from "../../bench/harness/app.ts";
import { launchBrowser, options } from "../../bench/harness/browser.ts";
import {
  exactly,
  loseAnswers,
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
import { signToken } from "../auth/auth.ts";
import { codeIn } from "./claim-code.js";

/** Types as a keyboard scanner does, wherever the focus is. */
async function scan(till: Page, code: string): Promise<void> {
  await till.keyboard.type(code);
  await till.keyboard.press("Enter");
}

/** To evaluate in a page: the QR code as it is drawn, a line of 1 (dark) and 0 for each row of pixels. */
const drawn = `(() => {
  const canvas = document.querySelector(".claim canvas");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => (data[(y * width + x) * 4 + 3] === 255 ? 1 : 0)).join(""));
})()`;

/** The same, of this text: each module is a pixel, and four around all of them stay free (ISO/IEC 18004). */
function modulesOf(text: string): string[] {
  const qr = generate(text);
  assert.ok(qr);
  const pixels = Array.from({ length: qr.size + 8 }, (_, i) => i - 4);
  return pixels.map((y) => pixels.map((x) => Number(qr.get(x, y))).join(""));
}

test("a code in what was scanned or typed", () => {
  assert.equal(codeIn("ZW6H-XJCH-FFZX"), "ZW6H-XJCH-FFZX");
  assert.equal(codeIn(" 2byg a54b\tcgou\r\n"), "2BYG-A54B-CG0U");
  // A hyphen of a scanner that is made for an English keyboard, on a German one.
  assert.equal(codeIn("ZW6HßXJCHßFFZX"), "ZW6H-XJCH-FFZX");
  for (const text of [
    "",
    "ZW6H-XJCH-FFZY",
    "WZ6H-XJCH-FFZX",
    "ZW6H-XJCH-FFZ",
    "UW6H-XJCH-FFZX",
    "4006381333931",
  ])
    assert.equal(codeIn(text), undefined, text);
});

describe("the till", options, () => {
  let browser: Browser;
  let site: Site;
  let coupon: number;
  let holder: number;
  let code: string;

  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser?.close());

  beforeEach(async () => {
    site = await openSite(browser);
    coupon = await site.world.newCoupon();
    holder = await site.world.newUser();
    code = await codeOf(holder);
  });
  afterEach(() => site.close());

  async function codeOf(user: number): Promise<string> {
    await site.world.issue(coupon, user);
    const { body } = await site.world.call(`GET /users/${user}/coupons`, { token: userToken(user) });
    return body.coupons[0].claim_code;
  }

  const usesOf = async () =>
    (
      await site.world.scratch.admin`
      select command::text, new_values->>'use_reference' as reference, actor, reason
      from audit_trail(user_id => ${holder}) order by id`
    ).map((row) => ({ ...row }));

  test("a person shows the code; the till scans it, gives, and takes back", async () => {
    const person = await site.visit("", holder, { viewport: PHONE });
    await person.getByText("Show the code for the till").click();
    await says(person.locator(".claim-code"), exactly(code));
    assert.deepEqual(await person.evaluate(drawn), modulesOf(code));
    await picture(person, "claim-phone-light");

    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    await scan(till, code.toLowerCase());
    await says(till.locator("#given .told"), exactly("Give:"));
    assert.deepEqual(await till.locator("#given p").allTextContents(), [
      "Give:",
      "message",
      `User ${holder}`,
      "C1 · number 1",
    ]);
    await says(till.getByRole("status"), `Give: message User ${holder}`);
    assert.deepEqual(await till.evaluate(tooFaint), {
      checked: (await till.evaluate<{ checked: number }>(tooFaint)).checked,
      faint: [],
    });
    await picture(till, "till-desktop-light");

    // Scanned again it is another use, which there is not.
    await scan(till, code);
    await says(till.locator("#given .told"), /^Already used .*, by till-\w+\.$/);
    await till.getByLabel("Why it is taken back").fill("wrong pump");
    await till.keyboard.press("Enter");
    await says(till.locator("#given .told"), exactly("Taken back. The code can be used again."));
    await till.locator("#claim-code:focus").waitFor();
    const [use, undo] = await usesOf();
    assert.deepEqual(
      [use?.["command"], use?.["actor"], undo?.["command"], undo?.["reason"]],
      ["use_coupon", "till:demo", "undo_use", "wrong pump"],
    );
    assert.deepEqual(site.complaints, []);
  });

  test("a bad line: the same code is the same use, also after the tab was loaded anew", async () => {
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    const hear = loseAnswers(site, "/claims/use");
    await scan(till, code);
    await says(till.locator("#given .told"), /it counts only once/);
    assert.equal(await till.locator("#claim-code").inputValue(), code);
    await till.reload();
    await till.locator("#claim-code:focus").waitFor();
    hear();
    await scan(till, code);
    await says(till.locator("#given .told"), exactly("Give:"));
    assert.equal((await usesOf()).length, 1);
  });

  test("a bad line: what is taken back again is the use that was shown, and none that came since", async () => {
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    await scan(till, code);
    await says(till.locator("#given .told"), exactly("Give:"));
    const hear = loseAnswers(site, "/claims/undo-use");
    await till.getByLabel("Why it is taken back").fill("wrong pump");
    await till.keyboard.press("Enter");
    await says(till.locator("#given .told"), /it counts only once/);
    const { body } = await site.world.call("POST /claims/use", {
      token: adminToken,
      body: { claim_code: code, reference: "n-2" },
    });
    assert.equal(body.outcome, "used");
    hear();
    await till.getByLabel("Why it is taken back").press("Enter");
    await says(till.locator("#given .told"), exactly("That use is already taken back."));
    assert.deepEqual(
      (await usesOf()).map(({ command }) => command),
      ["use_coupon", "undo_use", "use_coupon"],
    );
  });

  test("a code that is scanned where a reason is asked for is used, and takes nothing back", async () => {
    const next = await site.world.newUser();
    const nextCode = await codeOf(next);
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    await scan(till, code);
    await says(till.locator("#given .told"), exactly("Give:"));
    await till.getByLabel("Why it is taken back").focus();
    await scan(till, nextCode);
    await says(till.locator("#given .whom"), exactly(`User ${next}`));
    await says(till.locator("#given .told"), exactly("Give:"));
    assert.equal(await till.getByLabel("Why it is taken back").inputValue(), "");
    assert.deepEqual(
      (await usesOf()).map(({ command }) => command),
      ["use_coupon"],
    );
    assert.deepEqual(site.complaints, []);
  });

  test("a code that is scanned while the focus is on nothing, or on a link, is used", async () => {
    const next = await site.world.newUser();
    const nextCode = await codeOf(next);
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    await till.locator("#till-title").click();
    await till.evaluate("document.activeElement.blur()");
    await scan(till, code);
    await says(till.locator("#given .whom"), exactly(`User ${holder}`));
    await till.locator('nav a[href="#till"]').focus();
    await scan(till, nextCode);
    await says(till.locator("#given .whom"), exactly(`User ${next}`));
    assert.equal(await textOf(till.locator("#given .told")), "Give:");
    assert.deepEqual(site.complaints, []);
  });

  test("a scanner that ends a code with a tab: each is used, and the field is ready for the next one", async () => {
    const next = await site.world.newUser();
    const nextCode = await codeOf(next);
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    for (const [user, each] of [
      [holder, code],
      [next, nextCode],
    ] as const) {
      await till.keyboard.type(each);
      await till.keyboard.press("Tab");
      await says(till.locator("#given .whom"), exactly(`User ${user}`));
      await says(till.locator("#given .told"), exactly("Give:"));
      await till.locator("#claim-code:focus").waitFor();
    }
    // What is no code is left alone: whoever types may go on to the next field.
    await till.keyboard.type("ZW6H");
    await till.keyboard.press("Tab");
    assert.equal(await textOf(till.locator(":focus")), "Use");
    assert.equal(await till.locator("#claim-code").inputValue(), "ZW6H");
    assert.equal(site.came.filter((request) => request.endsWith("/claims/use")).length, 2);
    assert.deepEqual(site.complaints, []);
  });

  test("an outcome that the page does not know is told in the service's words", async () => {
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    site.faults = [
      problemFor(({ url = "" }) => url.endsWith("/claims/use"), 409, {
        outcome: "too_late_today",
        detail: "Come again tomorrow.",
      }),
    ];
    await scan(till, code);
    await says(till.locator("#given .told"), exactly("Come again tomorrow."));
    assert.deepEqual(site.complaints, []);
  });

  test("while a use is being taken back no other code is used: the answer would hide what to give", async () => {
    const next = await site.world.newUser();
    const nextCode = await codeOf(next);
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    await scan(till, code);
    await says(till.locator("#given .told"), exactly("Give:"));
    const held: (() => void)[] = [];
    site.faults = [
      (request, response) => {
        if (!request.url?.endsWith("/claims/undo-use")) return false;
        held.push(() => site.world.listener(request, response));
        return true;
      },
    ];
    await till.getByLabel("Why it is taken back").fill("wrong pump");
    await till.keyboard.press("Enter");
    await says(till.locator("#given .told"), exactly("Asking …"));
    await until(async () => held.length > 0, "the page asks to take it back");
    await till.locator("#claim-code").focus();
    await scan(till, nextCode);
    for (const answer of held) answer();
    await says(till.locator("#given .told"), exactly("Taken back. The code can be used again."));
    assert.equal(await till.locator("#claim-code").inputValue(), nextCode);
    await till.keyboard.press("Enter");
    await says(till.locator("#given .whom"), exactly(`User ${next}`));
    await says(till.locator("#given .told"), exactly("Give:"));
    assert.equal(site.came.filter((request) => request.endsWith("/claims/use")).length, 2);
    assert.deepEqual(site.complaints, []);
  });

  test("what is no code is not sent; a code of nobody and a use of others are told", async () => {
    const till = await site.visit("#till");
    await till.locator("#claim-code:focus").waitFor();
    await scan(till, "4006381333931");
    await says(till.locator("#given .told"), /^That is no code of ours/);
    await scan(till, "ZW6H-XJCH-FFZX");
    await says(till.locator("#given .told"), exactly("There is no such code."));
    assert.deepEqual(site.came.filter((request) => request.endsWith("/claims/use")).length, 1);
    await site.world.call("POST /claims/use", {
      token: tillToken,
      body: { claim_code: code, reference: "n-1" },
    });
    await scan(till, code);
    await says(till.locator("#given .told"), /, by n-1\.$/);
    await till.getByLabel("Why it is taken back").fill("x");
    await till.keyboard.press("Enter");
    await says(till.locator("#given .told"), /^Another till used it/);
    assert.deepEqual(site.complaints, []);
  });

  test("a till signs in by its token, and no user does", async () => {
    site.hasDemo = false;
    const till = await site.visit("#till");
    const token = till.getByLabel("A till's token");
    await token.fill(userToken(7));
    await till.keyboard.press("Enter");
    await says(till.locator("#till-token .told"), exactly("This is not a till's token."));
    await token.fill(signToken(env.JWT_SECRET as string, env, { role: "till", subject: "Säule 3" }));
    await till.keyboard.press("Enter");
    await says(till.locator("#till-out .name"), exactly("Säule 3"));
    await till.locator("#claim-code:focus").waitFor();
    await scan(till, code);
    await says(till.locator("#given .told"), exactly("Give:"));
    await till.getByRole("button", { name: "Sign out" }).click();
    await till.locator("#given").waitFor({ state: "hidden" });
    assert.equal(await till.locator("#take-back").isVisible(), false);
    assert.equal(await textOf(till.locator("#till-title")), "Till");
  });

  test("the camera, where the browser finds codes in what it sees", async () => {
    const till = await site.visit("about:blank");
    await till.addInitScript(`
      globalThis.BarcodeDetector = class { async detect() { return globalThis.seen ? [{ rawValue: globalThis.seen }] : []; } };
      const camera = () => {
        const canvas = document.createElement("canvas");
        canvas.getContext("2d").fillRect(0, 0, 10, 10);
        globalThis.stream = canvas.captureStream(10);
        return globalThis.stream;
      };
      Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: async () => camera() } });
    `);
    site.complaints.length = 0; // a page of nowhere has no storage
    await till.goto(`${site.baseUrl}#till`);
    await till.getByRole("button", { name: "Camera" }).click();
    await till.locator("#camera").waitFor();
    await till.evaluate(`globalThis.seen = "${code}"`);
    await says(till.locator("#given .told"), exactly("Give:"));
    await till.locator("#camera").waitFor({ state: "hidden" });
    assert.equal(await till.evaluate("stream.getTracks()[0].readyState"), "ended");
    assert.deepEqual(site.complaints, []);
  });
});
