// Sources that fail, stay silent or give too much, and an engine that fails, in Node.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, afterEach, before, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { createReplica, ProviderRpcError, withWallet } from "../../wasm/npm/dist/index.js";
import { devnet, until } from "./world.mjs";

let world;
const opened = [];
/** What the test has opened ends with it. */
const own = (one) => (opened.push(one), one);

before(async () => {
  world = await devnet("--block-time", "0", "--traffic", "50");
  await world.reach(20);
});
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});
after(() => world.close());

/** A server of a test's own. */
async function server(listener) {
  const server = createServer(listener);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
  return own({ url: `http://127.0.0.1:${server.address().port}/`, close });
}

const open = async (options) => own(await createReplica({ chain: world.chain, genesis: world.genesis, ...options }));

describe("main nodes", () => {
  for (const [what, listener] of Object.entries({
    "refuses connections": undefined,
    "answers with a status": (_, response) => response.writeHead(503).end(),
  })) {
    it(`are asked in turn: the first ${what}`, async () => {
      const dead = listener ? (await server(listener)).url : "http://127.0.0.1:1/";
      const replica = await open({ mainNode: [dead, world.url] });
      const troubles = [];
      replica.on("error", ({ message }) => troubles.push(message));
      await until("the second one is followed", () => replica.status.synced);
      assert.ok(replica.status.verified.number >= 20);
      assert.equal(troubles.length, 1, troubles.join("\n"));
    });
  }

  it("that name another head and then are slow take nothing from what is verified", async () => {
    let [cut, head] = [false, undefined];
    const asked = [];
    const slow = await server(async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      const { method, params } = JSON.parse(body);
      if (cut) return response.writeHead(503).end();
      if (head && method === "zkevm_getBatchByNumber") return asked.push(method);
      const found = await fetch(world.url, { method: "POST", headers: { "content-type": "application/json" }, body });
      const said = await found.json();
      if (head && method === "eth_getBlockByNumber" && Number(params[0]) === head) said.result.hash = `0x${"12".repeat(32)}`;
      response.end(JSON.stringify(said));
    });
    const replica = await open({ mainNode: slow.url });
    const { verified } = await replica.waitSynced();
    cut = true;
    await until("the connection is at an end", () => replica.status.trouble !== null);
    const statuses = [];
    replica.on("status", (status) => statuses.push(status));
    [cut, head] = [false, verified.number];
    await until("the other chain is asked for", () => asked.length > 0);
    const { length } = statuses;
    await until("the status is told", () => statuses.length > length);
    for (const status of statuses) assert.deepEqual(status.verified, verified);
    assert.equal(Number(await replica.provider.request({ method: "eth_blockNumber" })), verified.number);
  });

  it("may be none: there is nothing to wait for", async () => {
    const replica = await open({});
    assert.equal((await replica.waitSynced()).verified, null);
    const checkpoint = { number: 1, hash: `0x${"12".repeat(32)}`, stateRoot: `0x${"12".repeat(32)}` };
    await assert.rejects(createReplica({ chain: world.chain, checkpoint }), /^Error: mainNode: /);
    await assert.rejects(createReplica({ chain: world.chain, checkpoint, mainNode: [] }), /^Error: mainNode: /);
  });

  it("are told of when they roll back", async () => {
    const chain = own(await devnet("--block-time", "0", "--traffic", "10"));
    await chain.reach(12);
    const replica = own(await createReplica({ mainNode: chain.url, chain: chain.chain, genesis: chain.genesis }));
    const { verified } = await replica.waitSynced();
    const told = [];
    replica.on("rolledBack", (rolledBack) => told.push(rolledBack));
    replica.on("block", ({ number }) => told.push(number));
    await chain.rpc("devnet_rollBack", verified.number - 3);
    await chain.rpc("devnet_mine", 5);
    await until("the new chain is verified", () => replica.status.verified.number >= verified.number + 2);
    const [{ from, to }, next] = told;
    assert.deepEqual([from, to, next], [verified.number, verified.number - 3, verified.number - 2]);
  });
});

