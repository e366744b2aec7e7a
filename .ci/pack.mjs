/**
 * Packs the lab, installs it into an empty prefix with an empty cache, as a stranger would, and works with it in an empty
 * folder: every kind of thing that a command reads from the package, none of which it may change.
 * `node .ci/pack.mjs [TARBALL]`; another Node than this one by its path in NODE.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const mostMegabytes = 500;
const folder = mkdtempSync(join(tmpdir(), 'specoffload-packed-'));
const [prefix, work, home] = ['prefix', 'work', 'home'].map((name) => join(folder, name));
for (const path of [prefix, work, home]) mkdirSync(path);
const node = process.env.NODE ?? process.execPath;
const env = {
  ...process.env,
  ...{ PATH: [join(prefix, 'bin'), dirname(node), process.env.PATH].join(delimiter) },
  ...{ HOME: home, NO_COLOR: '1', npm_config_cache: join(folder, 'cache') },
};
const installed = join(prefix, 'lib/node_modules/specoffload-lab');

try {
  const tarball = process.argv[2] ?? packed();
  run('install', 'npm', ['install', '-g', '--prefix', prefix, '--no-audit', '--no-fund', tarball]);
  const before = filesOf(installed);
  const megabytes = Math.round([...before.values()].reduce((sum, bytes) => sum + bytes, 0) / 1e6);
  assert(megabytes < mostMegabytes, `${megabytes} MB installed, at most ${mostMegabytes}`);
  const lab = (title, ...args) => run(title, 'specoffload', args);
  console.log(lab('version', '--version').trim());
  lab('main job', 'start', '--quick');
  lab(
    'paper',
    'simulate',
    '--machine',
    'env1',
    ...'--target mixtral-8x7b --draft mistral-7b --prompts 8'.split(' '),
  );
  lab(
    'library',
    'simulate',
    ...'--machine rtx-4090+pcie4+ddr5-dual+nvme4 --target mixtral-8x7b --prompts 8'.split(' '),
  );
  lab('store', 'runs', 'list');
  lab('kernel', 'notebook', 'install', '--prefix', join(folder, 'jupyter'));
  lab('notebooks', 'notebook', 'copy');
  lab('notebook', 'notebook', 'run', 'notebooks/00-start.ipynb', '--quick', '--html', 'start.html');
  const changed = [...filesOf(installed)].filter(([path, bytes]) => before.get(path) !== bytes);
  assert(changed.length === 0, `written into the package: ${changed.map(([path]) => path).join(', ')}`);
  console.log(`packed lab: ${megabytes} MB installed, works, and stays as it was`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function packed() {
  run('pack', process.execPath, ['experiments/pack.mjs', folder], process.cwd(), process.env);
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.tgz')),
  );
}

function run(title, program, args, cwd = work, environment = env) {
  const startMs = performance.now();
  const answer = spawnSync(program, args, { cwd, env: environment, encoding: 'utf8', maxBuffer: 2 ** 28 });
  const { status, stdout, stderr, error } = answer;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`packed lab: ${title}: ${status === 0 ? 'passed' : 'FAILED'}, ${seconds} s`);
  assert(status === 0, `${program} ${args.join(' ')}\n${error ?? ''}${stdout}\n${stderr}`);
  return stdout;
}

function assert(isSo, message) {
  if (!isSo) throw new Error(message);
}

function filesOf(root) {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    entries.map(({ parentPath, name }) => [join(parentPath, name), statSync(join(parentPath, name)).size]),
  );
}
