import { it } from "node:test";

/** Runs the steps of a flow in order: each builds on what those before did, so that none runs after one that failed. */
export function steps(flow) {
  let failed;
  for (const [name, step] of Object.entries(flow)) {
    it(name, { timeout: 120_000 }, async (test) => {
      if (failed !== undefined) return test.skip(`"${failed}" failed`);
      failed = name;
      await step();
      failed = undefined;
    });
  }
}
