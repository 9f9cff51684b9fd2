import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock } from "../../bench/harness/clock.ts";
import { Overloaded } from "../api/failures.ts";
import { DatabaseError } from "../database/errors.ts";
import { createResolving } from "./resolving.ts";

type Row = { outcome: "known" | "unknown"; user_id: number | null };
interface Question {
  issuer: string;
  subjects: string[];
  creating: boolean;
  answer: (of: (subject: string) => number | null) => void;
  fail: (error: unknown) => void;
}

/** A database that answers when a test says so. */
function asking() {
  const questions: Question[] = [];
  const clock = createClock();
  const resolve = createResolving(
    {
      resolveSubjects: (issuer, given, creating) =>
        new Promise<Row[]>((answered, fail) => {
          const subjects = given.map(({ subject }) => subject);
          questions.push({
            ...{ issuer, subjects, creating, fail },
            answer: (of) =>
              answered(
                subjects.map((subject) => {
                  const user_id = of(subject);
                  return { outcome: user_id === null ? "unknown" : "known", user_id };
                }),
              ),
          });
        }),
    },
    clock,
  );
  const ask = (subject: string, issuer = "a", creating = true) =>
    resolve({ issuer, subject, displayName: null }, creating);
  return { ask, questions, clock };
}

const numberOf = (subject: string) => Number(subject);
const asked = ({ issuer, subjects, creating }: Question) => [issuer, subjects, creating];

test("one question in flight for each provider, and the next one takes all that wait", async () => {
  const { ask, questions, clock } = asking();
  const answers = [ask("1"), ask("2"), ask("3"), ask("4", "b"), ask("5", "a", false)];
  await clock.pass(0);
  assert.deepEqual(questions.map(asked), [
    ["a", ["1"], true],
    ["b", ["4"], true],
    ["a", ["5"], false],
  ]);
  for (const question of questions.slice()) question.answer(numberOf);
  await clock.pass(0);
  assert.deepEqual(questions.slice(3).map(asked), [["a", ["2", "3"], true]]);
  questions[3]?.answer((subject) => (subject === "2" ? null : 3));
  assert.deepEqual(await Promise.all(answers), [1, null, 3, 4, 5]);
});

test("a subject that is asked for is not asked for again meanwhile, but afterwards", async () => {
  const { ask, questions, clock } = asking();
  const [first, again] = [ask("7"), ask("7")];
  await clock.pass(0);
  questions[0]?.answer(numberOf);
  assert.deepEqual(await Promise.all([first, again]), [7, 7]);
  const later = ask("7");
  await clock.pass(0);
  assert.deepEqual(
    questions.map(({ subjects }) => subjects),
    [["7"], ["7"]],
  );
  questions[1]?.answer(numberOf);
  assert.equal(await later, 7);
});

test("a batch has a thousand, and 20,000 wait; the next one is refused, and who waits for too long", async () => {
  const { ask, questions, clock } = asking();
  const first = ask("0");
  const waiting = Array.from({ length: 20_000 }, (_, i) => ask(`${i + 1}`));
  const ended = Promise.allSettled(waiting);
  await assert.rejects(ask("20001"), Overloaded);
  await clock.pass(0);
  questions[0]?.answer(numberOf);
  assert.equal(await first, 0);
  await clock.pass(0);
  assert.equal(questions[1]?.subjects.length, 1_000);
  await clock.pass(3_000);
  questions[1]?.answer(numberOf);
  const ends = await ended;
  assert.deepEqual(
    [ends.slice(0, 1_000), ends.slice(1_000)].map((part) => [...new Set(part.map(({ status }) => status))]),
    [["fulfilled"], ["rejected"]],
  );
  assert.equal(questions.length, 2, "nothing is asked for those who have gone");
});

test("a lost answer leaves nothing unknown: whoever was created is found the next time", async () => {
  const { ask, questions, clock } = asking();
  const lost = ask("1");
  await clock.pass(0);
  questions[0]?.fail(new DatabaseError("unknown", "", "the connection was lost"));
  await assert.rejects(lost, { kind: "unavailable" });
  const again = ask("1");
  await clock.pass(0);
  questions[1]?.answer(numberOf);
  assert.equal(await again, 1);
});
