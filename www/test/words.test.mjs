// How values are written, and what is made of bytes that strangers chose.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const load = async (name) => {
  const entry = fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: "esm", write: false });
  return import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
};
const { amount, bytesOf, coins, rate, sentence, short, size, span, tame, units } = await load("format");
const { abiText, Chain } = await load("chain");

test("amounts are exact", () => {
  assert.equal(amount(0n, 18), "0");
  assert.equal(amount(1n, 18), "0.000000000000000001");
  assert.equal(amount(10n ** 18n, 18), "1");
  assert.equal(amount(1234567890000000000001n, 18), "1,234.567890000000000001");
  assert.equal(amount(2n ** 256n - 1n, 0).replaceAll(",", ""), String(2n ** 256n - 1n));
  assert.deepEqual(units(1500n, 2), { whole: "15", fraction: "" });
  assert.equal(coins(0n, "ETH"), "0 ETH");
  assert.equal(coins(29n, "ETH"), "29 wei");
  assert.equal(coins(1_000_000n, "ETH"), "0.000000000001 ETH");
});

test("times, rates and sizes are as coarse as they are known", () => {
  assert.deepEqual([0, 59, 60, 3599, 3600, 90000, 864000].map(span), [
    "0 s",
    "59 s",
    "1 min",
    "60 min",
    "1 h 0 min",
    "1 day",
    "10 days",
  ]);
  assert.deepEqual([0, Number.NaN, 0.25, 3.14159, 42, 412.4].map(rate), ["0", "0", "0.3", "3.1", "42", "412"]);
  assert.deepEqual([0, 900, 1_100_000, 123_000_000].map(size), ["0 kB", "1 kB", "1.1 MB", "123 MB"]);
});

test("hashes are shortened in the middle, and short ones are not", () => {
  assert.equal(short(`0x${"ab".repeat(32)}`), "0xabab…abab");
  assert.equal(short("0x1234"), "0x1234");
  assert.deepEqual(["0x", "0x00", "0xabcd"].map(bytesOf), [0, 1, 2]);
});

test("text of strangers stays one short line that says what it is", () => {
  assert.equal(tame("DEV"), "DEV");
  assert.equal(tame(" a\u202eb\u0000c\nd\u200be "), "abcde");
  assert.equal(tame("x".repeat(100), 12), `${"x".repeat(12)}…`);
  assert.equal(tame("\u{1f600}".repeat(3), 2), "\u{1f600}\u{1f600}…");
  assert.equal(sentence("cannot be reached"), "Cannot be reached.");
  assert.equal(sentence("http://x/: no answer"), "http://x/: no answer.");
});

test("ABI text is read, and what is none is empty", () => {
  const word = (value) => BigInt(value).toString(16).padStart(64, "0");
  const ascii = (text) => Buffer.from(text).toString("hex").padEnd(64, "0");
  assert.equal(abiText(`0x${word(32)}${word(3)}${ascii("DEV")}`), "DEV");
  assert.equal(abiText(`0x${ascii("MKR")}`), "MKR");
  assert.equal(abiText("0x"), "");
  assert.equal(abiText(`0x${word(32)}${word(99)}${ascii("DEV")}`), "");
  assert.equal(abiText(`0x${word(2n ** 255n)}${word(3)}`), "");
  assert.equal(abiText(`0x${word(64)}${word(3)}`), "");
  assert.equal(abiText(`0x${word(33)}${word(0)}`), "");
});

test("an answer of another shape is an error", async () => {
  const chain = (answer) => new Chain({ request: async () => answer });
  for (const answer of ["0x1", 7, [], { number: 1 }, { number: "1" }, { number: "0x1", hash: 3 }]) {
    await assert.rejects(chain(answer).block(1));
  }
  assert.equal(await chain(null).block(1), null);
  await assert.rejects(chain("0x").token(`0x${"0".repeat(40)}`, `0x${"0".repeat(40)}`, 1), /not an ERC-20 token/);
  await assert.rejects(chain(null).token(`0x${"0".repeat(40)}`, `0x${"0".repeat(40)}`, 1));
  await assert.rejects(chain("0xffffffffffffffff").proved(), /not so large/);
});

test("a token's name is asked for once, with little gas, and little of it is read", async () => {
  const asked = [];
  const word = (value) => BigInt(value).toString(16).padStart(64, "0");
  const long = "41".repeat(4 << 20);
  const answers = {
    "0x70a08231": `0x${word(7)}`,
    "0x95d89b41": `0x${word(32)}${word(4 << 20)}${long}`,
    "0x313ce567": `0x${word(18)}`,
  };
  const provider = {
    async request({ method, params: [call] }) {
      assert.equal(method, "eth_call");
      assert.ok(Number(call.gas) <= 500_000);
      asked.push(call.data.slice(0, 10));
      return answers[call.data.slice(0, 10)];
    },
  };
  const [chain, contract, holder] = [new Chain(provider), `0x${"1".repeat(40)}`, `0x${"2".repeat(40)}`];
  for (const block of [1, 2, 3]) {
    // Of a name longer than what is read there is none.
    const token = { address: contract, balance: 7n, symbol: "", decimals: 18 };
    assert.deepEqual(await chain.token(contract, holder, block), token);
  }
  assert.deepEqual(asked.sort(), ["0x313ce567", "0x70a08231", "0x70a08231", "0x70a08231", "0x95d89b41"]);
});

test("a name that could not be asked for is asked for again", async () => {
  const word = (value) => BigInt(value).toString(16).padStart(64, "0");
  let error = Object.assign(new Error("the main node withholds it"), { code: -32002 });
  const provider = {
    async request({ params: [call] }) {
      if (call.data.startsWith("0x70a08231")) return `0x${word(7)}`;
      throw error;
    },
  };
  const chain = new Chain(provider);
  const ask = () => chain.token(`0x${"1".repeat(40)}`, `0x${"2".repeat(40)}`, 1);
  await assert.rejects(ask(), /withholds/);
  error = Object.assign(new Error("execution reverted"), { code: 3 });
  assert.deepEqual([(await ask()).symbol, (await ask()).decimals], ["", 0]);
});
