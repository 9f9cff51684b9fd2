import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
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
  assert.deepEqual(lines.slice(2), ["4 acknowledged grants: 2 are there, 1 is gone, 1 was issued again"]);
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
      "4 acknowledged grants: 3 are there, 1 is gone, 0 were issued again",
    ]);
  }
});

test("what a log does not know is said", async (t) => {
  const { app, coupon, users, env } = await issuedToFour(t);
  const full = { message: "not logged", why: "stdout was full", count: 12 };
  const sampled = { message: "not logged", status: 409, count: 990 };
  const file = await fileOf(...app.logged, full, sampled, full, '{"message":"requ');
  assert.deepEqual(await printed(t, () => lostGrants(env, [file]), 2), [
    "the logs lack 24 lines, for which stdout had no room: grants may be among them",
    "1 line is cut off or broken: grants may be among them",
    "4 acknowledged grants: 4 are there, 0 are gone, 0 were issued again",
  ]);
  // A log of warnings, and refusals alone: "none is lost" would be wrong.
  const refused = await app.call(`POST /coupons/${coupon}/issue`, {
    token: await userToken(users[4] as number),
  });
  assert.equal(refused.status, 409);
  const nothing = await fileOf(sampled, refused.body);
  assert.deepEqual(await printed(t, () => lostGrants(env, [nothing]), 2), [
    "these files acknowledge no grant: logs have them at LOG_LEVEL info and debug only",
  ]);
  await assert.rejects(lostGrants(env, []), /^Error: usage: /);
});

test("each of what a log does not know is enough for status 2", async (t) => {
  const { app, env } = await issuedToFour(t);
  const full = { message: "not logged", why: "stdout was full", count: 1 };
  const [good, missing, broken, silent] = await Promise.all([
    fileOf(...app.logged),
    fileOf(...app.logged, full),
    fileOf(...app.logged, '{"message":"requ'),
    fileOf(),
  ]);
  for (const files of [[missing], [broken], [good, silent], [good, dirname(good)]])
    assert.equal((await printed(t, () => lostGrants(env, files), 2)).length, 2);
  assert.deepEqual(await printed(t, () => lostGrants(env, [`${good}.1`, good]), 2), [
    `cannot read ${good}.1 (ENOENT): grants may be in it`,
    "4 acknowledged grants: 4 are there, 0 are gone, 0 were issued again",
  ]);
  assert.deepEqual(await printed(t, () => lostGrants(env, [`${good}.1`]), 2), [
    `cannot read ${good}.1 (ENOENT): grants may be in it`,
  ]);
});

test("those of a retired coupon are not gone", async (t) => {
  const { scratch, app, coupon, env } = await issuedToFour(t);
  await lose(scratch, 1);
  await scratch.owner
    .unsafe(`
      alter table coupon.retired_coupons disable trigger user;
      insert into coupon.retired_coupons (
        coupon_id, code, start_time, expiry, live_on, count, issued, asked, grants_left)
      select c.id, c.code, c.start_time, c.expiry, c.live_on, c.count, 4, 4, 0
      from coupon.coupons c where c.id = ${coupon};
      alter table coupon.retired_coupons enable trigger user`)
    .simple();
  const file = await fileOf(...app.logged);
  assert.deepEqual(await printed(t, () => lostGrants(env, [file])), [
    "4 acknowledged grants: 0 are there, 0 are gone, 0 were issued again, 4 are of retired coupons",
  ]);
});

test("more grants than are asked for at once", async (t) => {
  const { coupon, answers, env } = await issuedToFour(t);
  const [issued] = answers;
  const lost = Array.from({ length: 20_000 }, (_, i) => ({ ...issued, user_id: 1_000_000 + i }));
  const file = await fileOf(...lost, issued);
  const lines = await printed(t, () => lostGrants(env, [file]), 1);
  assert.equal(lines.length, 20_001);
  assert.ok(lines[12_345]?.startsWith(`coupon ${coupon}, user 1012345, position 1, `), lines[12_345]);
  assert.equal(lines.at(-1), "20001 acknowledged grants: 1 is there, 20000 are gone, 0 were issued again");
});

test("what is kept in another form is read, or said to be unread", async (t) => {
  const { scratch, app, answers, env } = await issuedToFour(t);
  const good = await fileOf(...app.logged);
  const all = "4 acknowledged grants: 4 are there, 0 are gone, 0 were issued again";
  const grants = answers.slice(0, 4);
  const lines = grants.map((answer) => JSON.stringify(answer));
  const [first = ""] = lines;

  // Docker's and journald's, and what ./sd start says before the log begins.
  const docker = await fileOf(...lines.map((line) => ({ log: `${line}\n`, stream: "stdout", time: "" })));
  const journal = await fileOf(...["Started.", ...lines].map((line) => ({ MESSAGE: line, PRIORITY: "6" })));
  const started = await fileOf(
    "set up in 0.1 s",
    "",
    '  curl -sX POST http://localhost/ -H "authorization: Bearer $(./sd token --user 42)"',
    ...lines,
  );
  const streamed = await fileOf(
    ": keep",
    "retry: 5",
    "event: coupon.issued",
    "id: 1",
    `data: ${first}`,
    ...lines,
  );
  for (const file of [docker, journal, started, streamed])
    assert.deepEqual(await printed(t, () => lostGrants(env, [file])), [all]);

  const nothing = ["", "warnings only"];
  const pretty = JSON.stringify(grants[0], ["coupon_id", "user_id", "position", "issued_at"], 1);
  const broken = [
    first.slice(20),
    first.slice(0, 20),
    first.replace(/"issued_at":"\d{4}-\d\d/, '"issued_at":"2026-13'),
    JSON.stringify({ log: first.slice(0, 60), stream: "stdout" }),
    JSON.stringify({ MESSAGE: null }),
    JSON.stringify(grants),
    `{server} ${first}`,
    JSON.stringify({ type: "coupon.issued", time: "then", data: { coupon_id: 1 } }),
    pretty,
  ];
  assert.equal(pretty.split("\n").length, 6);
  const files = await Promise.all([...nothing, ...broken].map((text) => fileOf(text)));
  const wide = await fileOf();
  await writeFile(wide, Buffer.from(`${first}\n`, "utf16le"));
  // UTF-16 is two lines: the end of the line is half a character, too.
  assert.deepEqual(await printed(t, () => lostGrants(env, [good, ...files, wide]), 2), [
    `${broken.length - 1 + 6 + 2} lines are cut off or broken: grants may be among them`,
    ...[...files, wide].map(
      (file) => `${file} acknowledges no grant: logs have them at LOG_LEVEL info and debug only`,
    ),
    all,
  ]);
  const zipped = await fileOf();
  await writeFile(zipped, gzipSync(lines.join("\n")));
  await assert.rejects(
    lostGrants(env, [good, zipped]),
    new Error(`${zipped} is compressed: zcat FILE | ./sd lost-grants -`),
  );
  // What is gone is the graver thing.
  await lose(scratch, 4);
  const empty = await fileOf();
  assert.equal((await printed(t, () => lostGrants(env, [good, empty]), 1)).length, 3);
});
