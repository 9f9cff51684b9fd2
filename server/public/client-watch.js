/** Streams, for the client: their states, over lost connections, and while a stream has no place. */
import { CouponError, parse, toError } from "./client-error.js";
import { AGAIN, backOff, headers, LONGEST_RETRY_AFTER, missing, sleep } from "./client-request.js";

/** @typedef {import("./client-request.js").Connection} Connection */
/** @typedef {import("./client-request.js").Request} Request */

/** Of an event, characters: far more than the service sends. */
const LONGEST_EVENT = 16 * 1024 * 1024;
/** The service shows every 15 s that a stream lives. */
const SILENCE_MS = 40_000;
/** Between two questions for the state while there is no stream, ms; and a quarter more or less, so that not all ask together. */
const POLL_MS = 2_000;
/** A stream that ends sooner after its first state has failed: whoever is in its way would end the next one too. */
const LIVED_MS = 5_000;

/**
 * Yields the states of a stream. While there is none, because its places are taken or its connection is lost, it asks for the state every
 * two seconds, and for the stream again when it may.
 * @param {Connection} connection
 * @param {(before: any) => Request | undefined} stream How to ask for it, given the state before; undefined as long as `ask` must come first.
 * @param {(before: any) => Promise<readonly unknown[]>} ask For what comes next, given the state before: none where the service can't tell it now.
 * @param {AbortSignal | undefined} signal
 * @returns {AsyncGenerator<unknown, void>}
 */
export async function* watch(connection, stream, ask, signal) {
  /** @type {unknown} */
  let told;
  for (let failures = 0; ; failures += 1) {
    let wait = 0;
    let since = Number.POSITIVE_INFINITY;
    try {
      const request = stream(told);
      const next = request ? events(connection, request, signal) : await ask(told);
      for await (const event of /** @type {AsyncIterable<any>} */ (next)) {
        since = Math.min(since, performance.now());
        connection.clock.heard(event["server_time"]);
        told = event;
        yield event;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof CouponError) {
        if (!AGAIN.has(error.status)) throw error;
        wait = Math.min((error.retryAfter ?? 0) * 1000, LONGEST_RETRY_AFTER);
      }
    }
    if (performance.now() - since > LIVED_MS) failures = 0;
    for (let rest = Math.max(wait * (1 + Math.random() / 4), backOff(failures + 2)); rest > 0; ) {
      for (const state of rest > POLL_MS ? await ask(told) : []) {
        told = state;
        yield state;
      }
      const pause = Math.min(rest, POLL_MS * (0.75 + Math.random() / 2));
      await sleep(pause, signal);
      rest -= pause;
    }
  }
}

/**
 * The states of one stream, which ends at an event that is none.
 * @param {Connection} connection
 * @param {Request} stream
 * @param {AbortSignal | undefined} signal
 * @returns {AsyncGenerator<Record<string, unknown>, void>}
 */
async function* events(connection, { url, init, has }, signal) {
  const given = await headers(connection, init, signal);
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await connection.fetch(url, {
      ...init,
      headers: given,
      signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
    });
    if (!response.ok || !response.body) throw toError(response, parse(await response.text()));
    // A login page of a proxy, for example: asked again it would be the same.
    if (!/^text\/event-stream *(;|$)/i.test(response.headers.get("content-type") ?? "")) {
      await response.body.cancel();
      throw toError(response, { detail: "The answer is no stream of events." });
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        if (rest.length > LONGEST_EVENT) throw toError(response, { detail: "An event has no end." });
        for (const block of blocks) {
          const [, data] = block.match(/^data: ?([^\n]*)/m) ?? [];
          if (data === undefined) continue;
          const state = parse(data);
          if (state === undefined || missing(state, has)) return;
          yield state;
        }
      }
    } finally {
      // Also when the loop is left.
      await reader.cancel().catch(() => {});
    }
  } finally {
    clearTimeout(timer);
  }
}
