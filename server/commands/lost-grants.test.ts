import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { openApp, serviceToken, userToken } from "../../bench/harness/app.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { createThings } from "../../bench/harness/coupons.ts";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { readEnv } from "../env.ts";
import { lostGrants } from "./lost-grants.ts";

after(cleanUp);

/** A service that has issued a coupon to four users, and has told the first one again. Its database can lose grants. */
async function issuedToFour(t: { after(end: () => Promise<void>): void }) {
  const scratch = await scratchDatabase();
  t.after(scratch.drop);
  const app = await openApp(scratch.apiUrl, { env: { LOG_LEVEL: "info" } });
  t.after(() => app.close());
  const { newCoupon, newUsers } = createThings(scratch.admin);
  const coupon = await newCoupon({ count: 4 });
  const users = await newUsers(5);
  const answers = [];
  for (const user of [...users, users[0] as number]) answers.push((await app.issue(coupon, user)).body);
  return { scratch, app, coupon, users, answers, env: readEnv({ DATABASE_URL: scratch.setupUrl }, "") };
}

/** What a restore to an earlier time does to grants from this position on. */
function lose({ owner }: { owner: { unsafe(text: string): PromiseLike<unknown> } }, position: number) {
  return owner.unsafe(`
    do $$ begin
      alter table coupon.user_coupons disable trigger user;
      alter table coupon.coupons disable trigger user;
      delete from coupon.user_coupons where position >= ${position};
      update coupon.coupons set issued = ${position - 1}, sold_out_at = null;
      alter table coupon.user_coupons enable trigger user;
      alter table coupon.coupons enable trigger user;
    end $$`);
}

async function fileOf(...lines: unknown[]): Promise<string> {
  const path = join(await temporaryDirectory(), "file");
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
  await writeFile(path, `${text.join("\n")}\n`);
  return path;
}

test("what the log acknowledged, before and after grants are lost", async (t) => {
  const { scratch, app, coupon, users, answers, env } = await issuedToFour(t);
  const [log, named] = [
    await fileOf("listening soon", ...app.logged),
    await fileOf(...app.logged.map((line) => `server-1  | ${JSON.stringify(line)}`)),
  ];
  const found = (status: number) => printed(t, () => lostGrants(env, [log, named]), status);
  assert.deepEqual(await found(0), ["4 acknowledged grants: 4 are there, 0 are gone, 0 were issued again"]);
  await lose(scratch, 3);
  const [third, fourth] = [answers[2], answers[3]];
  const gone = ({ user_id, position, issued_at }: typeof third) =>
    `coupon ${coupon}, user ${user_id}, position ${position}, ${issued_at}`;
  assert.deepEqual(await found(1), [
    `${gone(third)}: gone`,
    `${gone(fourth)}: gone`,
    "4 acknowledged grants: 2 are there, 2 are gone, 0 were issued again",
  ]);
  const [again] = await scratch.admin`
    select position, issued_at::text from issue_coupon(${users[3] as number}, ${coupon})`;
  assert.equal(again?.["position"], 3);
  const lines = await found(1);
  assert.equal(lines[0], `${gone(third)}: gone`);
  assert.match(
    `${lines[1]}`.replace(gone(fourth), "IT"),
    /^IT: issued again at position 3, \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
  );
  assert.deepEqual(lines.slice(2), ["4 acknowledged grants: 2 are there, 1 are gone, 1 were issued again"]);
});

test("answers, pages of events and streams of them say the same", async (t) => {
  const { scratch, app, coupon, answers, env } = await issuedToFour(t);
  const page = (await app.call("GET /events", { token: serviceToken })).body;
  await lose(scratch, 4);
  const stream = page.events.flatMap((event: { id: string }) => [
    `id: ${event.id}`,
    `data: ${JSON.stringify(event)}`,
    "",
  ]);
  for (const lines of [answers, [page], page.events, stream]) {
    const file = await fileOf(...lines);
    const { user_id, issued_at } = answers[3];
    assert.deepEqual(await printed(t, () => lostGrants(env, [file]), 1), [
      `coupon ${coupon}, user ${user_id}, position 4, ${issued_at}: gone`,
      "4 acknowledged grants: 3 are there, 1 are gone, 0 were issued again",
    ]);
  }
});

test("what a log does not know is said", async (t) => {
  const { app, coupon, users, env } = await issuedToFour(t);
  const full = { message: "not logged", why: "stdout was full", count: 12 };
  const sampled = { message: "not logged", status: 409, count: 990 };
  const file = await fileOf(...app.logged, full, sampled, full, '{"message":"requ');
  assert.deepEqual(await printed(t, () => lostGrants(env, [file])), [
    "the logs lack 24 lines, for which stdout had no room: grants may be among them",
    "1 lines are cut off or broken: grants may be among them",
    "4 acknowledged grants: 4 are there, 0 are gone, 0 were issued again",
  ]);
  // A log of warnings, and refusals alone: "none is lost" would be wrong.
  const refused = await app.call(`POST /coupons/${coupon}/issue`, {
    token: await userToken(users[4] as number),
  });
  assert.equal(refused.status, 409);
  const nothing = await fileOf(sampled, refused.body);
  await assert.rejects(lostGrants(env, [nothing]), /^Error: these files acknowledge no grant/);
  await assert.rejects(lostGrants(env, []), /^Error: usage: /);
});
