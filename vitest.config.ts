import { defineConfig } from 'vitest/config';

// Files run one after another: each starts lanes that use every core it is given.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
