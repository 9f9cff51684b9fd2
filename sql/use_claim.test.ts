import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";

const { owner, admin, watch, user, coupon, issue, use, expire, grantedBefore } = await testDatabase();

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The same codes, made another way: by arithmetic in place of shifts. */
function codeOf(secret: { id: number; key: Buffer }, coupon_id: number, position: number): string {
  const half = 2n ** 27n;
  let [left, right] = [BigInt(coupon_id), BigInt(position)];
  for (let round = 1n; round <= 6n; round++) {
    const message = Buffer.alloc(8);
    message.writeBigUInt64BE(round * half + right);
    const digest = createHash("sha256").update(secret.key).update(message).digest();
    [left, right] = [right, left ^ (BigInt(digest.readUInt32BE(0)) / 32n)];
  }
  const number = BigInt(secret.id % 2) * half * half + right * half + left;
  const digits = number.toString(32).padStart(11, "0").split("");
  const values = [...digits.map((digit) => Number.parseInt(digit, 32)), Number(number % 33n)];
  const text = values.map((digit) => `${ALPHABET}U`[digit]).join("");
  return text.replace(/^(....)(....)(....)$/, "$1-$2-$3");
}

async function newestSecret(): Promise<{ id: number; key: Buffer }> {
  const [row] = await owner`select id, key from coupon.claim_secrets order by id desc limit 1`;
  return row as unknown as { id: number; key: Buffer };
}

const codeFor = async (holder: number, lunch: number) =>
  (await value(admin`select claim_code from wallet(${holder}) where coupon_id = ${lunch}`)) as string;

/** A user, the coupon it holds, and the code of that. */
async function held() {
  const [holder, lunch] = [await user(), await coupon()];
  assert.equal(await issue(holder, lunch), "issued");
  return { holder, lunch, claim_code: await codeFor(holder, lunch) };
}

const claim = (claim_code: string, reference: string, actor: string | null = null) =>
  rows(admin`
    select outcome, use_reference, coupon_id::integer, code, message, position, user_id::integer, display_name
    from use_claim(${claim_code}, ${reference}, ${actor}::text)`);
const outcomeOf = async (claim_code: string, reference = "r") =>
  ((await claim(claim_code, reference))[0] as unknown[])[0];
const NOT_FOUND = [["claim_not_found", null, null, null, null, null, null, null]];

test("a code is what another implementation makes of the same secret", async () => {
  const secret = await newestSecret();
  for (const [coupon_id, position] of [
    [1, 1],
    [1, 2],
    [7, 25],
    [134_217_727, 100_000_000],
  ] as const)
    for (const id of [secret.id, secret.id + 1])
      assert.equal(
        await value(owner`
          select coupon.claim_code(${id}, ${secret.key}, ${coupon_id}, ${position})`),
        codeOf({ id, key: secret.key }, coupon_id, position),
      );
  const known = { id: 1, key: Buffer.alloc(32, 7) };
  assert.deepEqual(
    [codeOf(known, 1, 1), codeOf(known, 1, 2), codeOf({ ...known, id: 2 }, 2, 1)],
    ["ZW6H-XJCH-FFZX", "SJGW-N03G-CBPT", "2BYG-A54B-CG0U"],
  );
});

test("a wallet tells the code, the same one each time, and it is the grant's", async () => {
  const { holder, lunch, claim_code } = await held();
  assert.match(
    claim_code,
    /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{3}[0-9A-HJKMNP-Z]$/,
  );
  assert.equal(claim_code, codeOf(await newestSecret(), lunch, 1));
  assert.equal(await codeFor(holder, lunch), claim_code);
});

test("used: says what was given to whom, and it is a use like any other", async () => {
  const { holder, lunch, claim_code } = await held();
  const [name, code] = [
    `User ${holder}`,
    await value(owner`select code from coupon.coupons where id = ${lunch}`),
  ];
  assert.deepEqual(await claim(claim_code, "till-1-0001", "till:1"), [
    ["used", "till-1-0001", lunch, code, "message", 1, holder, name],
  ]);
  assert.equal(await use(holder, lunch, "till-1-0001"), "used");
  assert.equal(await use(holder, lunch, "another"), "already_used");
  assert.deepEqual(
    await rows(admin`
      select command, user_id::integer, new_values, actor from audit_trail(coupon_id => ${lunch}, user_id => ${holder})`),
    [["use_coupon", holder, { use_reference: "till-1-0001" }, "till:1"]],
  );
});

test("used: the same reference again is answered as before, and writes nothing", async () => {
  const { claim_code } = await held();
  const told = () => rows(admin`select * from use_claim(${claim_code}, 'r')`);
  const first = await told();
  const again = await admin.begin(async (sql) => {
    const replay = await rows(sql`select * from use_claim(${claim_code}, 'r')`);
    assert.equal(await value(sql`select pg_current_xact_id_if_assigned() is null`), true);
    return replay;
  });
  assert.deepEqual(again, first);
});

