import { modelCatalog, type StrategyName, UserError } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { strategyNamed } from '../../../engine/dist/schedule/strategies/index.js';
import { nearestFirst } from '../../../experiments/src/inputs/model-names.js';
import { openOrDescribeModel } from '../../../experiments/src/inputs/models.js';
import { callCli } from '../cli.js';

const names = Object.keys(modelCatalog);

describe('a name that means no model', () => {
  it.each([
    ['mixtral-8x7', 'mixtral-8x7b'],
    ['llama3.1-8b', 'llama-3.1-8b'],
    ['Mistral-7B', 'mistral-7b'],
    ['qwen3-30b', 'qwen3-30b-a3b'],
    ['gpt-oss', 'gpt-oss-120b'],
  ])('%s: %s comes first', (name, first) => {
    const listed = nearestFirst(name, names);
    expect(listed[0]).toBe(first);
    expect([...listed].sort()).toEqual([...names].sort());
  });

  // What every object has is no entry of the catalogue.
  it.each(['mixtral-8x7', 'constructor', '__proto__', 'toString', 'hasOwnProperty', '\u001b[31mred'])(
    '%j is refused with the catalogue',
    async (name) => {
      const open = openOrDescribeModel(name);
      await expect(open).rejects.toThrow(UserError);
      await expect(open).rejects.toThrow(
        /^unknown model: "\P{Cc}*"; expected (\S+, ){6}or a checkpoint's directory/u,
      );
    },
  );

  it.each(['constructor', '__proto__', 'toString'])('%s is no strategy either', (name) => {
    expect(() => strategyNamed(name as StrategyName)).toThrow(
      `unknown strategy: "${name}"; expected one of none`,
    );
  });

  it('run says of a model of the catalogue that it can be predicted only', async () => {
    const { exitCode, stderr } = await callCli(['run', '--target', 'mixtral-8x7b', '--strategy', 'none']);
    expect(stderr).toContain('mixtral-8x7b is known by its sizes alone, which simulate and plan can predict');
    expect(exitCode).toBe(1);
  });

  it('run lists what can be predicted for a directory that is not there', async () => {
    const { exitCode, stderr } = await callCli(['run', '--target', 'mistral-7', '--strategy', 'none']);
    expect(stderr).toContain('there is no model "mistral-7"; expected a checkpoint\'s directory');
    expect(stderr).toContain('predict mistral-7b, ');
    expect(exitCode).toBe(1);
  });
});
