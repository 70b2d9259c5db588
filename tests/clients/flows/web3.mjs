// What a wallet on web3.js 4 does.

import assert from "node:assert/strict";
import { Web3 } from "web3";
import { token } from "../token.mjs";

const UNKNOWN = `0x${"77".repeat(32)}`;
const ZERO = `0x${"00".repeat(20)}`;

/** @param provider a URL or an EIP-1193 provider; @param socket a URL of a WebSocket, or a provider that tells of subscriptions, where there is one */
export function web3Flow({ provider, socket, key, chainId }) {
  // web3.js sends EIP-1559 transactions unless it is told not to; a rollup whose blocks have no base fee takes none.
  const web3 = new Web3({ provider, config: { defaultTransactionType: "0x0" } });
  web3.eth.transactionPollingInterval = 200;
  web3.eth.transactionBlockTimeout = 1000;
  const account = web3.eth.accounts.wallet.add(key)[0];
  const other = web3.eth.accounts.create().address;
  const from = account.address;
  let contract;
  let deployed;

  return {
    async "network, head, fees"() {
      assert.equal(await web3.eth.getChainId(), BigInt(chainId));
      assert.equal(await web3.eth.net.getId(), BigInt(chainId));
      assert.ok((await web3.eth.getBlockNumber()) >= 0n);
      assert.ok((await web3.eth.getGasPrice()) >= 0n);
      assert.equal(await web3.eth.net.isListening(), true);
      assert.match(await web3.eth.getNodeInfo(), /^zk-replica/);
      assert.equal(await web3.eth.isSyncing(), false);
    },

    async "balance, nonce, code"() {
      assert.ok((await web3.eth.getBalance(from)) > 10n ** 18n);
      assert.equal(await web3.eth.getCode(from), "0x");
      assert.equal(await web3.eth.getTransactionCount(other), 0n);
    },

    async "send, wait, look up"() {
      const receipt = await web3.eth.sendTransaction({ from, to: other, value: 12345n, gas: 21000n });
      assert.equal(receipt.status, 1n);
      assert.equal(await web3.eth.getBalance(other), 12345n);
      const found = await web3.eth.getTransaction(receipt.transactionHash);
      assert.equal(found.blockHash, receipt.blockHash);
      const block = await web3.eth.getBlock(receipt.blockNumber, true);
      assert.ok(block.transactions.some(({ hash }) => hash === receipt.transactionHash));
      const at = await web3.eth.getTransactionFromBlock(receipt.blockHash, receipt.transactionIndex);
      assert.equal(at.hash, receipt.transactionHash);
      assert.equal(await web3.eth.getBlockUncleCount(receipt.blockNumber), 0n);
    },

    async "deploy"() {
      const factory = new web3.eth.Contract(token.abi);
      const creation = factory.deploy({ data: token.bytecode, arguments: [1_000_000n] });
      const gas = await creation.estimateGas({ from });
      contract = await creation.send({ from, gas: gas.toString() }).on("receipt", (receipt) => (deployed = receipt));
      assert.notEqual(await web3.eth.getCode(contract.options.address), "0x");
      assert.equal(await contract.methods.name().call(), "Replica Token");
      assert.equal(await contract.methods.balanceOf(from).call(), 1_000_000n);
    },

    async "estimate, transact, event"() {
      const action = contract.methods.transfer(other, 10n);
      const gas = await action.estimateGas({ from });
      assert.ok(gas > 21000n && gas < 100_000n, `${gas}`);
      const receipt = await action.send({ from, gas: gas.toString() });
      assert.equal(receipt.events.Transfer.returnValues.value, 10n);
      assert.equal(await contract.methods.balanceOf(other).call(), 10n);
    },

    async "getPastEvents and getPastLogs"() {
      const fromBlock = deployed.blockNumber;
      const events = await contract.getPastEvents("Transfer", { fromBlock, filter: { from } });
      assert.deepEqual(events.map((event) => event.returnValues.value), [10n]);
      const logs = await web3.eth.getPastLogs({ address: contract.options.address, fromBlock: web3.utils.toHex(fromBlock) });
      assert.equal(logs.length, 2);
    },

    async "subscribe over WebSocket"() {
      if (!socket) return;
      const listener = new Web3(socket);
      try {
        const heads = await listener.eth.subscribe("newBlockHeaders");
        const head = new Promise((resolve) => heads.once("data", resolve));
        const logs = await listener.eth.subscribe("logs", { address: contract.options.address });
        const log = new Promise((resolve) => logs.once("data", resolve));
        const receipt = await contract.methods.transfer(other, 8n).send({ from, gas: "100000" });
        assert.equal((await log).transactionHash, receipt.transactionHash);
        assert.ok((await head).hash);
        await heads.unsubscribe();
        await logs.unsubscribe();
      } finally {
        listener.currentProvider.disconnect?.();
      }
    },

    async "revert with a reason, with an error type, with a panic"() {
      const refused = async (action) => action.then(() => assert.fail("it did not revert"), (error) => error);
      const reason = await refused(contract.methods.transfer(ZERO, 1n).call({ from }));
      assert.match(`${reason.message} ${reason.cause?.message}`, /to nobody/);
      const typed = await refused(contract.methods.transfer(other, 10n ** 9n).call({ from }));
      assert.equal(typed.cause.errorName, "NotEnough");
      const panic = await refused(contract.methods.share(0n).call());
      assert.match(`${panic.message} ${panic.cause?.message} ${panic.cause?.data}`, /division or modulo by zero|4e487b71/);
      const estimate = await refused(contract.methods.transfer(ZERO, 1n).estimateGas({ from }));
      assert.match(`${estimate.message} ${estimate.cause?.message}`, /to nobody/);
    },

    async "a transaction that fails is in a block"() {
      const action = contract.methods.transfer(ZERO, 1n);
      const error = await action.send({ from, gas: "100000" }, { checkRevertBeforeSending: false }).then(
        () => assert.fail("it did not fail"),
        (error) => error,
      );
      assert.equal(error.receipt?.status ?? 0n, 0n);
    },

    async "many in one batch"() {
      // EIP-1193 has none.
      if (typeof provider !== "string") return;
      const batch = new web3.BatchRequest();
      const answers = [
        batch.add({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
        batch.add({ jsonrpc: "2.0", id: 2, method: "eth_getBalance", params: [from, "latest"] }),
        batch.add({ jsonrpc: "2.0", id: 3, method: "eth_getBlockByNumber", params: ["0x0", false] }),
      ];
      await batch.execute();
      const [id, , block] = await Promise.all(answers);
      assert.equal(BigInt(id), BigInt(chainId));
      assert.equal(block.number, "0x0");
    },

    async "the past"() {
      const then = deployed.blockNumber;
      assert.equal(await contract.methods.balanceOf(other).call({}, then), 0n);
      assert.equal(await web3.eth.getCode(contract.options.address, then - 1n), "0x");
      assert.notEqual(BigInt(await web3.eth.getStorageAt(contract.options.address, 0n)), 0n);
    },

    async "what is unknown is an error or nothing"() {
      await assert.rejects(web3.eth.getTransaction(UNKNOWN), /not found/i);
      assert.equal((await web3.eth.getTransactionReceipt(UNKNOWN).catch(() => null)) ?? null, null);
      await assert.rejects(web3.eth.getBalance(other, 1_000_000_000n), /not found/);
      await assert.rejects(web3.requestManager.send({ method: "eth_nonsense", params: [] }), /does not exist|not available/i);
    },
  };
}
