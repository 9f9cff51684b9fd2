/**
 * One POST to a webhook, after the Standard Webhooks specification 1.0 (https://www.standardwebhooks.com).
 *
 * Ours, because its package (standardwebhooks) sends nothing, and signs by a SHA-256 in JavaScript from another package, where Node.js has
 * one. Tests verify with it. fetch() takes no lookup: it would connect to another address than the one that was judged.
 */
import { createHmac } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import { version } from "../api/version.ts";
import { type Clock, systemClock } from "../clock.ts";
import { retryAfterOf } from "../retry-after.ts";
import { createLookup, isPublic, notPublic } from "./address.ts";
import { createResolve, type Resolve } from "./resolve.ts";

/** From the first byte to the last one of the answer: what the specification recommends at least. */
const ANSWER_MS = 15_000;
/**
 * To connect to one of a name's addresses, before the next one is tried. Node.js (20 to 24) takes 250 ms, and gives the first one up: who is
 * further away is never reached where the others cannot be, as from a network without IPv6 (nodejs/node#54359).
 */
export const CONNECT_MS = 2_000;
/** Of an answer's body, bytes: only ./sd webhooks test shows it. */
const MAX_BODY = 4_096;

/** What comes of writing to a connection that was closed meanwhile: the second one where this process stood still. */
const CLOSED = ["ECONNRESET", "EPIPE"];

export interface Target {
  url: string;
  /** The newest first; what is sent is signed with each. */
  secrets: readonly string[];
}

export interface Message {
  /** The same at each attempt: the receiver knows by it what it has. */
  id: string;
  /** JSON. */
  body: string;
}

export interface Posted {
  /** None: there was no answer. */
  status: number | null;
  /** Why it was not taken, in words; null: it was. */
  error: string | null;
  /** Seconds that the receiver asked to wait. */
  wait: number | null;
  body: string;
}

export interface PostOptions {
  /** Also to http:// and to addresses that are not public. */
  allowPrivate?: boolean;
  answerMs?: number;
  resolve?: Resolve;
  clock?: Pick<Clock, "wall" | "after">;
}

export type Post = ReturnType<typeof createPost>;

/**
 * Connections are kept for the next event. There are as many as posts at once: none queues for one, since webhooks at the same host would
 * wait for each other. Redirects are an answer like another one: not taken.
 */
export function createPost(options: PostOptions = {}) {
  const { allowPrivate = false, answerMs = ANSWER_MS, resolve, clock = systemClock } = options;
  const kept = { keepAlive: true, scheduling: "lifo" } as const;
  const agents = { "http:": new http.Agent(kept), "https:": new https.Agent(kept) };
  const lookup = createLookup(createResolve(resolve, clock), allowPrivate);
  const connecting = { lookup, autoSelectFamilyAttemptTimeout: CONNECT_MS };

  /** Why this URL is not sent to; undefined: it is. A name is judged by its addresses when it is connected to. */
  function refusal({ protocol, hostname }: URL): string | undefined {
    if (allowPrivate) return undefined;
    if (protocol !== "https:") return "it is not https, and WEBHOOKS_ALLOW_PRIVATE is off";
    const host = hostname.replace(/^\[|\]$/g, "");
    return isIP(host) !== 0 && !isPublic(host) ? notPublic(host, host) : undefined;
  }

  function once(
    url: URL,
    headers: Record<string, string | number>,
    body: string,
    signal: AbortSignal,
    { isNew } = { isNew: false },
  ) {
    return new Promise<Posted & { isStale?: boolean }>((done) => {
      const isTls = url.protocol === "https:";
      const request = (isTls ? https : http).request(url, {
        method: "POST",
        agent: isNew ? false : agents[isTls ? "https:" : "http:"],
        headers,
        signal,
        ...connecting,
      });
      const cancel = clock.after(answerMs, () =>
        request.destroy(new Error(`no answer in ${answerMs / 1_000} s`)),
      );
      let response: http.IncomingMessage | undefined;
      const parts: Buffer[] = [];
      let size = 0;
      const end = (error?: Error & { code?: string }) => {
        cancel();
        const status = response?.statusCode ?? null;
        done({
          status,
          error: status === null ? said(error) : status >= 200 && status < 300 ? null : `status ${status}`,
          wait: retryAfterOf(response?.headers["retry-after"], clock.wall()),
          body: Buffer.concat(parts).subarray(0, MAX_BODY).toString("utf8"),
          isStale: status === null && request.reusedSocket && CLOSED.includes(error?.code ?? ""),
        });
      };
      request.on("response", (answer) => {
        response = answer;
        answer.on("data", (part: Buffer) => {
          parts.push(part);
          size += part.length;
          // No more is read: the connection goes with the rest of it.
          if (size > MAX_BODY) request.destroy();
        });
        answer.on("close", () => end());
        answer.on("error", () => {}); // it has a status; close follows
      });
      // 101 Switching Protocols: it has a status, and of what follows nothing is read.
      request.on("upgrade", (answer, socket) => {
        response = answer;
        socket.destroy();
        end();
      });
      const unanswered = (error?: Error) => {
        if (response === undefined) end(error);
      };
      request.on("error", unanswered);
      // However it came to its end: without this, one that ends without a word would never be told.
      request.on("close", () => unanswered());
      request.end(body);
    });
  }

  return {
    /** Never rejects: what goes wrong is an answer too. */
    async post(
      { url, secrets }: Target,
      { id, body }: Message,
      signal = new AbortController().signal,
    ): Promise<Posted> {
      if (!URL.canParse(url)) return notSent("it is no URL");
      const target = new URL(url);
      const why = refusal(target) ?? (secrets.length === 0 ? UNSIGNED : undefined);
      if (why !== undefined) return notSent(why);
      const headers = headersOf(id, body, secrets, Math.floor(clock.wall() / 1_000));
      const { isStale, ...posted } = await once(target, headers, body, signal);
      // The receiver closed a kept connection at the moment in which it was used again: that is no attempt. It may have closed the others too.
      if (!isStale) return posted;
      const { isStale: _, ...again } = await once(target, headers, body, signal, { isNew: true });
      return again;
    },
    close(): void {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

const notSent = (error: string): Posted => ({ status: null, error, wait: null, body: "" });

/** A restored dump may have been made without the secrets. */
const UNSIGNED = "it has no secret, and nothing is sent unsigned: rotate_webhook_secret() makes one";

const headersOf = (id: string, body: string, secrets: readonly string[], timestamp: number) => ({
  "content-type": "application/json",
  "content-length": Buffer.byteLength(body),
  "user-agent": `coupon-drop/${version}`,
  "webhook-id": id,
  "webhook-timestamp": timestamp,
  "webhook-signature": secrets.map((secret) => sign(secret, `${id}.${timestamp}.${body}`)).join(" "),
});

/** A signature v1: HMAC-SHA256 with the bytes that follow whsec_ in base64. */
function sign(secret: string, text: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  return `v1,${createHmac("sha256", key).update(text).digest("base64")}`;
}

function said(error: (Error & { code?: string }) | undefined): string {
  if (error === undefined) return "the connection was closed without an answer";
  // Of several addresses each has failed, and the error of all has no words. Those of OpenSSL end with a line.
  return (error.message || error.code || error.name).trim().slice(0, 200);
}
