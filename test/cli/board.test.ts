import { describe, expect, it } from 'vitest';
import { type Board, parseBoard } from '../../src/cli/board-file.ts';
import { orderBoard } from '../../src/cli/board-order.ts';

const parse = (text: string) => parseBoard('board.yaml', text);
const levelsOf = ({ levels }: Pick<Board, 'levels'>) => levels.map((level) => level.map(({ task_id }) => task_id));

function findings(text: string): string {
  try {
    parse(text);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the board was accepted');
}

const task = (task_id: string, ...depends_on: string[]) => ({ task_id, depends_on });

describe('the order of a board', () => {
  it('puts each task after those it depends on, in any order of the file', () => {
    const { levels, cycles } = orderBoard([
      task('ship', 'test', 'docs'),
      task('test', 'build'),
      task('docs'),
      task('build', 'elsewhere'),
    ]);
    expect(cycles).toEqual([]);
    expect(levelsOf({ levels: levels as never })).toEqual([['docs', 'build'], ['test'], ['ship']]);
  });

  it('does not count a dependency that is named twice as two', () => {
    expect(orderBoard([task('a', 'b', 'b'), task('b')]).levels).toHaveLength(2);
  });

  it('finds every way round once, and not those who only wait for it', () => {
    const { cycles } = orderBoard([
      task('waits', 'b'),
      task('a', 'b'),
      task('b', 'c'),
      task('c', 'a'),
      task('x', 'y'),
      task('y', 'x', 'a'),
      task('free'),
    ]);
    expect(cycles.map((cycle) => cycle.map(({ task_id }) => task_id))).toEqual([
      ['a', 'b', 'c'],
      ['x', 'y'],
    ]);
  });

  it('takes chains and rings of 50,000 tasks as it takes short ones', () => {
    const chain = Array.from({ length: 50_000 }, (_, i) => task(`t${i}`, `t${i + 1}`));
    expect(orderBoard(chain).levels).toHaveLength(50_000);
    const ring = [...chain, task('t50000', 't0')];
    expect(orderBoard(ring).cycles.map(({ length }) => length)).toEqual([50_001]);
  });
});

describe('a board', () => {
  it('has dependencies on itself in any order, and names those outside of it', () => {
    const board = parse(
      [
        'tasks:',
        '  - {task_id: b, task_type: x, depends_on: [a, before.1]}',
        '  - task_id: c',
        '    task_type: x',
        '    depends_on: [before.2, before.1]',
        '    on_dependency_failure: wait',
        '  - {task_id: a, task_type: x}',
      ].join('\n'),
    );
    expect(levelsOf(board)).toEqual([['c', 'a'], ['b']]);
    expect(board.tasks.map(({ task_id }) => task_id)).toEqual(['b', 'c', 'a']);
    expect(board.outside).toEqual([
      { task_id: 'before.1', place: 'board.yaml:2', dependent: 'b' },
      { task_id: 'before.2', place: 'board.yaml:5', dependent: 'c' },
    ]);
  });

  it('says of each task whether it is assigned', () => {
    const { tasks } = parse(
      'tasks:\n  - {task_id: a, task_type: build, assign: true}\n  - {task_id: b, task_type: build}',
    );
    expect(tasks.map(({ assign }) => assign)).toEqual([true, undefined]);
    expect(findings('- {task_id: a, task_type: build, assign: best}')).toContain(
      'board.yaml:1: assign: must be true or false',
    );
  });

  it('is refused for a cycle, which is shown with its line', () => {
    const text = findings(
      '- {task_id: a, task_type: x, depends_on: [b]}\n- task_id: b\n  task_type: x\n  depends_on:\n    - a\n',
    );
    expect(text).toContain('nothing was created');
    expect(text).toContain('board.yaml:1: a -> b -> a depend on each other');
  });

  it('is refused for a task that depends on itself', () => {
    expect(findings('- task_id: a\n  task_type: x\n  depends_on: [a]\n')).toContain(
      'board.yaml:3: a depends on itself',
    );
  });

  it('shows the ends of a long cycle only', () => {
    const ring = Array.from({ length: 5_000 }, (_, i) => ({
      task_id: `t${i}`,
      task_type: 'x',
      depends_on: [`t${(i + 1) % 5_000}`],
    }));
    const text = findings(JSON.stringify(ring));
    expect(text).toContain('t0 -> t1 -> ');
    expect(text).toContain('(4990 more) -> t4999 -> t0 depend');
    expect(text.length).toBeLessThan(500);
  });

  it('is refused for ids that are there twice, unknown fields and content that no task may have, all at once', () => {
    const text = findings(
      [
        '- {task_id: a, task_type: x}',
        '- {task_id: a, task_type: y}',
        '- {task_id: b, task_type: x, depend_on: [a]}',
        '- task_id: c',
        '  task_type: x',
        '  concurrency_limit: 2',
        '- {task_id: d, task_type: x, depends_on: [not/valid]}',
        '- {task_id: e, task_type: x, on_dependency_failure: maybe}',
      ].join('\n'),
    );
    expect(text).toContain('board.yaml:2: task_id a is there twice');
    expect(text).toContain('board.yaml:3: unknown field "depend_on"');
    expect(text).toContain(
      'board.yaml:6: concurrency_limit: is 2; allowed: a whole number from 1, with a concurrency_key',
    );
    expect(text).toContain('board.yaml:7: depends_on.0: ');
    expect(text).toContain('board.yaml:8: on_dependency_failure: must be fail or wait');
  });
});
