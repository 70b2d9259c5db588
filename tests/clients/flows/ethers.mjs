// What a wallet on ethers 6 does.

import assert from "node:assert/strict";
import { Contract, ContractFactory, Wallet, ZeroAddress, ZeroHash, isError, parseEther } from "ethers";
import { token } from "../token.mjs";

const UNKNOWN = `0x${"77".repeat(32)}`;

/** @param provider an ethers provider; @param socket one over WebSocket, where there is one */
export function ethersFlow({ provider, socket, key, chainId }) {
  const wallet = new Wallet(key, provider);
  const other = Wallet.createRandom().address;
  let contract;
  let deployed;

  return {
    async "network, head, fees"() {
      assert.equal((await provider.getNetwork()).chainId, BigInt(chainId));
      assert.ok((await provider.getBlockNumber()) >= 0);
      assert.ok((await provider.getFeeData()).gasPrice !== null);
    },

    async "balance, nonce, code"() {
      assert.ok((await provider.getBalance(wallet.address)) > parseEther("1"));
      assert.equal(await provider.getCode(wallet.address), "0x");
      assert.equal(await provider.getBalance(other), 0n);
      assert.equal(await provider.getTransactionCount(other), 0);
    },

    async "send, wait, look up"() {
      const sent = await wallet.sendTransaction({ to: other, value: 12345n });
      const receipt = await sent.wait();
      assert.equal(receipt.status, 1);
      assert.equal(receipt.gasUsed, 21000n);
      assert.equal(await provider.getBalance(other), 12345n);
      const found = await provider.getTransaction(sent.hash);
      assert.equal(found.from, wallet.address);
      assert.equal(found.blockHash, receipt.blockHash);
      const block = await provider.getBlock(receipt.blockNumber, true);
      assert.equal(block.hash, receipt.blockHash);
      assert.ok(block.prefetchedTransactions.some(({ hash }) => hash === sent.hash));
    },

    async "deploy"() {
      const factory = new ContractFactory(token.abi, token.bytecode, wallet);
      contract = await factory.deploy(1_000_000n);
      deployed = await contract.deploymentTransaction().wait();
      assert.equal(deployed.contractAddress, await contract.getAddress());
      assert.notEqual(await provider.getCode(deployed.contractAddress), "0x");
      assert.equal(await provider.getCode(deployed.contractAddress, deployed.blockNumber - 1), "0x");
      assert.equal(await contract.name(), "Replica Token");
      assert.equal(await contract.balanceOf(wallet.address), 1_000_000n);
    },

    async "estimate, transact, event"() {
      const gas = await contract.transfer.estimateGas(other, 10n);
      assert.ok(gas > 21000n && gas < 100_000n, `${gas}`);
      const receipt = await (await contract.transfer(other, 10n)).wait();
      const [event] = receipt.logs.map((log) => contract.interface.parseLog(log));
      assert.deepEqual([...event.args], [wallet.address, other, 10n]);
      assert.equal(await contract.balanceOf(other), 10n);
    },

    async "getLogs"() {
      const mine = contract.filters.Transfer(wallet.address);
      const logs = await contract.queryFilter(mine, deployed.blockNumber);
      assert.deepEqual(logs.map((log) => log.args.value), [10n]);
      const all = await contract.queryFilter("Transfer", deployed.blockNumber, "latest");
      assert.equal(all.length, 2);
      const byHash = await provider.getLogs({ blockHash: deployed.blockHash, address: deployed.contractAddress });
      assert.equal(byHash.length, 1);
    },

    async "watch an event over polling"() {
      await watched(contract, () => contract.transfer(other, 7n), 7n);
    },

    async "subscribe over WebSocket"() {
      if (!socket) return;
      const heard = new Promise((resolve) => socket.once("block", resolve));
      await watched(contract.connect(socket), () => contract.transfer(other, 8n), 8n);
      assert.ok((await heard) > 0);
    },

    async "revert with a reason, with an error type, with a panic"() {
      await assert.rejects(contract.transfer.staticCall(ZeroAddress, 1n), (error) => {
        assert.ok(isError(error, "CALL_EXCEPTION"));
        assert.equal(error.reason, "to nobody");
        return true;
      });
      await assert.rejects(contract.transfer.staticCall(other, 10n ** 9n), (error) => {
        assert.equal(error.revert.name, "NotEnough");
        assert.equal(error.revert.args[0], 10n ** 9n);
        return true;
      });
      await assert.rejects(contract.share(0n), (error) => {
        assert.equal(error.revert.name, "Panic");
        assert.equal(BigInt(error.revert.args[0]), 0x12n);
        return true;
      });
      await assert.rejects(contract.transfer.estimateGas(ZeroAddress, 1n), (error) => isError(error, "CALL_EXCEPTION"));
    },

    async "a transaction that fails is in a block"() {
      const sent = await contract.transfer(ZeroAddress, 1n, { gasLimit: 100_000n });
      await assert.rejects(sent.wait(), (error) => {
        assert.ok(isError(error, "CALL_EXCEPTION"));
        assert.equal(error.receipt.status, 0);
        return true;
      });
    },

    async "what the main node refuses is refused with its words"() {
      const nonce = await provider.getTransactionCount(wallet.address);
      await assert.rejects(wallet.sendTransaction({ to: other, nonce: nonce - 1, gasLimit: 21000n }), (error) =>
        isError(error, "NONCE_EXPIRED"),
      );
      const poor = new Wallet(Wallet.createRandom().privateKey, provider);
      const request = { to: other, value: 1n, gasLimit: 21000n, gasPrice: 1_000_000_000n };
      await assert.rejects(poor.sendTransaction(request), (error) => isError(error, "INSUFFICIENT_FUNDS"));
    },

    async "many at once are one batch"() {
      const blocks = Array.from({ length: 20 }, (_, number) => provider.getBlock(number % 5));
      const balances = Array.from({ length: 20 }, () => provider.getBalance(wallet.address, deployed.blockNumber));
      const numbers = (await Promise.all(blocks)).map((block) => block.number);
      assert.deepEqual(numbers, Array.from({ length: 20 }, (_, number) => number % 5));
      assert.equal(new Set(await Promise.all(balances)).size, 1);
    },

    async "the past"() {
      const then = { blockTag: deployed.blockNumber };
      assert.equal(await contract.balanceOf(other, then), 0n);
      assert.ok((await contract.balanceOf(other)) >= 10n);
      const before = await provider.getTransactionCount(wallet.address, deployed.blockNumber - 1);
      assert.equal(await provider.getTransactionCount(wallet.address, deployed.blockNumber), before + 1);
      assert.notEqual(await provider.getStorage(deployed.contractAddress, 0), ZeroHash);
      assert.equal(await provider.getStorage(deployed.contractAddress, 99), ZeroHash);
    },

    async "what is unknown is null, and what is wrong is an error"() {
      assert.equal(await provider.getTransaction(UNKNOWN), null);
      assert.equal(await provider.getTransactionReceipt(UNKNOWN), null);
      assert.equal(await provider.getBlock(UNKNOWN), null);
      assert.equal(await provider.getBlock(1_000_000_000), null);
      await assert.rejects(provider.getBalance(other, 1_000_000_000), /not found/);
      await assert.rejects(provider.send("eth_nonsense", []), /does not exist\/is not available/);
    },
  };
}

/** The event of what `act` sends arrives. */
async function watched(contract, act, value) {
  let heard;
  const event = new Promise((resolve) => {
    heard = (_from, _to, moved) => moved === value && resolve();
  });
  await contract.on("Transfer", heard);
  try {
    await (await act()).wait();
    await event;
  } finally {
    await contract.off("Transfer", heard);
  }
}
