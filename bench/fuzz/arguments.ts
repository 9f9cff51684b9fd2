/** Arguments of functions, by their types and names, as text. */
import fc from "fast-check";
import type { Fn } from "./functions.ts";
import { LIKELY } from "./likely.ts";
import {
  claimCode,
  code,
  codePattern,
  couponId,
  cursor,
  day,
  eligibleFrom,
  expiry,
  hostileJson,
  hostileText,
  type Json,
  localTime,
  retirable,
  slot,
  startTime,
  userId,
  weekday,
} from "./values.ts";

/** An argument as text; it may be one that the type can't read, or that no text can be. */
export interface Arg {
  text: string | null;
  isReadable: boolean;
  /** Bytes of this encoding, in hexadecimal, instead of the text. */
  encoding?: string;
}

const readable = (text: fc.Arbitrary<string>): fc.Arbitrary<Arg> =>
  text.map((each) => ({ text: each, isReadable: true }));
const unreadable = (text: fc.Arbitrary<string>): fc.Arbitrary<Arg> =>
  text.map((each) => ({ text: each, isReadable: false }));
const constants = (...texts: string[]) => fc.constantFrom(...texts);

const bigints = fc.oneof(
  {
    weight: 4,
    arbitrary: constants(
      "0",
      "-1",
      "1",
      "9223372036854775807",
      "-9223372036854775808",
      "9007199254740991",
      "9007199254740992",
      "4372871584241631",
      "134217728",
      "68719476736",
      "4373192857241632655",
    ),
  },
  { weight: 1, arbitrary: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String) },
);
const integers = fc.oneof(
  {
    weight: 4,
    arbitrary: constants(
      "0",
      "-1",
      "1",
      "1000",
      "1001",
      "10000",
      "10001",
      "100000000",
      "100000001",
      "2147483647",
      "-2147483648",
    ),
  },
  { weight: 1, arbitrary: fc.integer().map(String) },
);
const badNumbers = constants("9223372036854775808", "1e400", "0x", "", " ", "NaN", "1.5", "١", "null");

/** A text that PostgreSQL's UTF-8 can hold. */
const storable = hostileText.map((text) => text.replaceAll("\0", "").toWellFormed());
const texts = fc.oneof(
  { weight: 40, arbitrary: storable },
  { weight: 1, arbitrary: constants("a".repeat(1_000_000), "😀".repeat(250_000)) },
);
/** With NUL, which no text can have, and bytes that are not in the encoding that they are said to be. */
const badTexts: fc.Arbitrary<Arg> = fc.oneof(
  unreadable(constants("\0", "a\0b")),
  fc.record({
    text: constants("\\xff", "\\xc080", "\\xeda080", "\\xf8888080", "\\x00", "\\xe282", "\\x61ff62"),
    isReadable: fc.constant(false),
    encoding: constants("UTF8", "EUC_JP", "SJIS", "no such encoding"),
  }),
);

