import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { parseNotebook } from '../../kernel/src/notebook/format.js';
import { runCli } from '../experiments/cli.js';
import { createJupyterHome, type JupyterHome, missingProgram, runProgram } from './jupyter.js';
import { copyQuick, createNotebookText } from './notebooks.js';

const missing = missingProgram('jupyter-nbconvert', 'jupyter-nbconvert');

const frontEnd = join(projectDirectory, 'test', 'kernel', 'fixtures', 'front-end.ipynb');

const kernelSuite = join(projectDirectory, 'test', 'kernel', 'fixtures', 'kernel_suite.py');
const suiteModule = '/usr/lib/python3/dist-packages/jupyter_kernel_test/__init__.py';
const missingSuite =
  existsSync(suiteModule) || process.env.CI
    ? null
    : 'no jupyter_kernel_test; apt-get install python3-jupyter-kernel-test brings it';

/** Of the lab's own; quick, and predicted only, so that they take as long anywhere. */
const labNotebooks = ['02-gpu-utilisation.ipynb', '04-ablation.ipynb'];

describe.skipIf(missing !== null)(
  `under jupyter nbconvert${missing ? `: ${missing}` : ''}`,
  { timeout: 300_000 },
  () => {
    let home: JupyterHome;
    let asInstalled: JupyterHome;
    beforeAll(async () => {
      home = await createJupyterHome('quick');
      asInstalled = await createJupyterHome('as installed');
    });
    afterAll(() => Promise.all([home.remove(), asInstalled.remove()]));

    const execute = (name: string, { in: place }: { in: JupyterHome }) =>
      runProgram(
        'jupyter-nbconvert',
        ['--to', 'notebook', '--execute', '--output', `done-${basename(name)}`, name],
        place,
      );

    it.each(['front-end.ipynb', ...labNotebooks])('%s runs, with what it prints and shows', async (name) => {
      const path = join('work', name);
      const isLabs = labNotebooks.includes(name);
      const place = isLabs ? home : asInstalled;
      if (isLabs) await copyQuick(name, join(place.folder, path));
      else {
        await mkdir(join(place.folder, 'work'), { recursive: true });
        await copyFile(frontEnd, join(place.folder, path));
      }
      const { exitCode, said } = await execute(path, { in: place });
      expect(said).toContain(`done-${name}`);
      expect(exitCode).toBe(0);
      const done = join(place.folder, 'work', `done-${name}`);
      const { cells } = parseNotebook(await readFile(done, 'utf8'), 'done');
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
      const { exitCode, said } = await execute('b.ipynb', { in: home });
      expect(exitCode).toBe(1);
      expect(said).toContain('RangeError: too much');
      expect(said).toContain('at cell:');
    });

    it('what `notebook run` writes is valid for Jupyter', async () => {
      const out = join(home.folder, 'ours.ipynb');
      const run = await runCli(['notebook', 'run', frontEnd, '--quick', '--out', out]);
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

describe.skipIf(missingSuite !== null)(
  `under Jupyter's own suite for kernels${missingSuite ? `: ${missingSuite}` : ''}`,
  { timeout: 300_000 },
  () => {
    it('does all that it tries, but for a pager', async () => {
      const home = await createJupyterHome('quick');
      try {
        const { exitCode, said } = await runProgram('/usr/bin/python3', [kernelSuite], home);
        expect(said).toMatch(/^Ran 12 tests/m);
        expect(said).toContain('OK (skipped=1)');
        expect(said).toMatch(/test_pager .* skipped/);
        expect(exitCode).toBe(0);
      } finally {
        await home.remove();
      }
    });
  },
);
