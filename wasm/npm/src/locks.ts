/**
 * Holds a Web Lock until `end`, or for as long as this thread lives: whoever waits for it learns of its end. Rejects if it is
 * not to be had before `patience` ends.
 */
export function hold(name: string, end?: AbortSignal, patience?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { signal: patience }, () => {
        resolve();
        return new Promise<void>((release) => end?.addEventListener('abort', () => release()));
      })
      .catch(reject);
  });
}
