// Questions to the replica, and its answers as types. An answer of another shape is an error, never a guess.

import type { Provider, VerifiedBlock } from "./contract";

export interface Log {
  address: string;
  topics: string[];
  data: string;
  index: number;
}

export interface Transaction {
  hash: string;
  index: number;
  from: string;
  /** None: it creates a contract. */
  to: string | null;
  value: bigint;
  nonce: bigint;
  input: string;
  gas: bigint;
  succeeded: boolean;
  gasUsed: bigint;
  gasPrice: bigint;
  created: string | null;
  logs: Log[];
}

/** Fields of a block as JSON-RPC has them, for comparing. */
export type Fields = Record<string, unknown>;

export interface Block {
  number: number;
  hash: string;
  parentHash: string;
  stateRoot: string;
  timestamp: number;
  gasUsed: bigint;
  gasLimit: bigint;
  coinbase: string;
  transactions: Transaction[];
  fields: Fields;
}

export interface Batch {
  number: number;
  forkId: number;
  /** Null: it begins before the checkpoint, and not all of it is held here. */
  content: { stateRoot: string; closed: boolean; /** Hashes, in order. */ blocks: string[] } | null;
}

/** From which batch on a fork's rules are in force. */
export interface Fork {
  forkId: number;
  fromBatchNumber: number;
}

export interface Proof {
  balance: bigint;
  nonce: bigint;
  codeLength: number;
  codeHash: string;
  /** The nodes from the state root to each value. */
  paths: { balance: string[]; nonce: string[]; code: string[] };
}

export interface Token {
  address: string;
  symbol: string;
  decimals: number;
  balance: bigint;
}

/** The answer has another shape than the protocol's. */
export class ShapeError extends Error {}

/** Gas that a token's contract may use for a question, in hexadecimal: it is executed here, beside all else. */
const TOKEN_GAS = "0x7a120";
/** Bytes of a token's answer that are read. */
const TOKEN_ANSWER = 1024;
/** The error code of what is before the checkpoint. */
const PRUNED = 4444;
/** Bytes that a main node's answer to the page may have. */
const MAIN_NODE_ANSWER = 8 << 20;

export class Chain {
  /** Symbol and decimals by contract: they are asked for once. */
  private readonly names = new Map<string, Promise<Pick<Token, "symbol" | "decimals">>>();

  constructor(private readonly provider: Provider) {}

  private ask(method: string, ...params: unknown[]): Promise<unknown> {
    return this.provider.request({ method, params });
  }

  async block(which: number | string): Promise<Block | null> {
    const method = typeof which === "number" ? "zkevm_getFullBlockByNumber" : "zkevm_getFullBlockByHash";
    const found = await this.ask(method, typeof which === "number" ? hex(which) : which, true);
    if (found === null) return null;
    const fields = object(found);
    return {
      number: number(fields.number),
      hash: text(fields.hash),
      parentHash: text(fields.parentHash),
      stateRoot: text(fields.stateRoot),
      timestamp: number(fields.timestamp),
      gasUsed: big(fields.gasUsed),
      gasLimit: big(fields.gasLimit),
      coinbase: text(fields.miner),
      transactions: list(fields.transactions).map(transaction),
      fields,
    };
  }

  /** What the list of blocks shows of one. */
  async summary(block: number): Promise<VerifiedBlock | null> {
    const [found, batch] = await Promise.all([
      this.ask("eth_getBlockByNumber", hex(block), false),
      this.ask("zkevm_batchNumberByBlockNumber", hex(block)),
    ]);
    if (found === null || batch === null) return null;
    const fields = object(found);
    return {
      number: number(fields.number),
      hash: text(fields.hash),
      stateRoot: text(fields.stateRoot),
      timestamp: number(fields.timestamp),
      batch: number(batch),
      transactions: list(fields.transactions).length,
      gasUsed: number(fields.gasUsed),
    };
  }

