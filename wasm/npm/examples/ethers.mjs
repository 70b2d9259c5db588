import { BrowserProvider } from 'ethers';
import { createReplica } from 'zk-replica';

const replica = await createReplica({
  mainNode: 'http://127.0.0.1:8123',
  chain: 'http://127.0.0.1:8080/chainspec.json',
  genesis: 'http://127.0.0.1:8080/genesis-allocs.json',
});
await replica.waitSynced();
const provider = new BrowserProvider(replica.provider);
console.log(await provider.getBalance('0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'));
provider.destroy();
await replica.close();