describe("a stream's host", () => {
  const recording = new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
  const json = (name) => JSON.parse(readFileSync(new URL(name, recording)));
  let bytes, chain, genesis;
  before(() => {
    bytes = gunzipSync(readFileSync(new URL("data-stream.bin.gz", recording)));
    [chain, genesis] = [json("chainspec.json"), json("genesis-allocs.json")];
  });

  /** Serves, by short ranges, the file that `file` gives for each, or whatever `send` sends. */
  const ranges = (file, send = (response, part) => response.end(part)) =>
    server((request, response) => {
      const first = Number(/^bytes=(\d+)-/.exec(request.headers.range)[1]);
      const part = file(first).subarray(first, first + (1 << 16));
      response.writeHead(206, { "content-range": `bytes ${first}-${first + part.length - 1}/${bytes.length}` });
      send(response, part);
    });
  const read = (url) => open({ chain, genesis, stream: `${url}stream.bin` });
  const troubled = async (replica, pattern) => {
    await until("the trouble is told", () => replica.status.trouble !== null);
    assert.match(replica.status.trouble, pattern);
    assert.deepEqual([replica.status.unsound, replica.status.halted], [false, null]);
  };

  it("that sends more than was asked for is told, and not listened to", async () => {
    let sent = 0;
    const { url } = await ranges(
      () => bytes,
      (response) => {
        const more = () => {
          while (!response.destroyed && response.write(bytes.subarray(0, 1 << 20))) sent += 1;
        };
        response.on("drain", more);
        more();
      },
    );
    await troubled(await read(url), /more bytes than were asked for/);
    assert.ok(sent < 64, `${sent} MiB`);
  });

  it("that says nothing is told", async () => {
    const { url } = await server(() => {});
    await troubled(await read(url), /nothing came for/);
  });

  it("whose file is replaced is told, and no lie", async () => {
    const other = Buffer.alloc(bytes.length, 7);
    const { url } = await ranges((first) => (first === 0 ? bytes : other));
    await troubled(await read(url), /is another file than it was/);
  });

  it("that does not have it leaves it to the main node", async () => {
    const { url } = await server((_, response) => response.writeHead(404).end());
    const replica = await open({ stream: `${url}stream.bin`, mainNode: world.url });
    await until("the main node is followed", () => replica.status.synced);
    assert.ok(replica.status.verified.number >= 20);
  });

  it("is not left waiting when the replica is closed", async () => {
    let ended = false;
    const { url } = await server((request, response) => {
      response.on("close", () => (ended = true));
      response.writeHead(200).write(bytes.subarray(0, 1 << 16));
    });
    const replica = await read(url);
    await until("it reads", () => replica.status.verified !== null);
    await replica.close();
    await until("the connection is closed", () => ended);
  });
});

describe("an engine that fails", () => {
  const { now } = performance;
  afterEach(() => (performance.now = now));
  /** The engine asks for the time while it works: what is thrown then leaves it as a defect does. */
  const fail = (times) => {
    performance.now = () => {
      if (times-- > 0) throw new RangeError("out of memory");
      return now.call(performance);
    };
  };

  it("while it works is another one, and goes on", async () => {
    const replica = await open({ mainNode: world.url });
    const { verified } = await replica.waitSynced();
    fail(2);
    await until("it was started again", () => replica.status.restarts === 2);
    await until("it is where it was", () => replica.status.verified?.number >= verified.number);
    assert.equal(Number(await replica.provider.request({ method: "eth_blockNumber" })), replica.status.verified.number);
  });

  it("again and again is told, and begun anew after a while", async () => {
    const replica = await open({ mainNode: world.url });
    const other = await open({ mainNode: world.url });
    const { verified } = await replica.waitSynced();
    const [problems, codes] = [[], []];
    replica.on("error", ({ kind, message }) => problems.push(`${kind}: ${message}`));
    replica.provider.on("disconnect", ({ code }) => codes.push(code));
    // The last one is asked again of the next engine, and that answers.
    for (let count = 0; count <= 5; count += 1) await assert.rejects(replica.call({ call: "panic" }), /started again/);
    await until("it was told", () => problems.some((problem) => problem.startsWith("engine: the engine fails again and again")));
    await until("there is another one", () => replica.status.restarts === 1 && replica.status.synced);
    assert.ok(replica.status.verified.number >= verified.number);
    assert.deepEqual([...new Set(codes)], [1013]);
    // It was the other's module, too.
    await until("the other one goes on", () => other.status.synced);
  });
});

describe("EIP-1193", () => {
  it("errors have codes, whatever is asked", async () => {
    const replica = await open({});
    const code = (code) => (error) => error instanceof ProviderRpcError && error.code === code;
    await assert.rejects(replica.provider.request(), code(-32602));
    await assert.rejects(replica.provider.request(null), code(-32602));
    const ended = new Promise((resolve) => replica.provider.on("disconnect", resolve));
    await replica.close();
    assert.ok(code(1000)(await ended));
  });

  it("a wallet does not say which chain is read", async () => {
    const replica = await open({});
    const [asked, listens] = [[], []];
    const wallet = {
      request: async ({ method }) => (asked.push(method), null),
      on: (event) => listens.push(event),
      removeListener() {},
    };
    const both = withWallet(replica.provider, wallet);
    for (const event of ["chainChanged", "accountsChanged", "disconnect"]) both.on(event, () => {});
    assert.deepEqual(listens, ["accountsChanged"]);
    const to = (chainId) => both.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
    await assert.rejects(to("0x1"), (error) => error.code === 4902);
    assert.deepEqual(asked, []);
    await to(`0x${world.chain.chainId.toString(16)}`);
    assert.deepEqual(asked, ["wallet_switchEthereumChain"]);
    await assert.rejects(both.request(), (error) => error.code === -32602);
  });
});
