import { describe, expect, it } from 'vitest';
import { parseExpression } from '../../../experiments/src/definitions/expression.js';

const names = ['strategy', 'candidates', 'decodeBatch', 'label'];
const parse = (text: unknown) => parseExpression(text, names, 'filters[0]');

describe('parseExpression', () => {
  it.each<[string, unknown]>([
    ['candidates <= 8', true],
    ['candidates * 2 + 1', 9],
    ['candidates^2 % 5', 1],
    ['mod(decodeBatch, 10)', 4],
    ['min(decodeBatch, 32) / max(1, 2)', 16],
    ['strategy == "flexgen"', true],
    ['strategy != "flexgen"', false],
    ["strategy == 'none' or candidates > 2 and not (decodeBatch < 3)", true],
    ['strategy == "none" ? 1 : 2', 2],
    ['1 < candidates < 5', true],
    ['0.1 + 0.2 == 0.3', true],
    ['strategy == candidates', false],
    ['label', 'x'],
    ['label == "1e999" or label == \'1e999\'', false],
    ['candidates*1.5e1', 60],
    ['floor(log2(decodeBatch)) + sqrt(candidates)', 8],
    ['-candidates', -4],
    ['strategy == "none" and label == "y"', false],
  ])('%s', (text, expected) => {
    const values = { strategy: 'flexgen', candidates: 4, decodeBatch: 64, label: 'x' };
    expect(parse(text).evaluate(values)).toBe(expected);
  });

  // Each case: what a stranger may write, and why it is refused. All before anything is evaluated.
  it.each<[unknown, string]>([
    ['candidates = 3', 'an assignment'],
    ['f(x) = x', 'a function assignment'],
    ['1:1e9', 'a range'],
    ['[1, 2]', 'an array'],
    ['{a: 1}', 'an object'],
    ['candidates.constructor', 'an accessor'],
    ['strategy["length"]', 'an accessor'],
    ['candidates; 2', 'a block'],
    ['import("fs")', 'it calls import'],
    ['evaluate("1")', 'it calls evaluate'],
    ['cos(1)', 'it calls cos'],
    ['label(1)', 'it calls label'],
    ['candidates!', 'it uses factorial'],
    ['candidates <= 1e999', '1e999 would become another number, expected numbers that 64 bits hold'],
    ['candidates < 12345678901234567890', '12345678901234567890 would become another number'],
    ['candidates > 1e-400', '1e-400 would become another number'],
    ["candidates'", 'it uses ctranspose'],
    ['4 GB', 'GB is no axis or setting'],
    ['pi', 'pi is no axis or setting'],
    ['min', 'min is no axis or setting'],
    ['_same(1, 1)', 'it calls _same'],
    ['null', 'it contains null'],
    ['', 'it is no text'],
    [7, 'it is no text'],
    ['1 +', 'it cannot be read'],
    [`1${' + 1'.repeat(400)}`, 'characters'],
  ])('refuses %j', (text, why) => {
    expect(() => parse(text)).toThrow(/^invalid filters\[0\]: /);
    expect(() => parse(text)).toThrow(why);
  });

  it.each<[string, string]>([
    ['1 / (candidates - 4)', 'it gives Infinity, expected a finite number'],
    ['sqrt(-1)', 'it gives i, expected a finite number'],
    ['strategy + 1', 'Cannot convert "flexgen" to a number'],
    ['decodeBatch > 2', 'decodeBatch has no value here, set it or leave it out'],
  ])('says what is wrong with the value of %s', (text, why) => {
    expect(() => parse(text).evaluate({ strategy: 'flexgen', candidates: 4 })).toThrow(why);
  });

  it('reads nothing but what it is given', () => {
    const values = Object.create({ candidates: 3 });
    expect(parse('candidates').names).toEqual(['candidates']);
    expect(() => parse('toString')).toThrow('toString is no axis or setting');
    expect(parse('candidates').evaluate({ ...values, candidates: 2 })).toBe(2);
  });
});
