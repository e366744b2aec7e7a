import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { parseNotebook } from '../../kernel/src/notebook/format.js';
import { runCli } from '../experiments/cli.js';
import { createJupyterHome, type JupyterHome, missingProgram, runProgram } from './jupyter.js';
import { createNotebookText } from './notebooks.js';

const missing = missingProgram('jupyter-nbconvert', 'jupyter-nbconvert');

/** Run under Jupyter's own runner, one after another. */
const notebooks = [join(projectDirectory, 'test', 'kernel', 'fixtures', 'front-end.ipynb')];

describe.skipIf(missing !== null)(
  `under jupyter nbconvert${missing ? `: ${missing}` : ''}`,
  { timeout: 300_000 },
  () => {
    let home: JupyterHome;
    beforeAll(async () => {
      home = await createJupyterHome();
    });
    afterAll(() => home.remove());

    const execute = (name: string) =>
      runProgram(
        'jupyter-nbconvert',
        ['--to', 'notebook', '--execute', '--output', `done-${name}`, name],
        home,
      );

    it.each(notebooks)('%s runs, with what it prints and shows', async (path) => {
      await copyFile(path, join(home.folder, 'a.ipynb'));
      const { exitCode, said } = await execute('a.ipynb');
      expect(said).toContain('done-a.ipynb');
      expect(exitCode).toBe(0);
      const { cells } = parseNotebook(await readFile(join(home.folder, 'done-a.ipynb'), 'utf8'), 'done');
      const outputs = cells.flatMap((cell) => (cell.cell_type === 'code' ? cell.outputs : []));
      const mimes = outputs.flatMap((output) =>
        'data' in output ? Object.keys(output.data) : [output.output_type],
      );
      expect(mimes).toContain('application/vnd.plotly.v1+json');
      expect(mimes).not.toContain('error');
    });

    it('a failing cell is reported with its name, its message and its traceback', async () => {
      const cells = ['1', 'throw new RangeError("too much")'];
      const kernelspec = { name: 'specoffload', display_name: 'SpecOffload', language: 'typescript' };
      await writeFile(join(home.folder, 'b.ipynb'), createNotebookText(cells, { kernelspec }));
      const { exitCode, said } = await execute('b.ipynb');
      expect(exitCode).toBe(1);
      expect(said).toContain('RangeError: too much');
      expect(said).toContain('at cell:');
    });

    it('what `notebook run` writes is valid for Jupyter', async () => {
      const out = join(home.folder, 'ours.ipynb');
      const run = await runCli(['notebook', 'run', notebooks[0]!, '--quick', '--out', out]);
      expect(run).toMatchObject({ exitCode: 0 });
      const check =
        'import sys, nbformat; nbformat.validate(nbformat.read(sys.argv[1], as_version=nbformat.NO_CONVERT))';
      expect(await runProgram('/usr/bin/python3', ['-W', 'error', '-c', check, out], home)).toEqual({
        exitCode: 0,
        said: '',
      });
      const { exitCode, said } = await runProgram('jupyter-nbconvert', ['--to', 'html', out], home);
      expect(said).toContain('ours.html');
      expect(exitCode).toBe(0);
    });
  },
);
