import { createReplica } from 'zk-replica';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: 'http://127.0.0.1:8080/chainspec.json',
  genesis: 'http://127.0.0.1:8080/genesis-allocs.json',
  l1: { url: 'http://127.0.0.1:8545', rollupManager: '0x1111111111111111111111111111111111111111', rollupId: 1 },
});
const agreed = new Promise((resolve) => replica.on('status', ({ l1 }) => l1.finalized && resolve(l1)));
const { proved, finalized } = await agreed;
console.log(`L1 block ${proved.l1Block}: batch ${finalized.batch} is proved, and the same up to block ${finalized.block}`);
await replica.close();
