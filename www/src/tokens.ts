// Token contracts whose balances a person wants to see, by chain.

const key = (chainId: number): string => `zk-replica.tokens.${chainId}`;

export function tokensOf(chainId: number): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key(chainId)) ?? "[]");
    return Array.isArray(found) ? found.filter((entry): entry is string => isAddress(entry)) : [];
  } catch {
    return [];
  }
}

export function setTokens(chainId: number, tokens: string[]): void {
  try {
    localStorage.setItem(key(chainId), JSON.stringify(tokens));
  } catch {
    // They are forgotten with the tab.
  }
}

export const isAddress = (text: unknown): boolean => typeof text === "string" && /^0x[0-9a-f]{40}$/i.test(text);
