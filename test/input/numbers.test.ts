import { findRoundedNumber, parseNumber } from '@specoffload/input';
import { describe, expect, it } from 'vitest';

describe('parseNumber', () => {
  it.each([
    ['0', 0],
    ['-0.5', -0.5],
    ['1e-7', 1e-7],
    ['1E3', 1000],
    ['.5', 0.5],
    ['5.', 5],
    ['+12', 12],
    ['0.000', 0],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['1e22', 1e22],
    ['1000000000000000000', 1e18], // beyond 2^53, and still that number
  ])('%s', (text, number) => {
    expect(parseNumber(text)).toBe(number);
  });

  it.each([
    ...[
      '',
      ' ',
      ' 1',
      '1 ',
      '.',
      '-',
      'e5',
      '1e',
      '0x10',
      '0b1',
      '1_000',
      '1,5',
      '1.2.3',
      '٣',
      'NaN',
      'Infinity',
    ],
    ...['1e999', '-1e999', '1e-999', '9007199254740993', '12345678901234567890', 'null', '[]'],
  ])('refuses %j', (text) => {
    expect(parseNumber(text)).toBeNull();
  });
});

it.each([
  ['{"a": [1, 2.5e-7, "12345678901234567890"]}', null],
  ['{"12345678901234567890": 1}', null],
  ['[1, 12345678901234567890]', '12345678901234567890'],
  ['-1e999', '-1e999'],
])('findRoundedNumber(%j) is %j', (json, expected) => {
  expect(findRoundedNumber(json)).toBe(expected);
});
