/** `infrafabric inspect KIND:ID`: one actor with its state, context, history and state diagram; live with `--watch`. */
import { type ActorRef, formatRef, parseRef } from '../../../machines/address.ts';
import type { ActorMachine } from '../../../machines/machine.ts';
import { type ActorRecord, stateName } from '../../../machines/record.ts';
import { kinds, machineOf } from '../../../machines/registry.ts';
import { FabricError } from '../../errors.ts';
import { NatsRecordLog } from '../../store/nats-record-log.ts';
import { followEvents, type ShownEvent, shownEvent } from '../actor-events.ts';
import { type History, historyOf } from '../actor-history.ts';
import { type FabricSession, requireOperator, withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { type ExitCode, exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { mermaidDiagram, textDiagram } from '../state-diagram.ts';
import { formatTime } from '../table.ts';
import { whyWaiting } from '../waiting-reasons.ts';
import { eventLine } from './watch.ts';

/** Transitions that are shown when the whole history was not asked for. */
const shownTransitions = 10;

export const inspect: CommandRun = async (context, [text = ''], options) => {
  const ref = parseRef(text);
  if (!ref)
    throw new FabricError(
      'INVALID_REQUEST',
      `${JSON.stringify(text.slice(0, 160))} is not an actor: write <kind>:<id>, such as task:review-pr-123`,
    );
  const machine = machineOf(ref.kind);
  if (!machine)
    throw new FabricError(
      'INVALID_REQUEST',
      `there is no kind of actor ${JSON.stringify(ref.kind)}; there are ${kinds.join(', ')}`,
    );
  const format = diagramFormat(options['diagram']);
  const asked = ['watch', 'history', 'diagram'].filter((name) => options[name] !== undefined);
  if (asked.length > 1)
    throw new FabricError('INVALID_REQUEST', `--${asked.join(' and --')} exclude each other; give one of them`);
  return await withFabric(context, async (session) => {
    requireOperator(session, 'inspect');
    if (options['watch'] === true) return await watchActor(context, session, ref);
    const history = await historyOf(session, ref, options['history'] === true ? undefined : shownTransitions);
    return show(context, { ref, machine, history, format, only: asked[0] });
  });
};

function diagramFormat(value: unknown): 'text' | 'mermaid' {
  if (value === undefined || value === true || value === 'text') return 'text';
  if (value === 'mermaid') return 'mermaid';
  throw new FabricError(
    'INVALID_REQUEST',
    `--diagram ${JSON.stringify(value)} is not a format; there are text and mermaid`,
  );
}

interface Shown {
  readonly ref: ActorRef;
  readonly machine: ActorMachine;
  readonly history: History;
  readonly format: 'text' | 'mermaid';
  readonly only: string | undefined;
}

function show({ out }: CommandContext, { ref, machine, history, format, only }: Shown): ExitCode {
  const last = history.transitions.at(-1);
  if (!last) throw notFound(ref);
  const { record, seq, chain } = last;
  const { value, status, context } = record.snapshot;
  const diagram = (format === 'mermaid' ? mermaidDiagram : textDiagram)(machine.logic, value);
  const events = history.transitions.map((transition) => ({
    ...shownEvent(transition.seq, transition.record),
    chain: transition.chain,
  }));
  if (!history.isWitnessed)
    out.note('the witness does not answer: the history is that of the log, which may have been trimmed');
  out.data({
    kind: ref.kind,
    id: ref.id,
    state: stateName(value),
    value,
    status,
    n: record.n,
    at: record.at,
    by: record.by,
    chain,
    seq,
    trace_id: record.trace_id,
    context,
    history: events,
    diagram,
  });
  if (only === 'diagram') out.text(diagram);
  if (only === 'history') historyTable(out, events);
  if (only !== undefined) return exitCodes.done;
  out.line(`${formatRef(ref)}  ${stateName(value)}  (n ${record.n}, since ${formatTime(record.at)}, by ${record.by})`);
  const why = ref.kind === 'task' ? whyWaiting({ ...(context as object), state: stateName(value) }) : undefined;
  if (why !== undefined) out.line(why);
  out.line('');
  factTable(out, Object.fromEntries(Object.entries(context as object).filter(([, fact]) => fact !== null)));
  out.line('');
  if ((events[0]?.n ?? 1) > 1) out.line(`the last ${events.length} transitions; --history shows all`);
  historyTable(out, events);
  out.line('');
  out.text(diagram);
  return exitCodes.done;
}

function historyTable(out: CommandContext['out'], events: readonly ShownEvent[]): void {
  const columns = ['n', 'at', 'event', 'state', 'by', 'trace_id', 'seq'] as const;
  out.table(
    columns.map((key) => ({ key })),
    events.map((event) => ({ ...event, at: formatTime(event.at) })),
  );
}

/** Shows the present state, then each transition as it is committed. */
async function watchActor({ out }: CommandContext, session: FabricSession, ref: ActorRef): Promise<never> {
  let shown = 0;
  const tell = (seq: number, event: ShownEvent) => {
    if (seq <= shown) return;
    shown = seq;
    out.item(event);
    out.line(eventLine(event));
  };
  // What happens while the present state is read is told after it.
  let turn: Promise<void> = Promise.resolve();
  return await new Promise<never>((_, fail) => {
    const next = (step: () => void | Promise<void>) => {
      turn = turn.then(step);
      turn.catch(fail);
    };
    const begin = async () => {
      const present = await new NatsRecordLog(session.client.connection, session.namespace).read(ref);
      if (present) tell(present.revision, shownEvent(present.revision, present.record));
      else out.note(`there is no ${formatRef(ref)} yet`);
      out.note('watching; Ctrl-C ends it');
    };
    const onEvent = (seq: number, record: ActorRecord) => next(() => tell(seq, shownEvent(seq, record)));
    const sink = { onEvent, onReady: () => next(begin), note: (line: string) => out.note(line) };
    followEvents(session, ref, sink).catch(fail);
  });
}

function notFound(ref: ActorRef): FabricError {
  const codes = { task: 'TASK_NOT_FOUND', swarm: 'SWARM_NOT_FOUND' } as const;
  const code = ref.kind === 'task' || ref.kind === 'swarm' ? codes[ref.kind] : 'TARGET_NOT_FOUND';
  return new FabricError(code, `there is no ${formatRef(ref)}, neither in the log nor in the witness`);
}
