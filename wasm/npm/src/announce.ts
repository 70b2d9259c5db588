import { ProviderRpcError } from './errors.js';
import type { Provider, ProviderEvents, RequestArguments } from './types.js';

/** EIP-6963. */
export interface ProviderInfo {
  uuid: string;
  name: string;
  /** A data URI. */
  icon: string;
  /** In reverse order, as `org.example`. */
  rdns: string;
}

/** What a wallet is asked; everything else is answered from verified blocks. */
const SIGNING = /^(eth_(requestAccounts|accounts|sendTransaction|sign|signTransaction|signTypedData(_v\d)?)|personal_.*|wallet_.*)$/;

/** A provider that reads from `replica` and lets `wallet` sign. It is on the replica's chain, wherever the wallet is. */
export function withWallet(replica: Provider, wallet: Provider): Provider {
  const of = (event: keyof ProviderEvents) => (event === 'accountsChanged' ? wallet : replica);
  return {
    async request(args: RequestArguments) {
      if (!SIGNING.test(args?.method)) return replica.request(args);
      if (args.method === 'wallet_switchEthereumChain') {
        const [asked] = (args.params ?? []) as { chainId?: unknown }[];
        const ours = await replica.request({ method: 'eth_chainId' });
        if (Number(asked?.chainId) !== Number(ours)) {
          throw new ProviderRpcError(4902, `what is read is verified: there is no chain but ${Number(ours)}`);
        }
      }
      if (args.method === 'eth_sendTransaction') {
        const [ours, theirs] = await Promise.all([replica, wallet].map((one) => one.request({ method: 'eth_chainId' })));
        if (BigInt(ours) !== BigInt(theirs)) {
          throw new ProviderRpcError(4901, `the wallet is connected to chain ${Number(theirs)}, not to chain ${Number(ours)}`);
        }
      }
      return wallet.request(args);
    },
    on(event, listener) {
      of(event).on(event, listener);
      return this;
    },
    removeListener(event, listener) {
      of(event).removeListener(event, listener);
      return this;
    },
  };
}

/** Announces a provider to the page's applications (EIP-6963), now and whenever one asks. Returns what ends it. */
export function announce(provider: Provider, info: Partial<ProviderInfo> = {}): () => void {
  const detail = Object.freeze({
    info: Object.freeze({
      uuid: info.uuid ?? crypto.randomUUID(),
      name: info.name ?? 'zk-replica',
      icon: info.icon ?? ICON,
      rdns: info.rdns ?? 'io.github.zk-replica',
    }),
    provider,
  });
  const tell = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
  window.addEventListener('eip6963:requestProvider', tell);
  tell();
  return () => window.removeEventListener('eip6963:requestProvider', tell);
}

const ICON =
  'data:image/svg+xml,' +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1b7f5a"/>' +
      '<path d="M8 17l5 5 11-12" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/></svg>',
  );
