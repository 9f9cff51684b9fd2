import assert from "node:assert/strict";
import { test } from "node:test";
import { csvLine, exportCsv } from "./csv.ts";
import { pagesOf } from "./lines.ts";

test("cells: quoted where they must be, empty where there is nothing", () => {
  for (const [cell, written] of [
    [7, "7"],
    [null, ""],
    ["Ann", "Ann"],
    ["", ""],
    [" Ann ", " Ann "],
    ["a,b", '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ["two\nlines", '"two\nlines"'],
    ["two\r\nlines", '"two\r\nlines"'],
    ["a;b", '"a;b"'],
    ["a\tb", '"a\tb"'],
    ["é😀", "é😀"],
    ["\\.", "\\."],
  ] as const)
    assert.equal(csvLine([cell]), `${written}\r\n`);
  assert.equal(csvLine([1, "a", null]), "1,a,\r\n");
});

test("a text that a spreadsheet would take for a formula has an apostrophe in front, and so has one that begins with one", () => {
  for (const first of ["=", "+", "-", "@", "'", "＝", "＋", "－", "＠", " =", "\u00a0@", " \u3000＝"])
    assert.equal(csvLine([`${first}1+1`, -1]), `'${first}1+1,-1\r\n`);
  for (const first of ["\t", "\r", "\n"]) assert.equal(csvLine([`${first}1`]), `"'${first}1"\r\n`);
  assert.equal(csvLine(['=HYPERLINK("a","b")']), `"'=HYPERLINK(""a"",""b"")"\r\n`);
  assert.equal(csvLine(["a=1"]), "a=1\r\n");
});

test("so has what would be a formula where a spreadsheet ends a cell at a semicolon, a tab or a line end", () => {
  for (const between of [";", "\t", "\n", "\r", "\r\n"])
    for (const first of ["=", "@", "'", " +"])
      assert.equal(csvLine([`Ann${between}${first}1`]), `"Ann${between}'${first}1"\r\n`);
  assert.equal(csvLine(["\t=1;=2"]), `"'\t'=1;'=2"\r\n`);
  assert.equal(csvLine(["Ann; a-b, c=d"]), '"Ann; a-b, c=d"\r\n');
});

test("whoever takes an apostrophe away at the beginning, and behind each of these, has the text as it was", () => {
  const parts = ["", "a", "=", "'", " -", ";", "\t", "\r", "\n", "\r\n"];
  for (const a of parts)
    for (const b of parts)
      for (const c of parts)
        for (const d of parts) {
          const given = a + b + c + d;
          const written = csvLine([given])
            .slice(0, -2)
            .replace(/^"(.*)"$/s, "$1")
            .replaceAll('""', '"');
          assert.equal(written.replace(/(?<=^|[;\t\n]|\r(?!\n))'/g, ""), given, JSON.stringify(given));
        }
});

const never = () => assert.fail();
const row = (key: number) => ({ key, text: `t${key}` });
const listOf = (last: number, failsAfter = Number.POSITIVE_INFINITY) => {
  const asked: number[] = [];
  const page = async (after: number) => {
    asked.push(after);
    if (after >= failsAfter) throw new Error("gone");
    return [1, 2].map((i) => row(after + i)).filter(({ key }) => key <= last);
  };
  return { asked, rows: pagesOf({ page, keyOf: ({ key }: { key: number }) => key }) };
};

test("a header line and every row; nothing but the header if there is none", async () => {
  for (const [last, text] of [
    [0, "key,text\r\n"],
    [3, "key,text\r\n1,t1\r\n2,t2\r\n3,t3\r\n"],
  ] as const) {
    const stream = await exportCsv(["key", "text"], listOf(last).rows, never);
    assert.equal(await new Response(stream).text(), text);
  }
});

test("pages are read as the client reads, and no more once it left", async () => {
  const { asked, rows } = listOf(100);
  const reader = (await exportCsv(["key"], rows, never)).getReader();
  await reader.read();
  assert.deepEqual(asked, [0]);
  await reader.read();
  assert.deepEqual(asked, [0, 2]);
  await reader.cancel();
  assert.deepEqual(asked, [0, 2]);
});

test("a failure before the first row rejects; a later one breaks it off", async () => {
  await assert.rejects(exportCsv(["key"], listOf(9, 0).rows, never), /gone/);
  const stream = await exportCsv(["key"], listOf(9, 4).rows, (error) => {
    throw error;
  });
  const reader = stream.getReader();
  assert.equal(Buffer.from((await reader.read()).value as Uint8Array).toString(), "key\r\n1\r\n2\r\n");
  assert.equal(Buffer.from((await reader.read()).value as Uint8Array).toString(), "3\r\n4\r\n");
  await assert.rejects(reader.read(), /gone/);
});