  /**
   * The block that a transaction is in, and its place there. Its receipt is asked for: one that is not verified has none, and
   * no main node learns of the question.
   */
  async placeOf(hash: string): Promise<{ block: number; index: number } | null> {
    const found = await this.ask("eth_getTransactionReceipt", hash);
    if (found === null) return null;
    const { blockNumber, transactionIndex } = object(found);
    return { block: number(blockNumber), index: number(transactionIndex) };
  }

  async batchOf(block: number): Promise<Batch | null> {
    const found = await this.ask("zkevm_batchNumberByBlockNumber", hex(block));
    return found === null ? null : this.batch(number(found));
  }

  async batch(at: number): Promise<Batch | null> {
    const [batch, fork] = await Promise.all([
      this.ask("zkevm_getBatchByNumber", hex(at)).catch((error: unknown) => {
        if ((error as { code?: unknown }).code === PRUNED) return undefined;
        throw error;
      }),
      this.ask("zkevm_getForkIdByBatchNumber", hex(at)),
    ]);
    if (batch === null) return null;
    const held = { number: at, forkId: number(fork) };
    if (batch === undefined) return { ...held, content: null };
    const { stateRoot, closed, blocks } = object(batch);
    return {
      ...held,
      content: { stateRoot: text(stateRoot), closed: closed === true, blocks: list(blocks).map(text) },
    };
  }

  /** The rules by which the replica verifies; none: nobody said which batch has which. */
  async forks(): Promise<Fork[]> {
    const found = list(await this.ask("zkevm_getForks")).map(object);
    return found.map(({ forkId, fromBatchNumber }) => ({
      forkId: number(forkId),
      fromBatchNumber: number(fromBatchNumber),
    }));
  }

  /** The last batch that is proved on L1 and the last block in it, or null: not known here. */
  async proved(): Promise<{ batch: number; block: number } | null> {
    const [batch, block] = await Promise.all([
      this.ask("zkevm_verifiedBatchNumber"),
      this.ask("zkevm_consolidatedBlockNumber"),
    ]);
    const found = { batch: number(batch), block: number(block) };
    return found.batch > 0 ? found : null;
  }

  async account(address: string, block: number): Promise<Proof> {
    const found = object(await this.ask("zkevm_getProof", address, [], hex(block)));
    return {
      balance: big(found.balance),
      nonce: big(found.nonce),
      codeLength: number(found.codeLength),
      codeHash: text(found.codeHash),
      paths: {
        balance: list(found.balanceProof).map(text),
        nonce: list(found.nonceProof).map(text),
        code: list(found.codeHashProof).map(text),
      },
    };
  }

  code(address: string, block: number): Promise<string> {
    return this.ask("eth_getCode", address, hex(block)).then(text);
  }

  /** What an ERC-20 contract says, run here on the state behind `block`. */
  async token(contract: string, holder: string, block: number): Promise<Token> {
    const question = `0x70a08231${holder.slice(2).toLowerCase().padStart(64, "0")}`;
    const balance = await this.call(contract, question, block);
    if (balance.length < 66) throw new ShapeError("this contract has no balanceOf: it is not an ERC-20 token");
    let name = this.names.get(contract);
    if (!name) {
      name = this.name(contract, block);
      this.names.set(contract, name);
      // What was no answer of the contract is asked for again.
      name.catch(() => this.names.delete(contract));
    }
    return { address: contract, balance: BigInt(balance.slice(0, 66)), ...(await name) };
  }

  private async name(contract: string, block: number): Promise<Pick<Token, "symbol" | "decimals">> {
    // A contract that has neither reverts or runs out of gas. Any other error is not about the contract.
    const nothing = (error: unknown) => {
      if ([3, -32000].includes(Number((error as { code?: unknown }).code))) return "0x";
      throw error;
    };
    const [symbol, decimals] = await Promise.all([
      this.call(contract, "0x95d89b41", block).catch(nothing),
      this.call(contract, "0x313ce567", block).catch(nothing),
    ]);
    const places = decimals.length === 66 ? BigInt(decimals) : 0n;
    return { symbol: abiText(symbol), decimals: places <= 77n ? Number(places) : 0 };
  }

