import { createReplica } from 'zk-replica';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: 'http://127.0.0.1:8080/chainspec.json',
  checkpoint: await fetch('http://127.0.0.1:8080/checkpoint.json').then((response) => response.json()),
});
const balance = await replica.provider.request({
  method: 'eth_getBalance',
  params: ['0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266', 'latest'],
});
const { mode, verified } = replica.status;
console.log(`${mode}, block ${verified.number}: ${BigInt(balance)} wei`);
await replica.close();
