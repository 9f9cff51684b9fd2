/**
 * One question for all who wait: while an answer is on its way, whoever comes shares the next one, so that nobody is told
 * what was true before they asked.
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
