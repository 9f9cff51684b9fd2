/** The page in Chromium, on the real service over HTTP, for tests. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { createDemo } from "../../server/auth/demo.ts";
import { Incoming } from "../../server/http/incoming.ts";
import { type AppOptions, env, openWorld, type World } from "./app.ts";

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };
const KEY = "k".repeat(32);

/** Answers instead of the service, or says nothing and lets it. */
type Fault = (request: Incoming, response: ServerResponse<Incoming> & { req: Incoming }) => boolean;

export interface Site {
  world: World;
  baseUrl: string;
  /** Whether the service hands out tokens. */
  hasDemo: boolean;
  faults: Fault[];
  /** Every request that came. */
  came: string[];
  /** What went wrong on any page. */
  complaints: string[];
  /** A person with a browser of its own; user_id: who it is in demo mode. */
  visit: (path: string, user_id?: number, options?: BrowserContextOptions) => Promise<Page>;
  /** Ends every connection. */
  hangUp: () => void;
  close: () => Promise<void>;
}

/** From here on requests to paths that end so are done, and nobody hears of it. Returns what ends that. */
export function loseAnswers({ faults }: Site, end: string): () => void {
  const fault: Fault = (request, response) => {
    if (request.url?.endsWith(end))
      Object.assign(response, { end: () => request.socket.destroy(), write: () => true });
    return false;
  };
  faults.push(fault);
  return () => void faults.splice(faults.indexOf(fault), 1);
}

/** Answers these requests with a problem, instead of the service. */
export function problemFor(
  isMeant: (request: Incoming) => boolean,
  status: number,
  problem: { outcome: string; detail: string },
  headers: Record<string, string> = {},
): Fault {
  return (request, response) => {
    if (!isMeant(request)) return false;
    response
      .writeHead(status, { "content-type": "application/problem+json", ...headers })
      .end(JSON.stringify({ title: "t", status, request_id: "r", ...problem }));
    return true;
  };
}

export async function openSite(browser: Browser, options: AppOptions = {}): Promise<Site> {
  const demo = createDemo({ ...env, DEMO_KEY: KEY });
  const world = await openWorld({
    ...options,
    demoToken: (authorization) => (site.hasDemo ? demo(authorization) : undefined),
  });
  const server = createServer({ IncomingMessage: Incoming }, (request, response) => {
    site.came.push(`${request.method} ${request.url}`);
    if (!site.faults.some((fault) => fault(request, response))) world.listener(request, response);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const site: Site = {
    world,
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    hasDemo: true,
    faults: [],
    came: [],
    complaints: [],
    visit: (...given) => visit(browser, site, ...given),
    hangUp: () => server.closeAllConnections(),
    async close() {
      for (const context of browser.contexts()) await context.close();
      site.hangUp();
      await new Promise((resolve) => server.close(resolve));
      await world.close();
    },
  };
  return site;
}

async function visit(
  browser: Browser,
  { baseUrl, complaints }: Site,
  path: string,
  user_id?: number,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: DESKTOP, timezoneId: "Asia/Seoul", ...options });
  context.setDefaultTimeout(120_000);
  await context.addInitScript(`
    addEventListener("securitypolicyviolation", (event) => console.error("policy: " + event.violatedDirective));
    if (!sessionStorage.getItem("demo key")) sessionStorage.setItem("demo key", "${KEY}");
    ${user_id === undefined ? "" : `sessionStorage.setItem("user_id", "${user_id}");`}
  `);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A refusal has a status, which Chromium tells of itself.
    const isRefusal = /^Failed to load resource: the server responded with a status of (400|401|404|409|503)/;
    if (message.type() === "error" && !isRefusal.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(baseUrl) && !request.url().startsWith("data:"))
      complaints.push(`asked ${request.url()}`);
  });
  await page.goto(path === "about:blank" ? path : baseUrl + path);
  return page;
}

/** With SCREENSHOTS=<directory>, takes a picture of what a page shows. */
export async function picture(page: Page, name: string): Promise<void> {
  const dir = process.env["SCREENSHOTS"];
  if (dir) await page.screenshot({ path: `${dir}/${name}.png`, fullPage: true });
}

export const textOf = async (locator: Locator) => (await locator.textContent()) ?? "";
/** Waits until it says this. */
export const says = (locator: Locator, text: string | RegExp) => locator.filter({ hasText: text }).waitFor();
export const exactly = (text: string) => new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);

/** To evaluate in a page: each text against what is behind it (WCAG 2.2, 1.4.3), by the styles as they come out. */
export const tooFaint = `(() => {
  const parse = (color) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
      if (color[3] !== 0) throw new Error("half transparent: " + e.className);
    }
    throw new Error("nothing behind it");
  };
  const seen = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
    if ((!own && !("value" in element)) || !element.checkVisibility() || element.closest(".unseen, meter")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
    seen.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 80)]);
  }
  return { checked: seen.length, faint: seen.filter(([ratio]) => ratio < 4.5) };
})()`;
