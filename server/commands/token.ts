/** ./sd token: prints tokens, one a line. */
import { readEnv } from "../env.ts";
import { outliveReader } from "./print.ts";
import { tokens } from "./tokens.ts";

outliveReader();
try {
  process.stdout.write(`${(await tokens(readEnv(), process.argv.slice(2))).join("\n")}\n`);
} catch (error) {
  console.error(`sd: ${(error as Error).message}`);
  process.exitCode = 2;
}
