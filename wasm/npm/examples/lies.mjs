import { writeFile } from 'node:fs/promises';
import { createReplica, MismatchError } from 'zk-replica';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: 'http://127.0.0.1:8080/chainspec.json',
  genesis: 'http://127.0.0.1:8080/genesis-allocs.json',
});
try {
  await replica.waitSynced();
} catch (error) {
  if (!(error instanceof MismatchError)) throw error;
  const { block, claim, expected, computed } = error.mismatch;
  console.log(`block ${block}: the main node says that the ${claim} is ${expected}, and it is ${computed}`);
  const evidence = await replica.evidence();
  if (evidence) await writeFile('evidence.json', evidence);
}
await replica.close();