const instants = constants(
  "infinity",
  "-infinity",
  "epoch",
  "4713-01-01 00:00:00+00 BC",
  "4714-11-24 00:00:00+00 BC",
  "0001-01-01 00:00:00+00",
  "0001-12-31 00:00:00+00 BC",
  "1969-12-31 23:59:59.999999+00",
  "1970-01-01 00:00:00+00",
  "9999-12-30 23:59:59.999999+00",
  "9999-12-31 00:00:00+00",
  "294276-12-31 23:59:59.999999+00",
  "2026-11-22 10:00:00+15:59",
  "now",
  "tomorrow",
  "yesterday",
  "2026-11-22 24:00:00+00",
  "2024-02-29 12:00:00 Europe/Berlin",
);
const badInstants = constants(
  "294277-01-01",
  "4715-01-01 BC",
  "2026-02-30",
  "noon-ish",
  "",
  "25:00",
  "2026-11-22 10:00:00+99",
  "2026-11-22 Atlantis/Plato",
);
const days = constants(
  "infinity",
  "-infinity",
  "epoch",
  "4714-11-24 BC",
  "4713-01-01 BC",
  "4714-11-25 BC",
  "0001-01-01",
  "1970-01-01",
  "2026-11-22",
  "9999-12-31",
  "5874897-12-31",
  "5874897-01-01",
  "today",
  "yesterday",
  "tomorrow",
);
const badDays = constants("5874898-01-01", "4714-11-23 BC", "2026-02-30", "", "0000-01-01");
const intervals = constants(
  "0",
  "1 microsecond",
  "999 microseconds",
  "1 millisecond",
  "1 second",
  "1 minute",
  "1 day",
  "-1 second",
  "366 days",
  "366 days 1 second",
  "1 month",
  "1 month -30 days",
  "1 year -365 days",
  "-1 month 40 days",
  "178000000 years",
  "-178000000 years",
  "2147483647 days",
  "-2147483648 months",
  "infinity",
  "-infinity",
  "365 days 24:00:00",
  "1000000 hours",
  "2562047788 hours",
);
const badIntervals = constants("178956971 years", "", "soon", "1 fortnight x", "9223372036854775807 hours");
/** In PostgreSQL no number of JSON is infinite, and text has no NUL: what JSON.stringify() makes of those it can't read. */
const jsons: fc.Arbitrary<Arg> = fc.oneof(
  hostileJson.map((value: Json) => {
    const text = JSON.stringify(value);
    return { text, isReadable: !/\\u0000|\\ud[89a-f]/i.test(text) };
  }),
  readable(
    constants(
      "{}",
      '{"a": 1e1000}',
      '{"a": 1e-1000}',
      '{"a":{"b":{"c":{"d":{"e":{}}}}}}',
      '{"a":{"b":{"c":{"d":[]}}}}',
      '{"a":{"b":{"c":{"d":[[]]}}}}',
      `{"a": "${"x".repeat(4_085)}"}`,
      `{"a": "${"x".repeat(4_090)}"}`,
      `{"a": "${"x".repeat(1_000_000)}"}`,
      '{"__proto__": 1}',
      '{"a": 1, "a": 2}',
      "null",
      "[]",
      "1",
      '"a"',
      `${"[".repeat(1_000)}${"]".repeat(1_000)}`,
    ),
  ),
  unreadable(constants("", "{", "{a:1}", "NaN", '{"a":"\\u0000"}', "1e999999999", `${"[".repeat(100_000)}`)),
);

