import { defineConfig } from 'vitest/config';

/** They hold a promise about time against the clock, so nothing else runs beside them. */
const alone = ['test/coordinator/leases.test.ts'];
const timeouts = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        test: {
          name: 'all',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          // Most files run a real three-node cluster; two at a time is what two cores carry.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...timeouts,
        },
      },
      { test: { name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 2 }, ...timeouts } },
    ],
  },
});
