/** The last line of a test run, for people and programs alike: `N passed, N failed`. */
import type { Reporter, TestModule } from 'vitest/node';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>): Promise<void> {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      let failedTests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        // Tests that never ended have failed: they were to run.
        counts[state === 'pending' ? 'failed' : state] += 1;
        if (state === 'failed' || state === 'pending') failedTests += 1;
      }
      // A file that cannot be loaded, or whose hooks fail, has no failed test of its own.
      if (module.state() === 'failed' && failedTests === 0) counts.failed += 1;
    }
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    const line = `${counts.passed} passed, ${counts.failed} failed${skipped}\n`;
    // After what the other reporters print at the same event.
    return new Promise((resolve) => {
      setImmediate(() => process.stdout.write(line, () => resolve()));
    });
  }
}
