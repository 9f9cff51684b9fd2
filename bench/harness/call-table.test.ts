/** Compares the call table of server/README.md with database, contract and outcomes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { contract, type Operation } from "../../server/api/contract.ts";
import { outcomes } from "../../server/api/outcomes.ts";
import { readBlock } from "./readme-blocks.ts";
import { scratchDatabase } from "./scratch.ts";

const ROOT = new URL("../../", import.meta.url);

test("the call table", async (t) => {
  const database = await scratchDatabase();
  t.after(() => database.drop());
  const rows = readBlock(new URL("server/README.md", ROOT), "calls")
    .trim()
    .split("\n")
    .slice(2)
    .map((row) => row.split("|").map((cell) => cell.trim()));

  await t.test("names every function of the database, with its arguments", async () => {
    const functions = await database.owner`
      select p.proname as name, coalesce(array_to_string((p.proargnames)[1:p.pronargs], ', '), '') as arguments
      from pg_proc p
      where p.pronamespace = 'public'::regnamespace
      order by 1
    `;
    const documented = new Set(rows.map(([, call]) => call?.match(/`(\w+)\(/)?.[1]));
    assert.deepEqual([...documented].sort(), functions.map((f) => f["name"]).sort());
    for (const { name, arguments: names } of functions) {
      if (name === "find_coupon") continue; // two rows, one argument each
      assert.ok(
        rows.some(([, call]) => call === `\`${name}(${names})\``),
        `${name}(${names})`,
      );
    }
  });

  await t.test("names every route that calls one, with its roles", () => {
    const documented = rows.flatMap(([, , , routes = "", who = ""]) =>
      [...routes.matchAll(/(?:GET|POST) [^\s?,]+/g)].map(([route]) => [route, who]),
    );
    const expected = Object.values(contract)
      .filter(({ route }) => !["GET /livez", "GET /me", "POST /demo/token"].includes(route))
      .map(({ route, roles, scope }: Operation) => [
        route,
        // A till is whoever is limited to the scope use.
        [...(roles ?? []), ...(scope === "issue" || scope === "read" ? [scope] : [])]
          .map((who) => who[0])
          .join(" "),
      ]);
    assert.deepEqual(documented.sort(), expected.sort());
  });

  await t.test("gives every command's outcomes in order", () => {
    for (const [command, answers] of Object.entries(outcomes)) {
      const row = rows.find(([, call]) => call?.startsWith(`\`${command}(`));
      assert.equal(row?.[2], Object.keys(answers).join(" · "), command);
    }
  });
});
