import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describePolicyFields } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';

it('docs/policy.md says what the fields of a policy are', () => {
  expect(readFileSync(join(projectDirectory, 'docs/policy.md'), 'utf8')).toBe(describePolicyFields());
});
