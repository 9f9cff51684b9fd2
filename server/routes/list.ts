/** How lists and other streams of rows are answered. */
import Negotiator from "negotiator";
import { exportCsv } from "../http/csv.ts";
import type { Exchanges } from "../http/exchange.ts";
import { exportLines, pagesOf, type Rows } from "../http/lines.ts";
import { Problem } from "../http/problem.ts";
import type { Ctx } from "../http/request.ts";

const LINES = "application/x-ndjson; charset=utf-8";
const CSV = "text/csv; charset=utf-8; header=present";
/** As a request may ask for it: the first is for whoever takes both alike. */
type Form = typeof LINES | typeof CSV;

/** In which form this request wants a list. */
export function formOf(c: Ctx): Form {
  const accept = c.req.header("accept") || "*/*";
  const form = new Negotiator({ headers: { accept } }).mediaType([LINES, CSV]) as Form | undefined;
  if (form === undefined) throw new Problem("not_acceptable");
  // It has no chunks: an answer whose connection ends early looks whole, and CSV has no last line. A reset would tell, but Node (20.20)
  // ends a connection that has something to write in good order, also at resetAndDestroy().
  if (form === CSV && c.env.incoming?.httpVersion === "1.0")
    throw new Problem("not_acceptable", {
      detail: "CSV takes HTTP/1.1. There are lines (application/x-ndjson).",
    });
  return form;
}

export async function answerList<Row extends object>(
  c: Ctx,
  form: Form,
  columns: readonly string[],
  rows: Rows<Row>,
  exchanges: Exchanges,
): Promise<Response> {
  const { exchange, incoming } = c.env;
  const toProblem = (error: unknown) => exchanges.problemOf(exchange, error);
  if (form === LINES) return lines(c, exportLines(rows, toProblem));
  const csv = await exportCsv(columns as (keyof Row & string)[], pagesOf(rows), (error) => {
    const problem = toProblem(error);
    if (incoming === undefined) throw problem;
    incoming.socket.destroy();
  });
  return new Response(csv, { headers: streamHeaders(exchange.requestId, CSV) });
}

export function lines(c: Ctx, rows: ReadableStream<Uint8Array>): Response {
  return new Response(rows, { headers: streamHeaders(c.env.exchange.requestId, "application/x-ndjson") });
}

export function streamHeaders(requestId: string, type: string): Record<string, string> {
  return {
    "content-type": type,
    "cache-control": "no-store",
    "x-accel-buffering": "no", // nginx would keep it back
    "x-request-id": requestId,
  };
}
