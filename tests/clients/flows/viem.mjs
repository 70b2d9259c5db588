// What a wallet on viem 2 does.

import assert from "node:assert/strict";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  getContract,
  parseAbiItem,
  parseEther,
  zeroAddress,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { token } from "../token.mjs";

const UNKNOWN = `0x${"77".repeat(32)}`;
const { abi, bytecode } = token;
const transfer = parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)");

/** @param transport a viem transport; @param socket one over WebSocket, where there is one */
export function viemFlow({ transport, socket, key, chainId }) {
  const chain = defineChain({
    id: chainId,
    name: "devnet",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [] } },
  });
  const account = privateKeyToAccount(key);
  const client = createPublicClient({ chain, transport, pollingInterval: 200, cacheTime: 0 });
  const wallet = createWalletClient({ chain, transport, account });
  const other = privateKeyToAccount(generatePrivateKey()).address;
  let address;
  let deployed;
  let contract;

  const receiptOf = (hash) => client.waitForTransactionReceipt({ hash });

  return {
    async "network, head, fees"() {
      assert.equal(await client.getChainId(), chainId);
      assert.ok((await client.getBlockNumber()) >= 0n);
      assert.ok((await client.getGasPrice()) >= 0n);
      const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
      assert.ok(history.baseFeePerGas.every((fee) => fee === 0n));
    },

    async "balance, nonce, code"() {
      assert.ok((await client.getBalance({ address: account.address })) > parseEther("1"));
      assert.equal(await client.getCode({ address: account.address }), undefined);
      assert.equal(await client.getTransactionCount({ address: other }), 0);
    },

    async "send, wait, look up"() {
      const hash = await wallet.sendTransaction({ to: other, value: 12345n });
      const receipt = await receiptOf(hash);
      assert.equal(receipt.status, "success");
      assert.equal(receipt.gasUsed, 21000n);
      assert.equal(await client.getBalance({ address: other }), 12345n);
      const found = await client.getTransaction({ hash });
      assert.equal(found.blockHash, receipt.blockHash);
      const block = await client.getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true });
      assert.ok(block.transactions.some((transaction) => transaction.hash === hash));
      const { blockHash } = receipt;
      assert.ok((await client.getBlockTransactionCount({ blockHash })) >= 1);
    },

    async "deploy"() {
      const receipt = await receiptOf(await wallet.deployContract({ abi, bytecode, args: [1_000_000n] }));
      deployed = receipt;
      address = receipt.contractAddress;
      contract = getContract({ address, abi, client: { public: client, wallet } });
      assert.ok(await client.getCode({ address }));
      assert.equal(await client.getCode({ address, blockNumber: receipt.blockNumber - 1n }), undefined);
      assert.equal(await contract.read.symbol(), "RPL");
      assert.equal(await contract.read.balanceOf([account.address]), 1_000_000n);
    },

    async "simulate, estimate, transact, event"() {
      const { request, result } = await contract.simulate.transfer([other, 10n], { account });
      assert.equal(result, true);
      const gas = await contract.estimateGas.transfer([other, 10n], { account });
      assert.ok(gas > 21000n && gas < 100_000n, `${gas}`);
      const receipt = await receiptOf(await wallet.writeContract(request));
      assert.equal(receipt.logs.length, 1);
      assert.equal(await contract.read.balanceOf([other]), 10n);
    },

    async "getLogs and filters"() {
      const fromBlock = deployed.blockNumber;
      const logs = await client.getLogs({ address, event: transfer, fromBlock });
      assert.deepEqual(logs.map((log) => log.args.value), [1_000_000n, 10n]);
      const mine = await client.getLogs({ address, event: transfer, args: { to: other }, fromBlock });
      assert.equal(mine.length, 1);
      const filter = await client.createEventFilter({ address, event: transfer, fromBlock });
      assert.equal((await client.getFilterLogs({ filter })).length, 2);
      await receiptOf(await contract.write.transfer([other, 1n]));
      const changes = await client.getFilterChanges({ filter });
      assert.equal(changes.at(-1).args.value, 1n);
      assert.equal(await client.uninstallFilter({ filter }), true);
      assert.equal(await client.uninstallFilter({ filter }), false);
    },

    async "watch an event over polling"() {
      await watched(client, 7n);
    },

    async "subscribe over WebSocket"() {
      if (!socket) return;
      const listener = createPublicClient({ chain, transport: socket });
      const head = new Promise((resolve, reject) => {
        const stop = listener.watchBlocks({
          onBlock: (block) => (stop(), resolve(block)),
          onError: reject,
        });
      });
      await watched(listener, 8n);
      const { number, hash } = await head;
      assert.equal((await client.getBlock({ blockNumber: number })).hash, hash);
      const { socket: open } = await listener.transport.getRpcClient();
      open.close();
    },

    async "revert with a reason, with an error type, with a panic"() {
      const reverted = async (call) => {
        const error = await call.then(() => assert.fail("it did not revert"), (error) => error);
        assert.ok(error instanceof BaseError, `${error}`);
        const cause = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
        assert.ok(cause, `${error}`);
        return cause;
      };
      assert.equal((await reverted(contract.simulate.transfer([zeroAddress, 1n], { account }))).reason, "to nobody");
      const error = await reverted(contract.simulate.transfer([other, 10n ** 9n], { account }));
      assert.equal(error.data.errorName, "NotEnough");
      assert.equal(error.data.args[0], 10n ** 9n);
      const panic = await reverted(contract.read.share([0n]));
      assert.equal(panic.data.errorName, "Panic");
      assert.equal(BigInt(panic.data.args[0]), 0x12n);
      await assert.rejects(contract.estimateGas.transfer([zeroAddress, 1n], { account }), /to nobody/);
    },

    async "a transaction that fails is in a block"() {
      const hash = await contract.write.transfer([zeroAddress, 1n], { gas: 100_000n });
      assert.equal((await receiptOf(hash)).status, "reverted");
    },

    async "what the main node refuses is refused with its words"() {
      const nonce = await client.getTransactionCount({ address: account.address });
      const request = { to: other, value: 0n, gas: 21000n };
      await assert.rejects(wallet.sendTransaction({ ...request, nonce: nonce - 1 }), /nonce too low|lower than/i);
      const poor = privateKeyToAccount(generatePrivateKey());
      const gasPrice = 1_000_000_000n;
      await assert.rejects(
        wallet.sendTransaction({ ...request, account: poor, value: 1n, gasPrice, nonce: 0 }),
        /insufficient funds/i,
      );
    },

    async "the past, also with another state"() {
      const blockNumber = deployed.blockNumber;
      assert.equal(await contract.read.balanceOf([other], { blockNumber }), 0n);
      const before = await client.getTransactionCount({ address: account.address, blockNumber: blockNumber - 1n });
      assert.equal(await client.getTransactionCount({ address: account.address, blockNumber }), before + 1);
      const overridden = await client.readContract({
        address,
        abi,
        functionName: "totalSupply",
        stateOverride: [{ address, stateDiff: [{ slot: `0x${"00".repeat(32)}`, value: `0x${"00".repeat(31)}05` }] }],
      });
      assert.equal(overridden, 5n);
    },

    async "what is unknown is not found, and what is wrong is an error"() {
      await assert.rejects(client.getTransaction({ hash: UNKNOWN }), { name: "TransactionNotFoundError" });
      await assert.rejects(client.getTransactionReceipt({ hash: UNKNOWN }), { name: "TransactionReceiptNotFoundError" });
      await assert.rejects(client.getBlock({ blockHash: UNKNOWN }), { name: "BlockNotFoundError" });
      await assert.rejects(client.getBalance({ address: other, blockNumber: 1_000_000_000n }), /not found/);
      await assert.rejects(client.request({ method: "eth_nonsense" }), /does not exist/);
    },
  };

  async function watched(listener, value) {
    let stop;
    const event = new Promise((resolve, reject) => {
      stop = listener.watchContractEvent({
        address,
        abi,
        eventName: "Transfer",
        onLogs: (logs) => logs.some((log) => log.args.value === value) && resolve(),
        onError: reject,
      });
    });
    try {
      // A watch over polling begins where its filter is installed: what is mined before is not heard.
      const act = async () => receiptOf(await contract.write.transfer([other, value]));
      await act();
      const again = setInterval(() => act().catch(() => {}), 3000);
      await event.finally(() => clearInterval(again));
    } finally {
      stop();
    }
  }
}
