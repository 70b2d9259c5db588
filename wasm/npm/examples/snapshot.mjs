import { createReplica } from 'zk-replica';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: 'http://127.0.0.1:8080/chainspec.json',
  checkpoint: await fetch('http://127.0.0.1:8080/checkpoint.json').then((response) => response.json()),
  snapshot: 'http://127.0.0.1:8080/snapshot.gz',
});
const { mode, verified } = await replica.waitSynced();
console.log(`${mode}, block ${verified.number}`);
await replica.close();
