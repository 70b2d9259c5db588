// Numbers, times and hashes as people read them. Nothing here rounds what is shown as exact.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const whole = (value: number | bigint): string => WHOLE.format(value);

/** `3 blocks`, `1 block`. */
export const count = (value: number | bigint, one: string, many = `${one}s`): string =>
  `${whole(value)} ${value === 1 || value === 1n ? one : many}`;

/** Blocks per second: three digits that matter. */
export function rate(value: number): string {
  if (!(value > 0)) return "0";
  return value >= 100 ? whole(value) : value.toPrecision(value >= 1 ? 2 : 1);
}

/** Bytes, as disks are measured. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toPrecision(bytes < 1e8 ? 2 : 3)} MB`;
}

/** A length of time, coarse on purpose. */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return count(Math.round(s / 86400), "day");
}

export function clock(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s after 1970` : CLOCK.format(date);
}

/** The time of today, or the day of another day and the time. */
export function when(seconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return clock(seconds);
  return date.toDateString() === new Date().toDateString() ? TIME.format(date) : clock(seconds);
}

export function isoTime(seconds: number): string | null {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** An amount of smallest units, exact: the digits before and behind the point. */
export function units(value: bigint, decimals: number): { whole: string; fraction: string } {
  const digits = value.toString().padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  return {
    whole: digits.slice(0, point).replace(/\B(?=(\d{3})+$)/g, ","),
    fraction: digits.slice(point).replace(/0+$/, ""),
  };
}

export function amount(value: bigint, decimals: number): string {
  const { whole, fraction } = units(value, decimals);
  return fraction ? `${whole}.${fraction}` : whole;
}

/** Coins: exact, in the smallest unit when there are only a few of these. */
export function coins(value: bigint, currency: string): string {
  return value > 0n && value < 1_000_000n ? `${whole(value)} wei` : `${amount(value, 18)} ${currency}`;
}

/** One that stands by itself, of what a program says. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const whole = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  // An address begins as it does.
  if (/^[a-z]+:\/\//.test(whole)) return whole;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}

/** `0x47a3…d2dc` of a longer one. */
export const short = (hex: string, each = 4): string =>
  hex.length > 2 + 2 * each + 1 ? `${hex.slice(0, 2 + each)}…${hex.slice(-each)}` : hex;

export const bytesOf = (hex: string): number => Math.max(0, (hex.length - 2) >> 1);

/** Text that strangers chose, in one line of bounded length, without what turns or hides text. */
export function tame(text: string, longest = 32): string {
  const seen = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, "").trim();
  const points = [...seen];
  return points.length > longest ? `${points.slice(0, longest).join("")}…` : seen;
}