test("used: as a person reads it out", async () => {
  for (const spell of [
    (code: string) => code.toLowerCase(),
    (code: string) => code.replaceAll("-", ""),
    (code: string) => ` ${[...code].join(" ")}\t\r\n`,
    (code: string) => code.replaceAll("-", "\u2013"),
    (code: string) => code.replaceAll("1", "I").replaceAll("0", "O"),
    (code: string) => code.replaceAll("1", "l").replaceAll("0", "o"),
  ]) {
    const { claim_code } = await held();
    assert.equal(await outcomeOf(spell(claim_code)), "used", spell(claim_code));
  }
});

test("claim_not_found: what is no code, and what is no grant's", async () => {
  const secret = await newestSecret();
  const { lunch, claim_code } = await held();
  const bare = claim_code.replaceAll("-", "");
  for (const wrong of [
    "no code",
    "https://shop.example/?code=7K3M",
    "4006381333931",
    "-",
    " ",
    "U".repeat(12),
    "0".repeat(12),
    "Z".repeat(12),
    bare.slice(1),
    `${bare}0`,
    `0${bare}`,
    "é".repeat(200),
    codeOf(secret, lunch, 2),
    codeOf(secret, 999_999, 1),
    codeOf(secret, lunch, 0),
    codeOf({ ...secret, id: secret.id + 1 }, lunch, 1),
    codeOf({ ...secret, key: Buffer.alloc(32, 1) }, lunch, 1),
  ])
    assert.deepEqual(await claim(wrong, "r"), NOT_FOUND, wrong);
});

test("claim_not_found: any one character misread, any two that changed places", async () => {
  const { claim_code } = await held();
  const bare = claim_code.replaceAll("-", "");
  const wrong = [...bare].flatMap((right, place) =>
    [...ALPHABET, "U"]
      .filter((character) => character !== right)
      .map((c) => bare.slice(0, place) + c + bare.slice(place + 1)),
  );
  for (let place = 0; place < 11; place++) {
    const [a, b] = [bare[place] as string, bare[place + 1] as string];
    if (a !== b) wrong.push(bare.slice(0, place) + b + a + bare.slice(place + 2));
  }
  assert.ok(wrong.length >= 12 * 32);
  const found = await value(owner`
    select count(*)::integer from unnest(${wrong}::text[]) w where (coupon.find_claim(w)).coupon_id is not null`);
  assert.equal(found, 0);
  assert.equal(await outcomeOf(claim_code), "used");
});

// A wrong check character is told by arithmetic that anybody can do. It costs the same, so that nobody has to think about it.
test("claim_not_found: at the same cost, whatever is wrong: one permutation and one look for a grant", async (t) => {
  const { lunch, claim_code } = await held();
  const secret = await newestSecret();
  const [start, check] = [claim_code.slice(0, -1), claim_code.slice(-1)];
  const other = codeOf({ ...secret, id: secret.id + 1 }, lunch, 1);
  const isAllowed = await value(watch`select has_parameter_privilege('track_functions', 'set')`);
  if (!isAllowed) return t.skip("needs a login that may set track_functions");
  const costs = await watch.begin(async (sql) => {
    await sql`set local track_functions = 'all'`;
    await sql`set local role coupon_owner`;
    // Not all functions: whether position_key() is called or inlined is the planner's choice. The session's earlier transactions may be
    // counted too, until PostgreSQL hands their counts on.
    const soFar = async () =>
      (
        await sql`
          select
            (select calls from pg_stat_xact_user_functions where funcid = 'coupon.mix_claim'::regproc)::integer as mixed,
            (seq_scan + coalesce(idx_scan, 0))::integer as looked
          from pg_stat_xact_user_tables where relid = 'coupon.user_coupons'::regclass`
      )[0];
    const costOf = async (wrong: string) => {
      const before = await soFar();
      assert.deepEqual(await value(sql`select outcome from use_claim(${wrong}, 'r')`), "claim_not_found");
      const after = await soFar();
      return {
        mixed: after?.["mixed"] - (before?.["mixed"] ?? 0),
        looked: after?.["looked"] - before?.["looked"],
      };
    };
    return {
      "of no grant": await costOf(codeOf(secret, lunch, 2)),
      "of no coupon": await costOf(codeOf(secret, 999_999, 1)),
      "of no secret": await costOf(other),
      "with a wrong check character": await costOf(start + (check === "0" ? "1" : "0")),
      "too short": await costOf(start),
      "something else": await costOf("https://shop.example/"),
    };
  });
  for (const [wrong, cost] of Object.entries(costs)) assert.deepEqual(cost, { mixed: 1, looked: 1 }, wrong);
});

