/**
 * /metrics with several workers. Each worker reports to the primary process each second, when it is asked, and at its end; the primary
 * keeps the last report of each, and the counts of those that ended, so that no counter falls when a worker is replaced or stands
 * still. Of a worker that is killed, its last second may be missing.
 */
import cluster, { type Worker } from "node:cluster";
import { randomUUID } from "node:crypto";
import type { Registry } from "prom-client";
import { lasting, type Report, silentWorkers, type Told, textOf, together } from "./aggregate.ts";

const REPORT_MS = 1_000;
/** For the report of a worker that is asked, ms. Of one that does not answer, its last report counts. */
const ANSWER_MS = 2_000;
/** For the metrics of all workers, ms; Prometheus waits for 10 s. */
const ALL_MS = 6_000;

/** Messages between the processes. Where there is an id, an answer repeats that of its question. */
type Message =
  | { type: "coupon:report"; report: Report; id?: string }
  | { type: "coupon:report wanted"; id: string }
  | { type: "coupon:metrics wanted"; id: string }
  | { type: "coupon:metrics"; id: string; text?: string; error?: string };

// ---- the primary process --------------------------------------------------------------------------------------------

/** Collects the reports of the workers, and tells each worker that asks what all count together. */
export function collectReports(): void {
  const reports = new Map<Worker, Report>();
  let ended: Report = [];
  const questions = new Map<string, { worker: Worker; done: () => void }>();

  cluster.on("message", async (worker, message: Message) => {
    if (message.type === "coupon:report") {
      reports.set(worker, renewed(reports.get(worker) ?? [], message.report));
      if (message.id !== undefined) questions.get(message.id)?.done();
    } else if (message.type === "coupon:metrics wanted") {
      const { id } = message;
      const answer = await read().then(
        (text) => ({ text }),
        (error: Error) => ({ error: error.message }),
      );
      if (worker.isConnected()) worker.send({ type: "coupon:metrics", id, ...answer });
    }
  });
  // After its last message, however it ended.
  cluster.on("disconnect", (worker) => {
    ended = together([ended, lasting(reports.get(worker) ?? [])]);
    reports.delete(worker);
    for (const question of questions.values()) if (question.worker === worker) question.done();
  });

  async function read(): Promise<string> {
    const answers = await Promise.all([...reports.keys()].map(ask));
    const silent = answers.filter((answered) => !answered).length;
    return textOf(together([ended, ...reports.values(), silentWorkers(silent)]));
  }

  /** Returns whether it has reported anew, or is gone; false when it is silent. */
  function ask(worker: Worker): Promise<boolean> {
    const id = randomUUID();
    return new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ANSWER_MS);
      const done = () => {
        clearTimeout(timer);
        resolve(true);
      };
      questions.set(id, { worker, done });
      if (worker.isConnected()) worker.send({ type: "coupon:report wanted", id });
      else done();
    }).finally(() => questions.delete(id));
  }
}

/** What a report leaves out stays as it was told last. */
function renewed(before: Report, report: Report): Report {
  const told = new Set(report.map(({ name }) => name));
  return [...report, ...before.filter(({ name }) => !told.has(name))];
}

// ---- a worker -------------------------------------------------------------------------------------------------------

/** Of those who wait for the metrics of all workers, by the ids of their questions. */
const waiting = new Map<string, (answer: { text?: string; error?: string }) => void>();

/** prom-client (15.1.3) measures these from one reading to the next, which shall be from one scrape to the next, as in one process alone. */
const SINCE_A_SCRAPE = /^nodejs_eventloop_lag_/;

/** Reports now, each second, and when asked; takes the primary's answers from now on. Returns what sends the last report. */
export async function reportTo(registry: Registry): Promise<() => Promise<void>> {
  async function report(id?: string): Promise<void> {
    const metrics = registry.getMetricsAsArray() as unknown as {
      name: string;
      get(): Told | Promise<Told>;
    }[];
    const told = await Promise.all(
      metrics
        .filter(({ name }) => id !== undefined || !SINCE_A_SCRAPE.test(name))
        .map((metric) => metric.get()),
    );
    await new Promise<void>((sent) => send({ type: "coupon:report", report: told, ...(id && { id }) }, sent));
  }
  process.on("message", (message: Message) => {
    if (message.type === "coupon:report wanted") void report(message.id);
    else if (message.type === "coupon:metrics") waiting.get(message.id)?.(message);
  });
  setInterval(report, REPORT_MS).unref();
  await report();
  return report;
}

/** What all workers count together, as the primary says. Rejects when the primary is silent. */
export function metricsOfAll(): Promise<string> {
  const id = randomUUID();
  return new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer from the primary process")), ALL_MS);
    waiting.set(id, ({ text, error }) => {
      clearTimeout(timer);
      if (text !== undefined) resolve(text);
      else reject(new Error(error));
    });
    send({ type: "coupon:metrics wanted", id });
  }).finally(() => waiting.delete(id));
}

/** Nothing is sent when the primary is gone. */
function send(message: Message, sent = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
  else sent();
}
