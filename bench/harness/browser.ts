/**
 * Chromium, where it is installed: its headless shell first, which shows pages as Chromium does and has nothing around them. A page
 * costs a third of the CPU there, since Chromium opens a window for each, with views of its own.
 */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const executablePath = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
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
