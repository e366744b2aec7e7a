import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openAcceptance } from '../../../experiments/src/acceptance/open.js';
import { UsageError } from '../../../experiments/src/terminal/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'specoffload-acceptance-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('--acceptance', () => {
  it.each([
    ['0.7', [0.7]],
    ['1', [1]],
    ['.5', [0.5]],
    ['1e-7', [1e-7]],
    ['0.8,0.7, 0.6', [0.8, 0.7, 0.6]],
    ['9e-1,1e-1', [0.9, 0.1]],
  ])('%s', async (text, byPosition) => {
    expect(await openAcceptance('--acceptance', text)).toEqual({ kind: 'rates', name: text, byPosition });
  });

  it.each([
    ...[
      '0.8,,0.6',
      '0.8,',
      ',0.8',
      ',',
      '',
      ' ',
      '0.8,0.7.6',
      '0.8 0.6',
      '1.5',
      '-0.1',
      '0.5,1e999',
      '0.8;0.6,0.5',
    ],
    Array.from({ length: 65 }, () => '0.5').join(','),
  ])('refuses %j', async (text) => {
    const open = openAcceptance('--acceptance', text);
    if (text === '0.8 0.6') return expect(open).rejects.toThrow('cannot read the acceptance 0.8 0.6');
    await expect(open).rejects.toThrow(UsageError);
    await expect(open).rejects.toThrow(
      `invalid --acceptance: ${text}; expected a rate from 0 to 1 such as 0.7`,
    );
  });

  it.each([
    [
      'candidates',
      { candidates: 4e8, newTokens: 8, sequences: [[0]] },
      '400000000; expected a whole number from 1 to 64',
    ],
    [
      'newTokens',
      { candidates: 4, newTokens: 1e300, sequences: [[0]] },
      '1e+300; expected a whole number from 1 to',
    ],
  ])(
    'a file with far too many %s is refused before anything is made of it',
    async (field, content, message) => {
      const path = join(folder, 'acceptance.json');
      writeFileSync(path, JSON.stringify({ kind: 'recorded', ...content }));
      await expect(openAcceptance('--acceptance', path)).rejects.toThrow(
        `${path}: invalid ${field}: ${message}`,
      );
    },
  );
});
