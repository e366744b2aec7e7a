import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { parseNotebook } from '../../kernel/src/notebook/format.js';
import { callCli } from '../experiments/cli.js';
import { createJupyterHome, type JupyterHome, missingProgram, runProgram } from './jupyter.js';
import { copyQuick, createNotebookText } from './notebooks.js';

const missing = missingProgram('jupyter-nbconvert', 'jupyter-nbconvert');

const figureMime = 'application/vnd.plotly.v1+json';
const frontEnd = join(projectDirectory, 'test', 'kernel', 'fixtures', 'front-end.ipynb');

const kernelSuite = join(projectDirectory, 'test', 'kernel', 'fixtures', 'kernel_suite.py');
const suiteModule = '/usr/lib/python3/dist-packages/jupyter_kernel_test/__init__.py';
const missingSuite =
  existsSync(suiteModule) || process.env.CI
    ? null
    : 'no jupyter_kernel_test; apt-get install python3-jupyter-kernel-test brings it';

/** One of the lab's own: quick, predicted only, so that it takes as long anywhere, with threads and with records. */
const labNotebook = '10-hetegen-apex.ipynb';

/** What a notebook can hold: text, what is printed, figures, tables, progress, results and errors. */
const outputsOfAllKinds = [
  { text: 'Formulas such as $a_1/b_1$.' },
  { code: 'const quick = false;', tags: ['parameters'] },
  [
    "import { createProgress, setupFigures, showFigure, showFormula, showTable } from '@specoffload/kernel';",
    "setupFigures(); showFigure({ data: [{ type: 'bar', y: [1, 2] }], layout: {} });",
    "showTable([{ a: 1, b: 2 }]); showFormula('a / b');",
  ].join('\n'),
  "const progress = createProgress('count'); progress.update({ done: 1, total: 2 }); progress.end();",
  "console.log(quick ? 'in brief' : 'at length'); console.error('aside'); 6 * 7",
  { code: "throw new RangeError('wanted')", tags: ['raises-exception'] },
];

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

    /** One notebook after the other, up to the first that fails. */
    const execute = (names: readonly string[], place: JupyterHome) =>
      runProgram('jupyter-nbconvert', ['--to', 'notebook', '--execute', ...names], place);

    const mimesOf = async (name: string, { folder }: JupyterHome) => {
      const done = join(folder, 'work', `${basename(name, '.ipynb')}.nbconvert.ipynb`);
      const { cells } = parseNotebook(await readFile(done, 'utf8'), 'done');
      const outputs = cells.flatMap((cell) => (cell.cell_type === 'code' ? cell.outputs : []));
      return outputs.flatMap((output) =>
        'data' in output ? Object.keys(output.data) : [output.output_type],
      );
    };

    it('a kernel as it is installed runs, with what it prints and shows', async () => {
      await mkdir(join(asInstalled.folder, 'work'), { recursive: true });
      await copyFile(frontEnd, join(asInstalled.folder, 'work', basename(frontEnd)));
      const { exitCode, said } = await execute([join('work', basename(frontEnd))], asInstalled);
      expect(said).toContain('front-end.nbconvert.ipynb');
      expect(exitCode).toBe(0);
      const mimes = await mimesOf(frontEnd, asInstalled);
      expect(mimes).toContain(figureMime);
      expect(mimes).not.toContain('error');
    });

    it(`${labNotebook} runs; a failing cell is reported with its name, its message and its traceback`, async () => {
      const [path, failing] = [join('work', labNotebook), join('work', 'failing.ipynb')];
      await copyQuick(labNotebook, join(home.folder, path));
      const cells = ['1', 'throw new RangeError("too much")'];
      const kernelspec = { name: 'specoffload', display_name: 'SpecOffload', language: 'typescript' };
      await writeFile(join(home.folder, failing), createNotebookText(cells, { kernelspec }));
      const { exitCode, said } = await execute([path, failing], home);
      const mimes = await mimesOf(labNotebook, home);
      expect(mimes).toContain(figureMime);
      expect(mimes).not.toContain('error');
      expect(exitCode).toBe(1);
      expect(said).toContain('RangeError: too much');
      expect(said).toContain('at cell:');
    });

    it('what `notebook run` writes is valid for Jupyter', async () => {
      const [path, out] = [join(home.folder, 'of-all-kinds.ipynb'), join(home.folder, 'ours.ipynb')];
      await writeFile(path, createNotebookText(outputsOfAllKinds));
      const run = await callCli(['notebook', 'run', path, '--quick', '--out', out]);
      expect(run).toMatchObject({ exitCode: 0 });
      const check = [
        'import sys, warnings, nbformat',
        'notebook = nbformat.read(sys.argv[1], as_version=nbformat.NO_CONVERT)',
        'nbformat.validate(notebook)',
        'warnings.simplefilter("ignore")',
        'from nbconvert import HTMLExporter',
        'assert "in brief" in HTMLExporter().from_notebook_node(notebook)[0]',
      ].join('\n');
      expect(await runProgram('/usr/bin/python3', ['-W', 'error', '-c', check, out], home)).toEqual({
        exitCode: 0,
        said: '',
      });
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
