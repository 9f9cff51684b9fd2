/**
 * One query for all who wait. Callers that come while a query runs share the next one, so nobody gets an answer from before the question.
 */
export function createShared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;

  async function follow(before: Promise<unknown>): Promise<T> {
    await before.catch(() => {});
    next = undefined;
    return start();
  }

  function start(): Promise<T> {
    const answer = ask();
    const ended = () => {
      if (running === answer) running = undefined;
    };
    running = answer;
    answer.then(ended, ended);
    return answer;
  }

  return () => {
    if (running === undefined) return start();
    next ??= follow(running);
    return next;
  };
}
