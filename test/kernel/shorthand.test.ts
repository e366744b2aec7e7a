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
    expect(spellOutShorthand(code).code).toBe(expected);
  });

  it('are traced back to where they stand', () => {
    const code = 'f({ a }, { bc, d: 1 })';
    const spelled = spellOutShorthand(code);
    const at = (part: string) => spelled.toOriginal(spelled.code.indexOf(part));
    expect(spelled.code).toBe('f({ a: a }, { bc: bc, d: 1 })');
    expect(at('a }')).toBe(code.indexOf('a }'));
    expect(at('bc,')).toBe(code.indexOf('bc'));
    expect(at('d: 1')).toBe(code.indexOf('d: 1'));
    expect(at('f(')).toBe(0);
  });

  it('find what earlier cells have declared', async () => {
    const executor = createCellExecutor(process.cwd());
    try {
      await executor.execute('let quick = true;');
      const { result, failure } = await executor.execute('JSON.stringify({ quick, more: { quick } })');
      expect(failure).toBeNull();
      expect(result).toEqual({ 'text/plain': '{"quick":true,"more":{"quick":true}}' });
    } finally {
      executor.close();
    }
  });
});
