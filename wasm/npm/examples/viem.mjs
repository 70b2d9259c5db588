import { createPublicClient } from 'viem';
import { createReplica } from 'zk-replica';
import { replicaTransport } from 'zk-replica/viem';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: 'http://127.0.0.1:8080/chainspec.json',
  genesis: 'http://127.0.0.1:8080/genesis-allocs.json',
});
await replica.waitSynced();
const client = createPublicClient({ transport: replicaTransport(replica) });
console.log(await client.getBalance({ address: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266' }));
await replica.close();
