/**
 * The README's transcripts and call table, held against a real run. With UPDATE_README=1 the transcripts are written anew:
 * the commands stay, what they printed is replaced.
 */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { contract } from "../../server/api/contract.ts";
import { outcomes } from "../../server/api/outcomes.ts";
import { seed } from "../../server/commands/seed.ts";
import { scratchDatabase } from "./scratch.ts";
import { startService } from "./service.ts";

const README = new URL("../../README.md", import.meta.url);
const ROOT = new URL("../..", import.meta.url);

function has(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** The one block of this language. */
function block(language: string): { text: string; commands: string[]; prompt: string } {
  const prompt = language === "psql" ? "coupon=> " : "$ ";
  const [, text = ""] =
    readFileSync(README, "utf8").match(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms")) ?? [];
  const commands = text
    .split("\n")
    .filter((line) => line.startsWith(prompt))
    .map((line) => line.slice(prompt.length));
  assert.ok(commands.length > 0, `no ${language} block in the README`);
  return { text, commands, prompt };
}

/** What differs from run to run, by a word for its kind. */
function normalised(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>")
    .replace(/\d{4}-\d\d-\d\d/g, "<day>")
    .replace(/"time_to_sell_out":[\d.]+/g, '"time_to_sell_out":<seconds>')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>");
}

function compare(language: string, expected: string, actual: string): void {
  if (process.env["UPDATE_README"]) {
    writeFileSync(
      README,
      readFileSync(README, "utf8").replace(expected, () => actual),
    );
    return;
  }
  assert.equal(
    normalised(actual),
    normalised(expected),
    `the README's ${language} transcript is no longer true`,
  );
}

/** Runs the commands in one session of `program`, with a line before each, and puts them and what they printed together. */
async function transcript(
  { commands, prompt }: { commands: string[]; prompt: string },
  [program, ...args]: [string, ...string[]],
  marked: (mark: string, command: string) => string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const mark = "----------transcript----------";
  const session = promisify(execFile)(program, args, {
    cwd: ROOT,
    env: { PATH: process.env["PATH"], ...env },
  });
  session.child.stdin?.end(commands.map((command) => marked(mark, command)).join("\n"));
  const { stdout } = await session;
  const printed = stdout.split(`${mark}\n`).slice(1);
  assert.equal(printed.length, commands.length);
  return commands
    .map(
      (command, i) =>
        `${prompt}${command}\n${(printed[i] as string).replace(/\n*$/, "\n").replace(/^\n$/, "")}`,
    )
    .join("");
}

// Both on what ./sd start makes, one after the other, as a reader pastes them.
test("the transcripts", { skip: has("psql") && has("curl") ? false : "needs psql and curl" }, async (t) => {
  const service = await startService(0);
  t.after(() => service.stop());
  const { admin, adminUrl } = service.database;
  await seed(admin);

  await t.test("psql", async () => {
    const { text, ...session } = block("psql");
    const args: [string, ...string[]] = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", adminUrl];
    const actual = await transcript(session, args, (mark, command) => `\\echo ${mark}\n${command}`, {
      PGTZ: "UTC",
    });
    compare("psql", text, actual);
  });

  await t.test("curl", async () => {
    const { text, ...session } = block("console");
    const here = (command: string) => command.replaceAll("http://localhost:3000", service.url);
    const actual = await transcript(
      session,
      ["sh"],
      (mark, command) => `echo; echo ${mark}\n${here(command)}`,
      {
        JWT_SECRET: service.secret,
        ENV_FILE: "",
      },
    );
    compare("console", text, actual);
  });
});

test("the call table", async (t) => {
  const database = await scratchDatabase();
  t.after(() => database.drop());
  const table = readFileSync(README, "utf8").match(/<!-- calls -->\n(.*?)<!-- \/calls -->/s)?.[1] ?? "";
  const rows = table
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
      .filter(({ route }) => !["GET /livez", "POST /demo/token"].includes(route))
      .map(({ route, roles }) => [route, (roles ?? []).map((role) => role[0]).join(" ")]);
    assert.deepEqual(documented.sort(), expected.sort());
  });

  await t.test("gives every command's outcomes in order", () => {
    for (const [command, answers] of Object.entries(outcomes)) {
      const row = rows.find(([, call]) => call?.startsWith(`\`${command}(`));
      assert.equal(row?.[2], Object.keys(answers).join(" · "), command);
    }
  });
});
