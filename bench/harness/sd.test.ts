import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "./cleanup.ts";
import { ended, said, sd, signalGroup } from "./sd.ts";
import { until } from "./waiting.ts";

after(cleanUp);

test("a run of which nothing is left is sent no signal: its id may be another one's", async (t) => {
  const run = sd(["-c", "echo over"], { command: "sh", dataDir: "none" });
  assert.equal(await ended(run), 0);
  const { mock } = t.mock.method(process, "kill", () => assert.fail("somebody else's"));
  assert.equal(signalGroup(run.child, "SIGKILL"), false);
  assert.equal(mock.callCount(), 0);
});

test("what a run leaves in its group is sent one, also once the run has ended", async () => {
  const run = sd(
    ["-c", "(trap 'echo asked; exit' USR1; echo there; while :; do sleep 0.05; done) & sleep 0.3"],
    {
      command: "sh",
      dataDir: "none",
    },
  );
  await said(run, "there");
  await until(() => run.child.exitCode === 0);
  assert.equal(signalGroup(run.child, "SIGUSR1"), true);
  await run.closed;
  assert.equal(run.stdout, "there\nasked\n");
});
