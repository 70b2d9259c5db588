import { createReplica } from 'zk-replica';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: new URL('chainspec.json', 'http://127.0.0.1:8080/'),
  genesis: new URL('genesis-allocs.json', 'http://127.0.0.1:8080/'),
});
const { verified } = await replica.waitSynced();
const balance = await replica.provider.request({
  method: 'eth_getBalance',
  params: ['0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266', 'latest'],
});
console.log(`block ${verified.number}: ${BigInt(balance)} wei`);
await replica.close();