test("already_used: with the use that stands, and whose it is", async () => {
  const { holder, lunch, claim_code } = await held();
  await use(holder, lunch, "order 1");
  const [answer] = await claim(claim_code, "order 2");
  assert.deepEqual([answer?.[0], answer?.[1], answer?.[6]], ["already_used", "order 1", holder]);
});

test("already_used: to another till with the same reference, for it gave nothing out", async () => {
  const { holder, lunch, claim_code } = await held();
  const answers: unknown[] = [];
  for (const actor of ["till:1", "till:2", "till:1", null])
    answers.push((await claim(claim_code, "0001", actor))[0]?.slice(0, 2));
  assert.deepEqual(answers, [
    ["used", "0001"],
    ["already_used", "0001"],
    ["used", "0001"],
    ["used", "0001"], // in psql, on nobody's behalf
  ]);
  assert.equal(
    await value(admin`select outcome from undo_use(${holder}, ${lunch}, 'sent back')`),
    "restored",
  );
  assert.equal(await use(holder, lunch, "0001"), "used");
  assert.equal((await claim(claim_code, "0001", "till:1"))[0]?.[0], "already_used");
});

test("eight tills at once with the same reference: one gives it out", async () => {
  const { claim_code } = await held();
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) => claim(claim_code, "0001", `till:${n}`)),
  );
  assert.deepEqual(answers.map(([answer]) => answer?.[0]).toSorted(), [
    ...Array.from({ length: 7 }, () => "already_used"),
    "used",
  ]);
});

test("expired: stays unused; already_used and a replay come before it", async () => {
  const [first, second] = [await held(), await held()];
  assert.equal(await outcomeOf(second.claim_code, "a"), "used");
  await expire(first.lunch);
  await expire(second.lunch);
  const [answer] = await claim(first.claim_code, "r");
  assert.deepEqual([answer?.[0], answer?.[1], answer?.[6]], ["expired", null, first.holder]);
  assert.equal(await outcomeOf(second.claim_code, "b"), "already_used");
  assert.equal(await outcomeOf(second.claim_code, "a"), "used");
});

test("claim_not_found: of who is forgotten nothing is told", async () => {
  const { holder, claim_code } = await held();
  await claim(claim_code, "order 1", "till:1");
  await admin`select from forget_user(${holder}, 'asked to')`;
  assert.deepEqual(await claim(claim_code, "order 1", "till:1"), NOT_FOUND);
  assert.deepEqual(await rows(admin`select * from undo_claim(${claim_code}, 'mistake', 'till:1', true)`), [
    ["claim_not_found", null, null, null, null, null, null, null, null],
  ]);
});

test("two tills at once: one use", async () => {
  const { claim_code } = await held();
  const outcomes = await Promise.all(
    ["a", "b", "c", "d"].map((reference) => outcomeOf(claim_code, reference)),
  );
  assert.deepEqual(outcomes.toSorted(), ["already_used", "already_used", "already_used", "used"]);
});

test("used: after a wait for the grant, by the name that the user has then", async () => {
  const { holder, lunch, claim_code } = await held();
  await admin`select import_users(${[holder]}::bigint[], array['Ann before'])`;
  for (const [call, outcome] of [
    ["use_claim", "used"],
    ["undo_claim", "restored"],
  ]) {
    const told = await owner.begin(async (sql) => {
      await sql`select from coupon.user_coupons where coupon_id = ${lunch} and user_id = ${holder} for update`;
      const answer = rows(
        admin`select outcome, display_name from ${admin.unsafe(call as string)}(${claim_code}, 'why')`,
      );
      await waiting(watch);
      await admin`select import_users(${[holder]}::bigint[], ${[`Ann, ${outcome}`]}::text[])`;
      return { answer };
    });
    assert.deepEqual(await told.answer, [[outcome, `Ann, ${outcome}`]]);
  }
});

test("each grant of a page has its own code", async () => {
  const holder = await user();
  for (const days of [1, 2, 3])
    await grantedBefore(days, holder, await coupon({ from: `-${40 + days} days` }));
  const secret = await newestSecret();
  for (const [code, id, position] of await rows(admin`
    select claim_code, coupon_id::integer, position from wallet(${holder})`))
    assert.equal(code, codeOf(secret, id as number, position as number));
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from use_claim(null, 'r')`, "claim_code", "22004");
  await refusesArgument(admin`select from use_claim('', 'r')`, "claim_code", "22023");
  await refusesArgument(admin`select from use_claim(repeat('c', 201), 'r')`, "claim_code", "22023");
  await refusesArgument(admin`select from use_claim('c', null)`, "reference", "22004");
  await refusesArgument(admin`select from use_claim('c', '')`, "reference", "22023");
  await refusesArgument(admin`select from use_claim('c', repeat('r', 201))`, "reference", "22023");
  await refusesArgument(admin`select from use_claim('c', 'r', '')`, "actor", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
