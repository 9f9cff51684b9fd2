/** Chromium, where it is installed. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const executablePath = ["chromium", "chromium-browser", "google-chrome"]
  .map((name) => `/usr/bin/${name}`)
  .find((path) => existsSync(path));

/** The options of a test that needs it. */
export const options = { skip: executablePath ? false : "needs chromium" };

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: executablePath as string,
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [], // as root it has none
  });
}
