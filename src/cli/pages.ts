/** Lists that come page by page: which page is asked for, the request, and how to get the next one. */
import { withFabric } from './fabric-session.ts';
import { given, numberOf, type Options, textOf } from './option-values.ts';
import type { Output } from './output.ts';
import type { CommandContext } from './program.ts';

export interface Page {
  readonly cursor: string | null;
}

/** What `--limit` and `--cursor` say. */
export function pageAsked(options: Options): Record<string, unknown> {
  return given({ limit: numberOf(options, '--limit'), cursor: textOf(options, '--cursor') });
}

/** The page of `<service>.list` that the options ask for, with those that pass the filters; it is the data of the command. */
export async function listPage<Listed extends object>(
  context: CommandContext,
  service: string,
  options: Options,
  filters: Readonly<Record<string, unknown>> = {},
): Promise<Listed & Page> {
  const body = { ...given(filters), ...pageAsked(options) };
  const page = await withFabric(
    context,
    async ({ client }) => await client.request<Listed & Page>(service, 'list', body),
  );
  context.out.data(page);
  return page;
}

/** Says how to go on, where there are more. */
export function noteMore(out: Output, { cursor }: Page): void {
  if (cursor !== null) out.note(`there are more: --cursor ${cursor}`);
}
