/** What a browser is given: the page, the documentation and their parts, a fixed list of files read once. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { openApi } from "../api/openapi.ts";
import { etagOf, isNamed } from "../http/etag.ts";
import type { Exchanges } from "../http/exchange.ts";
import { header } from "../http/request.ts";
import type { App } from "./operation.ts";

const publicFile = (name: string) => new URL(`../public/${name}`, import.meta.url);
const swagger = (name: string) =>
  pathToFileURL(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`));

/** Where each is; whatever isn't here can't be had. */
export const pages: Readonly<Record<`/${string}`, URL | (() => object)>> = {
  "/": publicFile("index.html"),
  "/style.css": publicFile("style.css"),
  "/page.js": publicFile("page.js"),
  "/shop.js": publicFile("shop.js"),
  "/tickets.js": publicFile("tickets.js"),
  "/wallet.js": publicFile("wallet.js"),
  "/till.js": publicFile("till.js"),
  "/till-words.js": publicFile("till-words.js"),
  "/claim-code.js": publicFile("claim-code.js"),
  "/lean-qr.js": pathToFileURL(createRequire(import.meta.url).resolve("lean-qr/nano")),
  "/operate.js": publicFile("operate.js"),
  "/panels.js": publicFile("panels.js"),
  "/find.js": publicFile("find.js"),
  "/drop.js": publicFile("drop.js"),
  "/record.js": publicFile("record.js"),
  "/plan.js": publicFile("plan.js"),
  "/plan-words.js": publicFile("plan-words.js"),
  "/days.js": publicFile("days.js"),
  "/audit.js": publicFile("audit.js"),
  "/users.js": publicFile("users.js"),
  "/groups.js": publicFile("groups.js"),
  "/group-words.js": publicFile("group-words.js"),
  "/list.js": publicFile("list.js"),
  "/create.js": publicFile("create.js"),
  "/correct.js": publicFile("correct.js"),
  "/metadata.js": publicFile("metadata.js"),
  "/words.js": publicFile("words.js"),
  "/elements.js": publicFile("elements.js"),
  "/client.js": publicFile("client.js"),
  "/client-error.js": publicFile("client-error.js"),
  "/client-request.js": publicFile("client-request.js"),
  "/client-watch.js": publicFile("client-watch.js"),
  "/server-clock.js": publicFile("server-clock.js"),
  "/docs": publicFile("docs.html"),
  "/docs/docs.js": publicFile("docs.js"),
  "/docs/swagger-ui.css": swagger("swagger-ui.css"),
  "/docs/swagger-ui-bundle.js": swagger("swagger-ui-bundle.js"),
  "/openapi.json": openApi,
};

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  json: "application/json",
};

/** Nothing but our own files, and no script or style inside a page; pictures as data: are Swagger UI's. */
const POLICY = [
  "default-src 'none'",
  ...["script-src", "style-src", "connect-src"].map((what) => `${what} 'self'`),
  "img-src 'self' data:",
  ...["base-uri", "form-action", "frame-ancestors"].map((what) => `${what} 'none'`),
].join("; ");

export interface Page {
  headers: Record<string, string>;
  /** Bytes, which all who are sent them share: as text each slow reader would hold a copy of 1.4 MB. */
  bytes: Uint8Array<ArrayBuffer>;
}

type ReadBytes = (file: URL) => Promise<Uint8Array<ArrayBuffer>>;

/** The page at this path; it is kept, and asked for again it is 304 as long as it is the same. */
export function createPages(readBytes: ReadBytes = readFile): (path: string) => Promise<Page> {
  const kept = new Map<string, Promise<Page>>();
  return (path) => {
    const known = kept.get(path);
    if (known) return known;
    const sent = read(path, readBytes);
    kept.set(path, sent);
    // Too many open files, say: the next one reads it again.
    sent.catch(() => kept.delete(path));
    return sent;
  };
}

async function read(path: string, readBytes: ReadBytes): Promise<Page> {
  const source = pages[path as "/"] as URL | (() => object);
  const bytes = source instanceof URL ? await readBytes(source) : Buffer.from(JSON.stringify(source()));
  const ending = source instanceof URL ? source.pathname.split(".").at(-1) : "json";
  return {
    headers: {
      "content-type": TYPES[ending as string] as string,
      etag: etagOf(bytes),
      "cache-control": "no-cache",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    },
    bytes,
  };
}

/** Adds a route for each. */
export function addPages(app: App, exchanges: Pick<Exchanges, "matched">): void {
  const page = createPages();
  for (const path of Object.keys(pages))
    app.get(path, async (c) => {
      exchanges.matched(c.env.exchange, path);
      const sent = await page(path);
      const headers = { ...sent.headers, "x-request-id": c.env.exchange.requestId };
      if (isNamed(sent.headers["etag"] as string, header(c, "if-none-match")))
        return new Response(null, { status: 304, headers });
      return new Response(sent.bytes, { headers });
    });
}
