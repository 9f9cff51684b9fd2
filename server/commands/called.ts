/** Where ./sd was called: it goes on in the checkout, and a file that a command names is the caller's. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

/** The directory; undefined where something else than ./sd runs the command, and where it is no more. */
export function calledFrom(): string | undefined {
  const directory = process.env["SD_CALLED_FROM"];
  return directory !== undefined && existsSync(directory) ? directory : undefined;
}

/** The path of a file that was named to a command. */
export const callersFile = (path: string): string => resolve(calledFrom() ?? "", path);
