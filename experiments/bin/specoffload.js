#!/usr/bin/env node
/** The command that npm links: it has to exist before anything is compiled. */

import { existsSync } from 'node:fs';

// Until the command listens itself, which takes the loading of its modules, there is nothing to leave whole.
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));
process.on('SIGHUP', () => process.exit(129));

// Stacks lead to the sources.
if (process.argv.includes('--verbose')) process.setSourceMapsEnabled(true);

const cli = new URL('../dist/bundled/main.js', import.meta.url);
if (existsSync(cli))
  import(cli.href).catch((error) => {
    const remedy =
      error.code === 'EMFILE' ? 'raise the limit of open files (ulimit -n)' : 'run `npm run setup`';
    process.stderr.write(`specoffload: cannot start: ${error.message}; ${remedy}\n`);
    process.exitCode = 1;
  });
else {
  process.stderr.write('specoffload: not compiled yet; run `npm run setup` first\n');
  process.exitCode = 1;
}