  private async call(to: string, data: string, block: number): Promise<string> {
    return text(await this.ask("eth_call", { to, data, gas: TOKEN_GAS }, hex(block))).slice(0, 2 + 2 * TOKEN_ANSWER);
  }

  /** The address with the capitals that EIP-55 gives it. */
  async checksummed(address: string): Promise<string> {
    const plain = address.slice(2).toLowerCase();
    const ascii = [...plain].map((letter) => letter.charCodeAt(0).toString(16)).join("");
    const hash = text(await this.ask("web3_sha3", `0x${ascii}`)).slice(2);
    const letters = [...plain].map((letter, place) => {
      return parseInt(hash[place] ?? "0", 16) >= 8 ? letter.toUpperCase() : letter;
    });
    return `0x${letters.join("")}`;
  }
}

function transaction(value: unknown): Transaction {
  const fields = object(value);
  const receipt = object(fields.receipt);
  return {
    hash: text(fields.hash),
    index: number(fields.transactionIndex),
    from: text(fields.from),
    to: optional(fields.to),
    value: big(fields.value),
    nonce: big(fields.nonce),
    input: text(fields.input),
    gas: big(fields.gas),
    succeeded: receipt.status === "0x1",
    gasUsed: big(receipt.gasUsed),
    gasPrice: big(receipt.effectiveGasPrice),
    created: optional(receipt.contractAddress),
    logs: list(receipt.logs).map((entry) => {
      const { address, topics, data, logIndex } = object(entry);
      return { address: text(address), topics: list(topics).map(text), data: text(data), index: number(logIndex) };
    }),
  };
}

/** Asks a main node itself. What it says is its word, nothing more. */
export async function askMainNode(url: string, method: string, params: unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const request = { method: "POST", headers: { "content-type": "application/json" }, body };
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(10_000) });
  const { result, error } = object(JSON.parse(await atMost(response, MAIN_NODE_ANSWER)));
  if (error) throw new Error(String(object(error).message ?? "the main node answers with an error"));
  return result ?? null;
}

/** The text of an answer that its sender must not make as long as it likes. */
async function atMost(response: Response, limit: number): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let [found, length] = ["", 0];
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || !value) return found + decoder.decode();
    length += value.length;
    if (length > limit) {
      void reader?.cancel().catch(() => undefined);
      throw new Error(`the main node answers with more than ${limit >> 20} MiB`);
    }
    found += decoder.decode(value, { stream: true });
  }
}

/** An ABI string, or a bytes32 that older tokens give instead. */
export function abiText(data: string): string {
  const bytes = Uint8Array.from(data.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const word = (at: number) => BigInt(`0x${data.slice(2 + 2 * at, 2 + 2 * at + 64) || "0"}`);
  let found = bytes.subarray(0, 32);
  if (bytes.length >= 64) {
    const offset = word(0);
    if (offset > BigInt(bytes.length - 32)) return "";
    const start = Number(offset) + 32;
    const length = word(Number(offset));
    if (length > BigInt(bytes.length - start)) return "";
    found = bytes.subarray(start, start + Number(length));
  }
  return new TextDecoder().decode(found).replace(/\0+$/, "");
}

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function object(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ShapeError("an object was expected");
}

function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new ShapeError("a list was expected");
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new ShapeError("text was expected");
}

const optional = (value: unknown): string | null => (value === null || value === undefined ? null : text(value));

function big(value: unknown): bigint {
  if (typeof value === "string" && /^0x[0-9a-f]{1,64}$/i.test(value)) return BigInt(value);
  throw new ShapeError("a number was expected");
}

function number(value: unknown): number {
  const found = Number(big(value));
  if (Number.isSafeInteger(found)) return found;
  throw new ShapeError("a number was expected that is not so large");
}
