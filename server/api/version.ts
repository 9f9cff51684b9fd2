/** One version for package, API and database: the one in package.json. What may change with which number: CHANGELOG.md. */
import { readFileSync } from "node:fs";

const file = new URL("../../package.json", import.meta.url);

export const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
