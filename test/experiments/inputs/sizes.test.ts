import { describe, expect, it } from 'vitest';
import {
  parseBytes,
  parseBytesPerSecond,
  parseFlopsPerSecond,
  parseSeconds,
} from '../../../experiments/src/inputs/sizes.js';
import { UsageError } from '../../../experiments/src/terminal/errors.js';

describe('parseBytes', () => {
  it.each([
    ['512MB', 512e6],
    ['512 MB', 512e6],
    ['24GiB', 24 * 2 ** 30],
    ['1.5GB', 1.5e9],
    ['4KiB', 4096],
    ['5e8B', 5e8],
    ['1.5E-3TB', 1.5e9],
    ['2TB', 2e12],
    ['64TiB', 2 ** 46],
    ['0.0000041GB', 4100],
  ])('%s', (text, bytes) => {
    expect(parseBytes('--x', text)).toBe(bytes);
  });

  it.each([
    '',
    '512',
    'MB',
    '512M',
    '512mb',
    '512Mb', // megabits
    '-512MB',
    '0MB',
    '1B',
    '65TiB',
    '1e400GB',
    'NaN MB',
    'InfinityGB',
    '1.2.3GB',
    '2GB*3',
    '2GB+1GB',
    '0x10MB',
    '512MB/s',
    '5 m',
    '512MB; rm',
  ])('refuses %j', (text) => {
    expect(() => parseBytes('--device-memory', text)).toThrow(
      new UsageError(
        `invalid --device-memory: ${text}; expected a size from 4KiB to 64TiB with its unit, such as 512MB or 24GiB`,
      ),
    );
  });
});

describe('parseBytesPerSecond', () => {
  it.each([
    ['1.2GB/s', 1.2e9],
    ['1.2 GB / s', 1.2e9],
    ['800MiB/s', 800 * 2 ** 20],
    ['1kB/s', 1000],
  ])('%s', (text, bytesPerSecond) => {
    expect(parseBytesPerSecond('--x', text)).toBeCloseTo(bytesPerSecond, 3);
  });

  it.each(['12GB', '1Gb/s', '12', '0GB/s', '999B/s', '11TB/s', '1GB/min', '1GB/s/s'])(
    'refuses %j',
    (text) => {
      expect(() => parseBytesPerSecond('--link-cap', text)).toThrow(
        `invalid --link-cap: ${text}; expected a rate from 1kB/s to 10TB/s with its unit, such as 1.2GB/s`,
      );
    },
  );
});

describe('parseFlopsPerSecond', () => {
  it.each([
    ['300MFLOP/s', 3e8],
    ['1.4 TFLOP / s', 1.4e12],
    ['2.5e8FLOP/s', 2.5e8],
    ['100kFLOP/s', 1e5],
    ['1EFLOP/s', 1e18],
  ])('%s', (text, flopsPerSecond) => {
    const parsed = parseFlopsPerSecond('--x', text);
    expect(parsed / flopsPerSecond).toBeCloseTo(1, 12);
    expect(parseFlopsPerSecond('--x', `${parsed}FLOP/s`), 'as a tunnel writes it').toBe(parsed);
  });

  it.each([
    '300',
    '300M',
    '300MB/s',
    '300MFLOP',
    '300MFLOPS',
    '99FLOP/s',
    '2EFLOP/s',
    '-1GFLOP/s',
    'GFLOP/s',
  ])('refuses %j', (text) => {
    expect(() => parseFlopsPerSecond('--host-arithmetic-cap', text)).toThrow(
      `invalid --host-arithmetic-cap: ${text}; expected a rate from 100kFLOP/s to 1EFLOP/s with its unit, such as 300MFLOP/s`,
    );
  });
});

describe('parseSeconds', () => {
  it.each([
    ['90s', 90],
    ['1.5e2s', 150],
    ['10 min', 600],
    ['2h', 7200],
  ])('%s', (text, seconds) => {
    expect(parseSeconds('--max-time', text)).toBeCloseTo(seconds, 9);
  });

  it.each(['90', '0s', '1e99s', '1e999s', '10MB', '1.2.3s', '31days'])('refuses %j', (text) => {
    expect(() => parseSeconds('--max-time', text)).toThrow(`invalid --max-time: ${text}; expected a time`);
  });
});
