/** Numbers as text for people. Prefixes are powers of 1000, as in the flags: 512MB is 512,000,000 bytes. */

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let step = 0;
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step++;
  }
  return `${step === 0 ? Math.round(value) : threeDigits(value)} ${units[step]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** `303 MFLOP/s`. */
export function formatFlops(flopsPerSecond: number): string {
  return `${formatBytes(flopsPerSecond).replace(/B$/, 'FLOP')}/s`;
}

export function formatSeconds(seconds: number): string {
  if (seconds < 1) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export function formatPercent(fraction: number): string {
  if (0 < fraction && fraction < 0.005) return '<1 %';
  return `${(100 * fraction).toFixed(0)} %`;
}

/** With its sign: `+2.8`, `-0.3`; a negative number that rounds to zero is written `+0.0`. */
export function formatSigned(value: number, digits = 1): string {
  const size = Math.abs(value).toFixed(digits);
  return `${value < 0 && Number(size) !== 0 ? '-' : '+'}${size}`;
}

/** 0.13 as `+13 %`. */
export function formatChange(share: number): string {
  return `${formatSigned(100 * share, 0)} %`;
}

/** One digit behind the point, for errors: `6.6 %`. */
export function formatShare(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** To three digits: 1.23, 12.3, 123; larger numbers to whole ones. */
export function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
