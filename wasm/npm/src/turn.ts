const channel = typeof document === 'undefined' && typeof setImmediate === 'function' ? undefined : new MessageChannel();
const waiting: (() => void)[] = [];
if (channel) channel.port1.onmessage = () => waiting.shift()?.();

declare function setImmediate(callback: () => void): void;

/** After what else waits, but without the delay that browsers put on timers. */
export function soon(callback: () => void) {
  if (channel) {
    waiting.push(callback);
    channel.port2.postMessage(null);
  } else {
    setImmediate(callback);
  }
}