/** As many elements as a function takes, and one more. */
const MANY = [10_000, 10_001, 100_000, 100_001].map(
  (n) => `{${Array.from({ length: n }, (_, i) => i + 1_000_000).join()}}`,
);
const element = (text: string | null) => (text === null ? "null" : `"${text.replace(/["\\]/g, "\\$&")}"`);
function arraysOf(
  likely: fc.Arbitrary<string>,
  elements: fc.Arbitrary<string>,
  hasNumbers = true,
): fc.Arbitrary<Arg> {
  const isOfType = (text: string) => hasNumbers || !/[{,]\d/.test(text);
  const list = (each: fc.Arbitrary<string | null>, maxLength: number) =>
    fc.array(each, { maxLength }).map((texts) => `{${texts.map(element).join()}}`);
  return fc.oneof(
    { weight: 30, arbitrary: readable(list(likely, 6)) },
    { weight: 6, arbitrary: readable(list(fc.option(elements, { freq: 20 }), 4)) },
    {
      weight: 4,
      arbitrary: readable(
        constants(
          "{}",
          "{null}",
          "{{1,2},{3,4}}",
          "{{}}",
          "[2:3]={1,2}",
          "[-5:-4]={3,4}",
          "[0:1][0:0]={{1},{2}}",
          "{1,1}",
          "{1,2,1}",
        ).filter(isOfType),
      ),
    },
    ...(hasNumbers ? [{ weight: 1, arbitrary: readable(constants(...MANY)) }] : []),
    { weight: 2, arbitrary: unreadable(constants("", "{", "{1,}", "{{1},{2,3}}", "[1:2]={1}", "{\0}")) },
  );
}

const usersText = userId.map(String);

const byType: Readonly<Record<string, fc.Arbitrary<Arg>>> = {
  bigint: fc.oneof(
    { weight: 6, arbitrary: readable(bigints) },
    { weight: 1, arbitrary: unreadable(badNumbers) },
  ),
  integer: fc.oneof(
    { weight: 6, arbitrary: readable(integers) },
    { weight: 1, arbitrary: unreadable(badNumbers) },
  ),
  boolean: fc.oneof(
    { weight: 6, arbitrary: readable(constants("true", "false", "t", "off", " 1 ")) },
    { weight: 1, arbitrary: unreadable(constants("", "2", "o", "null")) },
  ),
  text: fc.oneof({ weight: 6, arbitrary: readable(texts) }, { weight: 1, arbitrary: badTexts }),
  "timestamp with time zone": fc.oneof(
    { weight: 6, arbitrary: readable(instants) },
    { weight: 1, arbitrary: unreadable(badInstants) },
  ),
  date: fc.oneof({ weight: 6, arbitrary: readable(days) }, { weight: 1, arbitrary: unreadable(badDays) }),
  "time without time zone": fc.oneof(
    {
      weight: 6,
      arbitrary: readable(
        constants(
          "00:00",
          "23:59:59.999999",
          "24:00",
          "23:59:60",
          "12:00:00.0000005",
          "04:05 PM",
          "allballs",
        ),
      ),
    },
    { weight: 1, arbitrary: unreadable(constants("24:00:01", "25:00", "", "noon-ish", "infinity")) },
  ),
  interval: fc.oneof(
    { weight: 6, arbitrary: readable(intervals) },
    { weight: 1, arbitrary: unreadable(badIntervals) },
  ),
  uuid: fc.oneof(
    { weight: 6, arbitrary: readable(fc.uuid()) },
    { weight: 1, arbitrary: unreadable(constants("", "1", "00000000-0000-0000-0000-00000000000g")) },
  ),
  jsonb: jsons,
  "public.coupon_state": fc.oneof(
    { weight: 6, arbitrary: readable(constants("upcoming", "ended", "paused", "sold_out", "live")) },
    { weight: 1, arbitrary: unreadable(constants("", "Live", "gone")) },
  ),
  "public.event_type[]": fc.oneof(
    {
      weight: 6,
      arbitrary: readable(constants("{}", "{issued}", "{used,created,used}", "{null}", "{{paused}}")),
    },
    { weight: 1, arbitrary: unreadable(constants("", "{Issued}", "{gone}", "{")) },
  ),
  "bigint[]": arraysOf(usersText, bigints),
  "integer[]": arraysOf(constants("0", "1", "5"), integers),
  "timestamp with time zone[]": arraysOf(startTime, instants, false),
  "text[]": arraysOf(constants("Ann", "Ben", "Zoë 😀"), storable),
};

const from = (text: fc.Arbitrary<string>) => readable(text);
/** Values that lead somewhere, by the argument's name, or by its name and type. */
const likely: Readonly<Record<string, fc.Arbitrary<Arg>>> = {
  ...Object.fromEntries(Object.entries(LIKELY).map(([name, texts]) => [name, from(constants(...texts))])),
  coupon_id: from(couponId.map(String)),
  user_id: from(usersText),
  code: from(code),
  start_time: from(startTime),
  expiry: from(expiry),
  count: from(fc.integer({ min: 1, max: 8 }).map(String)),
  expires_at: from(startTime),
  event_id: from(cursor),
  eligible_from: from(eligibleFrom),
  weekday: from(weekday.map(String)),
  slot: from(slot.map(String)),
  code_pattern: from(codePattern),
  claim_code: from(claimCode),
  local_start: from(localTime),
  last_day: from(day),
  from_day: from(day),
  to_day: from(day),
  "after text": from(cursor),
  "before date": from(retirable),
  coupon_ids: from(
    fc
      .oneof(fc.array(couponId, { minLength: 1, maxLength: 1 }), fc.array(couponId, { maxLength: 3 }))
      .map((ids) => `{${ids.join()}}`),
  ),
  number: from(fc.integer({ min: 1, max: 9 }).map(String)),
};

const nothing: Arg = { text: null, isReadable: true };

export function argument({ name, type }: Fn["args"][number]): fc.Arbitrary<Arg> {
  const any = byType[type];
  if (any === undefined)
    throw new Error(`the fuzzer has no values of type ${type}, which the argument ${name} has`);
  const hint = likely[name] ?? likely[`${name} ${type}`];
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(nothing) },
    { weight: hint ? 12 : 1, arbitrary: hint ?? any },
    { weight: hint ? 6 : 16, arbitrary: any },
  );
}
