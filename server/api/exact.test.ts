import assert from "node:assert/strict";
import { test } from "node:test";
import { contract, type Operation } from "./contract.ts";
import { keptNumber, parseExact, repeatsMember, stringifyExact } from "./exact.ts";

test("numbers that a double holds are numbers, all others keep their digits", () => {
  for (const number of [
    "0",
    "-0.5",
    "25",
    "0.1",
    "9007199254740992",
    "1.50",
    "1e300",
    "-1E-7",
    "100000000000000000000",
  ]) {
    const value = parseExact(number);
    assert.equal(typeof value, "number", number);
    assert.equal(Number(stringifyExact(value)), Number(number));
  }
  for (const number of [
    "750727362669608961",
    "-9007199254740993",
    "0.1000000000000000055",
    "1e400",
    "-1e-400",
    "12345678901234567890.5",
  ]) {
    assert.equal(keptNumber(parseExact(number)), number);
    const text = `{"a":[${number},1,"${number}"],"${number}":{"b":${number}}}`;
    assert.equal(stringifyExact(parseExact(text)), text);
  }
});

test("a number of a million digits holds nobody up", () => {
  // To look for zeros at its end, and begin anew at each zero amid them, would take a quarter of an hour.
  const number = `1${"0".repeat(1_000_000)}1`;
  assert.equal(keptNumber(parseExact(number)), number);
  assert.equal(keptNumber(parseExact(`0.${number}`)), `0.${number}`);
});

test("a string is never taken for a number", () => {
  for (const text of [
    '"\\u0000750727362669608961"',
    '"\\u000012"',
    '"\\u00001.2.3"',
    '"a\\"\\\\u0000750727362669608961"',
    '"750727362669608961"',
  ]) {
    assert.equal(keptNumber(parseExact(text)), undefined, text);
    const beside = `[750727362669608961,${text}]`;
    const [number, string] = parseExact(beside) as unknown[];
    assert.equal(keptNumber(number), "750727362669608961");
    assert.equal(keptNumber(string), undefined, text);
  }
  assert.throws(() => parseExact('{"a":1.5e}'), SyntaxError);
  assert.throws(() => parseExact("01e2"), SyntaxError);
});

test("an object that has a member twice, however it is written", () => {
  const isSo = (text: string) => repeatsMember(text, parseExact(text));
  for (const text of [
    '{"a":1,"a":1}',
    '[{"b":{"a":1, "\\u0061" : 2}}]',
    '{"__proto__":1,"__proto__":2}',
    '{"7":1,"":2,"":3}',
    '{"a":12345678901234567890,"a":"\\"a\\":1"}',
  ])
    assert.equal(isSo(text), true, text);
  for (const text of [
    "7",
    '"a:b"',
    '[{"a":1},{"a":2}]',
    '{"a":{"a":{"A":1}},"b":[":",{"a":1}]}',
    '{"a:":"\\":\\\\","b":"\\\\","c":12345678901234567890}',
    '{"\\u00001":1,"\\u0000\\u00001":2,"__proto__":3}',
    `${'{"a":['.repeat(100_000)}${"]}".repeat(100_000)}`,
  ])
    assert.equal(isSo(text), false, text.slice(0, 100));
});

test("a number that a double cannot hold is no string of any body", () => {
  const ofMember = (body: Operation["body"], member: string, value: unknown) =>
    body
      ?.safeParse({ [member]: value })
      .error?.issues.filter(({ path }) => path.join() === member)
      .map(({ message }) => message);
  let strings = 0;
  for (const { route, lines, body = lines } of Object.values<Operation>(contract))
    for (const member of Object.keys(body?.shape ?? {})) {
      if (ofMember(body, member, 1)?.join() !== "must be a string") continue;
      strings += 1;
      for (const number of ["12345678901234567", "1e400"])
        assert.deepEqual(
          ofMember(body, member, parseExact(number)),
          ["must be a string"],
          `${route} ${member}`,
        );
    }
  assert.equal(strings, 49);
});
