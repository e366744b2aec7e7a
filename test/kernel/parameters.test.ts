import { describe, expect, it } from 'vitest';
import { type Notebook, parseNotebook, serializeNotebook } from '../../kernel/src/notebook/format.js';
import { parseAssignment } from '../../kernel/src/notebook/literal.js';
import { injectParameters } from '../../kernel/src/notebook/parameters.js';
import { createNotebookText, type TestCell } from './notebooks.js';

const declaring: TestCell = {
  code: `// how much
const quick = false, name: string | null = 'const hidden = 1';
let sizes: readonly number[] = [1,
  2];
function notOne(inner = 1) { const inside = 1; }
var old = 1; if (quick) { const inBlock = 1; }`,
  tags: ['parameters'],
};

const open = (...cells: (TestCell | string)[]): Notebook =>
  parseNotebook(createNotebookText(cells), 'a.ipynb');
const sources = (notebook: Notebook) => notebook.cells.map(({ source }) => source);

describe('parameters', () => {
  it('go into a cell after the one that declares them, with the type that is declared there', () => {
    const notebook = open({ text: 'first' }, declaring, 'quick');
    injectParameters(notebook, { quick: true, name: null, sizes: [3], old: Number.NaN });
    expect(sources(notebook)[2]).toBe(
      '// Parameters of this run\nlet quick = true;\nlet name: string | null = null;\n' +
        'let sizes: readonly number[] = [3];\nlet old = NaN;',
    );
    expect(notebook.cells[2].metadata).toEqual({ tags: ['injected-parameters'] });
    expect(notebook.cells).toHaveLength(4);
  });

  it('given as words take the type of what is declared', () => {
    const code = `const year = '2024', month: string | null = null, count = 1, label: string = \`a\`;
let free: any = 1;`;
    const notebook = open({ code, tags: ['parameters'] });
    const words = ['year=2025', 'month=7', 'count=2', 'label=true', 'free=8'].map(parseAssignment);
    injectParameters(notebook, Object.fromEntries(words));
    expect(sources(notebook)[1]).toBe(
      '// Parameters of this run\nlet year = "2025";\nlet month: string | null = "7";\nlet count = 2;\n' +
        'let label: string = "true";\nlet free: any = 8;',
    );
    injectParameters(notebook, Object.fromEntries([parseAssignment('month=null')]));
    expect(sources(notebook)[1]).toContain('let month: string | null = null;');
    const large = Object.fromEntries([parseAssignment('free=12345678901234567890')]);
    expect(() => injectParameters(notebook, large)).toThrow(
      'invalid parameter free: 12345678901234567890 would',
    );
  });

  it('replace those of an earlier run, or take them away', () => {
    const notebook = open(declaring, 'quick');
    injectParameters(notebook, { quick: true });
    const again = parseNotebook(serializeNotebook(notebook), 'a.ipynb');
    injectParameters(again, { old: 2 });
    expect(sources(again)).toEqual([declaring.code, '// Parameters of this run\nlet old = 2;', 'quick']);
    injectParameters(again, {});
    expect(sources(again)).toEqual([declaring.code, 'quick']);
  });

  it.each(['hidden', 'inner', 'inside', 'inBlock', 'notOne', 'toString'])('%s is not declared', (name) => {
    const notebook = open(declaring);
    expect(() => injectParameters(notebook, { [name]: 1 })).toThrow(
      `unknown parameter: ${name}; the notebook declares quick, name, sizes, old`,
    );
    expect(notebook.cells).toHaveLength(1);
  });

  it('are refused where nothing declares any', () => {
    expect(() => injectParameters(open('const quick = 1'), { quick: true, fast: true })).toThrow(
      'unknown parameters: quick, fast; the notebook declares none (no code cell has the tag "parameters")',
    );
  });
});
