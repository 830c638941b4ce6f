/** `infrafabric watch`: the transitions of actors as they are committed, one line each, until Ctrl-C. */
import { isId } from '../../../machines/address.ts';
import { FabricError } from '../../errors.ts';
import { followEvents, type ShownEvent, shownEvent } from '../actor-events.ts';
import { withFabric } from '../fabric-session.ts';
import { textOf } from '../option-values.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

export const watch: CommandRun = async (context, _, options) => {
  const { out } = context;
  const kind = textOf(options, '--kind');
  const id = textOf(options, '--id');
  if (kind !== undefined && !/^[a-z]+$/.test(kind))
    throw new FabricError(
      'INVALID_REQUEST',
      `--kind ${JSON.stringify(kind)} is not a kind of actor; kinds are words such as task or swarm`,
    );
  if (id !== undefined && !isId(id))
    throw new FabricError(
      'INVALID_REQUEST',
      `--id ${JSON.stringify(id.slice(0, 140))} is not an id: use segments of letters, digits, _ and - joined by single dots`,
    );
  return await withFabric(context, async (session) => {
    return await followEvents(
      session,
      { kind, id },
      {
        onEvent: (seq, record) => {
          const event = shownEvent(seq, record);
          out.item(event);
          out.line(eventLine(event));
        },
        onReady: () => out.note('watching; Ctrl-C ends it'),
        note: (line) => out.note(line),
      },
    );
  });
};

export function eventLine({ at, kind, id, n, event, state, by }: ShownEvent): string {
  return `${formatTime(at)}  ${kind}:${id}  ${event} -> ${state}  (n ${n}, by ${by})`;
}
