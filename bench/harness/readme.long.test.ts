/**
 * Runs the transcripts of the READMEs. With UPDATE_README=1 their output is replaced; their commands stay.
 */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { seed } from "../../server/commands/seed.ts";
import { type Service, startService } from "./service.ts";

const ROOT = new URL("../../", import.meta.url);
/** The transcripts of each file, in order. All of a file run on one fresh service, as a reader pastes them. */
const TRANSCRIPTS = {
  "README.md": ["psql", "console"],
  "sql/README.md": ["psql"],
  "server/README.md": ["console"],
} as const;

function has(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** The one block of this language. */
function block(file: URL, language: string): { text: string; commands: string[]; prompt: string } {
  const prompt = language === "psql" ? "coupon=> " : "$ ";
  const [, text = ""] =
    readFileSync(file, "utf8").match(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms")) ?? [];
  const commands = text
    .split("\n")
    .filter((line) => line.startsWith(prompt))
    .map((line) => line.slice(prompt.length));
  assert.ok(commands.length > 0, `no ${language} block in ${file.pathname}`);
  return { text, commands, prompt };
}

/** Replaces what differs from run to run. */
function normalised(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>")
    .replace(/\d{4}-\d\d-\d\d/g, "<day>")
    .replace(/(BREAKFAST|LUNCH|DINNER)-\d{8}/g, "$1-<day>")
    .replace(/"asked":\d+/g, '"asked":<requests>')
    .replace(/[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}/g, "<claim code>")
    .replace(/"time_to_sell_out":[\d.]+/g, '"time_to_sell_out":<seconds>')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>");
}

function compare(file: URL, expected: string, actual: string): void {
  if (process.env["UPDATE_README"])
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace(expected, () => actual),
    );
  else assert.equal(normalised(actual), normalised(expected), `a transcript of ${file.pathname} is wrong`);
}

/** Runs the commands in one session of `program`, with a marking line before each, and returns commands and output. */
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

const skip = has("psql") && has("curl") ? false : "needs psql and curl";
for (const [name, languages] of Object.entries(TRANSCRIPTS))
  test(`the transcripts of ${name}`, { skip }, async (t) => {
    const file = new URL(name, ROOT);
    const service = await startService(0);
    t.after(() => service.stop());
    await seed(service.database.admin);
    for (const language of languages)
      await t.test(language, async () => {
        const { text, ...session } = block(file, language);
        const actual = await (language === "psql" ? inPsql : inShell)(session, service);
        compare(file, text, actual);
      });
  });

type Session = Omit<ReturnType<typeof block>, "text">;

function inPsql(session: Session, service: Service): Promise<string> {
  const psql: [string, ...string[]] = [
    "psql",
    "-X",
    "-q",
    "-v",
    "ON_ERROR_STOP=1",
    "-d",
    service.database.adminUrl,
  ];
  return transcript(session, psql, (mark, command) => `\\echo ${mark}\n${command}`, { PGTZ: "UTC" });
}

function inShell(session: Session, service: Service): Promise<string> {
  const here = (command: string) => command.replaceAll("http://localhost:3000", service.url);
  return transcript(session, ["sh"], (mark, command) => `echo; echo ${mark}\n${here(command)}`, {
    JWT_SECRET: service.secret,
    ENV_FILE: "",
  });
}
