import { describe, expect, it } from 'vitest';
import { createCellExecutor } from '../../kernel/src/server/executor.js';
import { spellOutShorthand } from '../../kernel/src/server/shorthand.js';

describe('short properties', () => {
  it.each([
    ['const o = { quick };', 'const o = { quick: quick };'],
    ['f({ a, b: 1, c },\n  { d })', 'f({ a: a, b: 1, c: c },\n  { d: d })'],
    ['({ a, b = 2 } = o);', '({ a: a, b: b = 2 } = o);'],
    ['const { a, b } = o; const list = [a];', 'const { a, b } = o; const list = [a];'],
    ['import { a } from "b"; export { c };', 'import { a } from "b"; export { c };'],
    ['const broken = {', 'const broken = {'],
  ])('of %s are spelled out', (code, expected) => {
    expect(spellOutShorthand(code)).toBe(expected);
  });

  it('find what earlier cells have declared', async () => {
    const executor = createCellExecutor(process.cwd());
    try {
      await executor.execute('let quick = true;');
      const { result, failure } = await executor.execute('JSON.stringify({ quick, more: { quick } })');
      expect(failure).toBeNull();
      expect(result).toBe('{"quick":true,"more":{"quick":true}}');
    } finally {
      executor.close();
    }
  });
});
