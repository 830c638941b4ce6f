/**
 * The layers, enforced: machines <- src core <- actors <- entry points (src/cli, src/demo, src/index.ts, bench, test).
 * Imports run downwards only, types included. `npx depcruise machines src actors --config .dependency-cruiser.cjs`
 */
const entryPoints = '^(src/(cli|demo)/|src/index\\.ts$|bench/|test/)';
const production = '^(machines|src|actors)/';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'machines-are-pure',
      comment: 'Machines know XState and each other: no I/O, no clock, nothing of the fabric around them.',
      severity: 'error',
      from: { path: '^machines/' },
      to: { pathNot: ['^machines/', '^node_modules/xstate/'] },
    },
    {
      name: 'core-imports-downwards',
      comment: 'The core knows machines and itself, not the services and entry points that are built on it.',
      severity: 'error',
      from: { path: '^src/', pathNot: entryPoints },
      to: { path: ['^actors/', entryPoints] },
    },
    {
      name: 'actors-import-downwards',
      comment: 'Services do not know the entry points that start them.',
      severity: 'error',
      from: { path: '^actors/' },
      to: { path: entryPoints },
    },
    {
      name: 'not-through-the-index',
      comment: 'src/index.ts is for users of the package; inside, a file is imported by its own name.',
      severity: 'error',
      from: { path: production },
      to: { path: '^src/index\\.ts$' },
    },
    {
      name: 'no-tests-in-production',
      comment: 'What ships does not depend on tests or benchmarks.',
      severity: 'error',
      from: { path: production },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'no-cycles',
      comment: 'A cycle means that one idea lives in several files, or that a file holds several.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'declared-dependencies-only',
      comment: 'What ships uses packages that package.json lists as dependencies; types of Node.js aside.',
      severity: 'error',
      from: { path: production },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: '^node_modules/@types/' },
    },
    {
      name: 'resolvable',
      comment: 'An import that leads nowhere would escape every other rule.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
